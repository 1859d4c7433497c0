"""Strip charts: one value of every run as a dot, a row for each entry: results, generalization gap, calibration, cost.

A new strip chart is a subclass of `StripChart` that declares `name`, `title` and `order`, and returns its label, its
caption and the value of a run.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reglab.report.arms import Arm, format_replicate
from reglab.report.charts import style
from reglab.report.charts.chart import Chart, TaskChartData, task_chart
from reglab.report.findings.findings import TaskFindings
from reglab.report.findings.leaderboard import Entry
from reglab.report.records import RunRecord, finite_metric
from reglab.report.statistics.paired import Interval, bootstrap_interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HEAD, _RIGHT = 0.26, 0.2  # inches around the rows
_MAX_REFERENCE = 30  # characters of the baseline's name above its line


@dataclass(frozen=True)
class Strip:
    """A row of a strip chart.

    Attributes:
        name: name of the entry.
        colour: colour of its strategy.
        values: one for each run.
        texts: shown on hovering over each dot.
        mean, interval: mean of the values, and its interval.
    """

    name: str
    colour: str
    values: list[float]
    texts: list[str]
    mean: float | None
    interval: Interval | None = None


class StripChart(ABC):
    """A chart of one value of every run."""

    name: str
    title: str
    order: int
    from_zero = False  # whether the axis starts at zero

    @abstractmethod
    def value(self, record: RunRecord, data: TaskChartData) -> float | None:
        """Return the value of a run; None if it was not tracked."""

    @abstractmethod
    def label(self, data: TaskChartData) -> str:
        """Return the label of the x axis."""

    @abstractmethod
    def caption(self, data: TaskChartData) -> str:
        """Return the caption."""

    def reference(self, data: TaskChartData) -> tuple[float, str] | None:
        """Return the position and the name of a reference line; None for no line."""
        return None

    def interval(self, entry: Entry, values: Sequence[float]) -> Interval | None:
        """Return the interval of the mean of an entry's values."""
        return bootstrap_interval(values)

    def applies(self, data: TaskChartData) -> bool:
        """Return whether any run has a value."""
        return any(self.value(record, data) is not None for record in data.task_findings.table.records)

    def draw(self, data: TaskChartData) -> list[Chart]:
        """Return one chart."""
        strips = [self._strip(entry, arm, data) for entry, arm in _entries_with_runs(data.task_findings)]
        figure = strip_chart(strips, self.label(data), self.reference(data), from_zero=self.from_zero)
        dot_texts = {f"dots{i}": strip.texts for i, strip in enumerate(strips)}
        return [Chart(self.name, self.title, self.caption(data), figure, dot_texts)]

    def _strip(self, entry: Entry, arm: Arm, data: TaskChartData) -> Strip:
        by_replicate = {
            replicate: value
            for replicate, record in sorted(arm.runs.items())
            if (value := self.value(record, data)) is not None
        }
        values = list(by_replicate.values())
        texts = [f"{entry.label}, {format_replicate(r)}: {value:.5g}" for r, value in by_replicate.items()]
        mean = sum(values) / len(values) if values else None
        return Strip(entry.label, data.colours[entry.strategy], values, texts, mean, self.interval(entry, values))


@task_chart
class SeedsChart(StripChart):
    """The reported metric of every run."""

    name = "seeds"
    title = "Results by seed"
    order = 20

    def value(self, record: RunRecord, data: TaskChartData) -> float | None:
        return finite_metric(record, data.question.metric)

    def label(self, data: TaskChartData) -> str:
        return data.question.metric

    def caption(self, data: TaskChartData) -> str:
        return "One dot for each run; the bar is the mean, the band its 95 % bootstrap interval."

    def reference(self, data: TaskChartData) -> tuple[float, str] | None:
        base = next((entry for entry in data.task_findings.entries if entry.baseline), None)
        if base is None or base.mean is None or len(base.label) >= _MAX_REFERENCE:
            return None
        return base.mean, base.label

    def interval(self, entry: Entry, values: Sequence[float]) -> Interval | None:
        return entry.interval


