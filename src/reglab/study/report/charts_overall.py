"""The charts over several tasks."""

from reglab.study.report import chart_ranks
from reglab.study.report.charts import Chart, forest
from reglab.study.report.findings import Findings
from reglab.study.report.many_tasks import ManyTasks


def over_tasks(findings: Findings, colours: dict[str, str]) -> list[Chart]:
    """Differences over data sets and the critical-difference diagram, where there is enough for each."""
    lines = findings.overall or []
    charts = [forest(lines, findings.question, colours, "data sets")]
    if isinstance(findings.many, ManyTasks):
        by_label = {line.strategy: colours[line.name] for line in lines}
        figure = chart_ranks.ranks(findings.many, by_label)
        charts.append(Chart("ranks", "Mean ranks", f"{findings.many.sentence} {findings.many.bars}", figure))
    return [chart for chart in charts if chart is not None]
