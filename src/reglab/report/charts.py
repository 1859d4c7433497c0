"""The charts of one task, in the order of the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reglab.report import chart_curves, chart_rows
from reglab.report import number_format as figures
from reglab.report.arms import Cell, Row, show
from reglab.report.chart_rows import Strip
from reglab.report.findings import TaskFindings
from reglab.report.hover import Spot
from reglab.report.leaderboard import Line
from reglab.report.learning import Learning
from reglab.report.question import Question
from reglab.report.records import Record, value
from reglab.report.statistics import Interval, interval_of_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Chart:
    """One chart: its file's stem, its heading and caption, the figure, and what hovering over dots and spots tells."""

    name: str
    title: str
    caption: str
    figure: "Figure"
    titles: dict[str, list[str]] = field(default_factory=dict)
    spots: Sequence[Spot] = ()


def of_task(
    found: TaskFindings, question: Question, colours: dict[str, str], learning: Sequence[Learning]
) -> list[Chart]:
    """Differences, seeds, learning curves, gap, calibration and cost: those for which something was tracked."""
    rows = {row.label: row for row in found.grid.rows}
    ordered = [(line, rows[line.strategy]) for line in found.lines if line.n]
    base = next((line for line in found.lines if line.baseline), None)
    charts = [forest(found.lines, question, colours, "seeds"), _seeds(ordered, question, colours, base)]
    charts += [_curves(told, found) for told in learning]
    gap = _strip(ordered, _gap, colours, "loss on the test part minus loss on the training part", (0.0, "no gap"))
    if gap:
        caption = "Loss of the tested weights on the test part minus their loss on training rows, both in eval mode."
        caption += _noise(found, " The gap is below zero where a net has not learnt them.")
        charts.append(Chart("gap", "Generalization gap", caption, *gap))
    ece = _strip(
        ordered,
        lambda r: value(r, "test/ece"),
        colours,
        "test/ece, expected calibration error (0 is best)",
        from_zero=True,
    )
    if ece:
        caption = "How far confidence is from accuracy on the test part, on average over bins of confidence."
        charts.append(Chart("calibration", "Calibration", caption, *ece))
    cost = _strip(
        ordered, lambda r: value(r, "time/train_s"), colours, "training time of a run, seconds", from_zero=True
    )
    if cost:
        caption = f"Wall time of training alone. {_overhead(ordered, base)}".strip()
        charts.append(Chart("cost", "Cost", caption, *cost))
    return [chart for chart in charts if chart is not None]


def forest(lines: Sequence[Line], question: Question, colours: dict[str, str], unit: str) -> Chart | None:
    """The paired differences; None where there is no pair."""
    tested = [line for line in lines if line.diff is not None]
    base = next((line for line in lines if line.baseline), None)
    if not tested or base is None:
        return None
    better = "right is better" if question.higher else "left is better"
    label = f"{question.metric} minus that of {base.strategy}, paired by {unit[:-1]} ({better})"
    digits = figures.decimals(lines)
    figure = chart_rows.forest(tested, colours, label, digits)
    caption = (
        f"Mean difference from {base.strategy} over paired {unit}, with its 95 % interval. Filled: the verdict is "
        "“helps” or “hurts”."
    )
    return Chart("differences", "Paired differences", caption, figure, spots=chart_rows.spots(tested, figure, digits))


def _seeds(
    ordered: Sequence[tuple[Line, Row]], question: Question, colours: dict[str, str], base: Line | None
) -> Chart | None:
    intervals = {line.strategy: line.interval for line, _ in ordered}
    reference = (base.mean, base.strategy) if base and base.mean is not None and len(base.strategy) < 30 else None
    strip = _strip(ordered, lambda r: value(r, question.metric), colours, question.metric, reference, intervals)
    caption = "One dot a run; the bar is the mean, the band its 95 % bootstrap interval."
    return Chart("seeds", "Every seed", caption, *strip) if strip else None


def _strip(
    ordered: Sequence[tuple[Line, Row]],
    of: Callable[[Record], float | None],
    colours: dict[str, str],
    label: str,
    reference: tuple[float, str] | None = None,
    intervals: Mapping[str, Interval | None] | None = None,
    *,
    from_zero: bool = False,
) -> tuple["Figure", dict[str, list[str]]] | None:
    """Figure and titles of one value a run, None where no run has it."""
    strips = []
    for line, row in ordered:
        told: dict[Cell, float] = {cell: v for cell, r in row.runs.items() if (v := of(r)) is not None}
        cells = sorted(told)
        values = [told[cell] for cell in cells]
        texts = [f"{line.strategy}, {show(cell)}: {told[cell]:.5g}" for cell in cells]
        interval: Interval | None = intervals.get(line.strategy) if intervals else interval_of_mean(values)
        mean = sum(values) / len(values) if values else None
        strips.append(Strip(line.strategy, colours[line.name], values, texts, mean, interval))
    if not any(strip.values for strip in strips):
        return None
    return chart_rows.strips(strips, label, reference, from_zero=from_zero), chart_rows.titles(strips)


def _gap(record: Record) -> float | None:
    if (told := value(record, "gap/loss")) is not None:
        return told
    test, train = value(record, "test/loss"), value(record, "train/loss")
    return None if test is None or train is None else test - train


def _curves(told: Learning, found: TaskFindings) -> Chart:
    caption = f"Mean over seeds, with a band of one standard deviation.{_noise(found, '')}"
    if told.of > len(told.panels):
        caption += f" The {len(told.panels)} best of {told.of} are shown."
    figure = chart_curves.curves(told)
    title = f"Learning curves: {told.name}"
    return Chart(f"curves-{told.name}", title, caption, figure, spots=chart_curves.spots(told, figure))


def _noise(found: TaskFindings, consequence: str) -> str:
    """A sentence for a task whose training labels are partly wrong on purpose."""
    shares = {r.tags.get("label_noise", "") for row in found.grid.rows for r in row.runs.values()}
    told = sorted(float(share) for share in shares if share.replace(".", "", 1).isdigit())
    if not told or told[-1] == 0:
        return ""
    return f" Of the training labels {100 * told[-1]:g} % are wrong, of validation and test none.{consequence}"


def _overhead(ordered: Sequence[tuple[Line, Row]], base: Line | None) -> str:
    if base is None or not base.seconds:
        return ""
    told = [
        f"{line.strategy} × {line.seconds / base.seconds:.2f}"
        for line, _ in ordered
        if line.seconds and not line.baseline
    ]
    return f"Against {base.strategy}: {', '.join(told)}." if told else ""
