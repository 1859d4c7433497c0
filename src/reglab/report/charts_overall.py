"""The charts over several tasks."""

from reglab.report import chart_along, chart_ranks
from reglab.report import number_format as figures
from reglab.report.along import along
from reglab.report.charts import Chart, forest
from reglab.report.findings import Findings
from reglab.report.many_tasks import ManyTasks

_PANELS = 12


def over_tasks(findings: Findings, colours: dict[str, str]) -> list[Chart]:
    """Along what differs, over data sets, and the critical-difference diagram, where there is enough for each."""
    lines = findings.overall or []
    charts = [*_along(findings, colours), forest(lines, findings.question, colours, "data sets")]
    if isinstance(findings.many, ManyTasks):
        by_label = {line.strategy: colours[line.name] for line in lines}
        figure = chart_ranks.ranks(findings.many, by_label)
        charts.append(Chart("ranks", "Mean ranks", f"{findings.many.sentence} {findings.many.bars}", figure))
    return [chart for chart in charts if chart is not None]


def _along(findings: Findings, colours: dict[str, str]) -> list[Chart]:
    """A chart for each data set whose tasks differ in one number, the best strategies first."""
    charts, question = [], findings.question
    for told in along(findings.tasks):
        names = [name for name in dict.fromkeys(line.name for line in findings.lines) if told.lines(name)]
        if not names:
            continue
        shown = names[:_PANELS]
        better = "up is better" if question.higher else "down is better"
        label = f"{question.metric}\nminus {question.baseline}"  # a panel is too low for one line
        figure = chart_along.differences(told, shown, colours, label)
        caption = (
            f"On {told.data}: the mean difference from {question.baseline} over paired seeds, with its 95 % interval "
            f"({better}). Filled: the verdict of that task is “helps” or “hurts”."
        )
        if len(shown) < len(names):
            caption += f" The first {len(shown)} of {len(names)} are shown."
        digits = figures.decimals([line for found in told.tasks for line in found.lines])
        spots = chart_along.spots(told, shown, figure, digits)
        title = f"Differences by {told.feature}"
        charts.append(Chart(f"by-{told.feature}-{told.data}", title, caption, figure, spots=spots))
    return charts
