"""All kinds of charts. A new kind is a module of this package that registers a class, and a line here."""

from reglab.report.charts import (  # noqa: F401  # each registers its kinds
    factor_plot,
    forest,
    learning_curves,
    rank_diagram,
    response,
    strips,
    tuning_curve,
)
from reglab.report.charts.chart import OVERALL_KINDS, TASK_KINDS

TASK_CHARTS = sorted(TASK_KINDS, key=lambda kind: kind.place)
OVERALL_CHARTS = sorted(OVERALL_KINDS, key=lambda kind: kind.place)