@task_chart
class GapChart(StripChart):
    """The difference of test loss and training loss."""

    name = "gap"
    title = "Generalization gap"
    order = 50

    def value(self, record: RunRecord, data: TaskChartData) -> float | None:
        if (gap := finite_metric(record, "gap/loss")) is not None:
            return gap
        test, train = finite_metric(record, "test/loss"), finite_metric(record, "train/loss")
        return None if test is None or train is None else test - train

    def label(self, data: TaskChartData) -> str:
        return "test loss minus training loss"

    def caption(self, data: TaskChartData) -> str:
        noise = label_noise_note(data.task_findings)
        return "Test loss minus training loss of the tested weights, both in eval mode." + (
            f"{noise} The gap is negative for a network that has not fitted them." if noise else ""
        )

    def reference(self, data: TaskChartData) -> tuple[float, str] | None:
        return 0.0, "no gap"


@task_chart
class CalibrationChart(StripChart):
    """The expected calibration error."""

    name = "calibration"
    title = "Calibration"
    order = 60
    from_zero = True

    def value(self, record: RunRecord, data: TaskChartData) -> float | None:
        return finite_metric(record, "test/ece")

    def label(self, data: TaskChartData) -> str:
        return "test/ece, expected calibration error (0 is best)"

    def caption(self, data: TaskChartData) -> str:
        return "Difference between confidence and accuracy on the test set, averaged over bins of confidence."


@task_chart
class CostChart(StripChart):
    """The training time."""

    name = "cost"
    title = "Cost"
    order = 70
    from_zero = True

    def value(self, record: RunRecord, data: TaskChartData) -> float | None:
        return finite_metric(record, "time/train_s")

    def label(self, data: TaskChartData) -> str:
        return "training time of a run, seconds"

    def caption(self, data: TaskChartData) -> str:
        caption = "Wall time of training alone."
        base = next((entry for entry in data.task_findings.entries if entry.baseline), None)
        if base is None or not base.seconds:
            return caption
        ratios = [
            f"{entry.label} × {entry.seconds / base.seconds:.2f}"
            for entry, _ in _entries_with_runs(data.task_findings)
            if entry.seconds and not entry.baseline
        ]
        return f"{caption} Relative to {base.label}: {', '.join(ratios)}." if ratios else caption


def strip_chart(
    strips: Sequence[Strip], label: str, reference: tuple[float, str] | None = None, *, from_zero: bool = False
) -> "Figure":
    """Return a figure with every value as a dot, a bar at the mean, and a band over its interval.

    Args:
        strips: rows from top to bottom.
        label: label of the x axis.
        reference: position and name of a vertical line.
        from_zero: whether the axis starts at zero.
    """
    head = _HEAD if reference else 0.06
    with style.chart_style():
        figure, axes, centres = style.row_chart(
            [strip.name for strip in strips], label, row_height=0.36, head=head, right=_RIGHT
        )
        if reference is not None:
            position, name = reference
            axes.axvline(position, color=style.MUTED, linewidth=0.9, dashes=(4, 3))
            axes.text(position, -0.1, name, ha="center", color=style.MUTED, size=style.SIZE - 1, va="center")
        for i, (strip, y) in enumerate(zip(strips, centres, strict=True)):
            count = len(strip.values)
            spread = [y + 0.08 * (((7 * k) % 5) - 2) / 2 for k in range(count)]
            if strip.interval:
                axes.plot(strip.interval, (y, y), color=strip.colour, linewidth=6, alpha=0.28, solid_capstyle="butt")
            axes.scatter(strip.values, spread, s=20, color=strip.colour, alpha=0.85, linewidth=0.6,
                         edgecolor=style.PAPER, gid=f"dots{i}", zorder=3)  # fmt: skip
            if strip.mean is not None and count > 1:
                axes.plot((strip.mean, strip.mean), (y - 0.12, y + 0.12), color=style.INK, linewidth=1.6, zorder=4)
        axes.margins(x=0.04)
        if from_zero:
            axes.set_xlim(left=0)
    return figure


def label_noise_note(task_findings: TaskFindings) -> str:
    """Return a sentence on the share of wrong training labels; empty without label noise."""
    tags = task_findings.table.tag_values("label_noise")
    shares = sorted(float(share) for share in tags if share.replace(".", "", 1).isdigit())
    if not shares or shares[-1] == 0:
        return ""
    return f" {100 * shares[-1]:g} % of the training labels are wrong, none of the validation and test labels."


def _entries_with_runs(task_findings: TaskFindings) -> list[tuple[Entry, Arm]]:
    arms = {arm.label: arm for arm in task_findings.table.arms}
    return [(entry, arms[entry.label]) for entry in task_findings.entries if entry.n]
