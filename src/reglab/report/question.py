"""The comparison of a report: metric and direction, baseline, and the metric that selects strengths."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reglab.report.records import RunRecord
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import HEADLINES, TEST_PARTS, check_choice, direction_of, validation_counterparts
from reglab.schema.suggest import nearest
from reglab.schema.text import join_options


@dataclass(frozen=True)
class Question:
    """A comparison that the tracked runs can answer.

    Attributes:
        metric: what is compared, for example ``test/accuracy``.
        direction: ``max`` or ``min``.
        baseline: strategy or arm that the others are compared with.
        select_by: metrics in order of preference; the first one that is tracked selects among strengths.
        select_direction: ``max`` or ``min``, of `select_by`.
        forced: whether a test metric selects among strengths.
    """

    metric: str
    direction: str
    baseline: str
    select_by: tuple[str, ...]
    select_direction: str
    forced: bool = False

    @property
    def higher(self) -> bool:
        """Whether higher values of the metric are better."""
        return self.direction == "max"


def resolve_question(
    records: Sequence[RunRecord],
    *,
    metric: str | None = None,
    direction: str | None = None,
    baseline: str = "none",
    select_by: str | None = None,
    force: bool = False,
) -> Question:
    """Fill in defaults from the tracked runs and check that they can answer the question.

    Args:
        records: tracked runs.
        metric: default: the first of `reglab.schema.metrics.HEADLINES` that is tracked.
        direction: ``max`` or ``min``; default: from the metric's name.
        baseline: a strategy.
        select_by: default: the validation counterpart of the metric.
        force: allow a test metric as `select_by`.

    Raises:
        ConfigError: unknown metric, direction or baseline, or a test metric as `select_by` without `force`.
    """
    check_choice(direction=direction, select_by=select_by, force=force)
    tracked = sorted({name for record in records for name in record.metrics})
    metric = metric or next((name for name in HEADLINES if name in tracked), None)
    if metric is None:
        problem = f"no run tracks {', '.join(HEADLINES)}"
        raise ConfigError(Setting("metric", None), problem, _suggest("", tracked))
    if metric not in tracked:
        raise ConfigError(Setting("metric", metric), "no run tracks it", _suggest(metric, tracked))
    direction = direction or direction_of(metric)
    if direction is None:
        problem = f"the name {metric} does not show which direction is better"
        raise ConfigError(Setting("direction", None), problem, "set direction=max or direction=min")
    _check_baseline(baseline, {record.tags["strategy"] for record in records if "strategy" in record.tags})
    if select_by is None:
        counterparts = validation_counterparts(metric)
        return Question(metric, direction, baseline, counterparts, direction_of(counterparts[0]) or direction)
    if select_by not in tracked:
        raise ConfigError(Setting("select_by", select_by), "no run tracks it", _suggest(select_by, tracked))
    forced = select_by.startswith(TEST_PARTS)
    return Question(metric, direction, baseline, (select_by,), direction_of(select_by) or direction, forced)


def _check_baseline(baseline: str, strategies: set[str]) -> None:
    """Raise if no run has the baseline; `none` may be absent, and then nothing is compared."""
    plain = {strategy.split("(")[0] for strategy in strategies}
    if baseline == "none" or baseline in strategies or baseline.split("(")[0] in plain:
        return
    raise ConfigError(Setting("baseline", baseline), "no run of that strategy", _suggest(baseline, strategies))


def _suggest(wrong: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return "nothing is tracked"
    near = nearest(wrong, names)
    return f"did you mean {near}?" if near else f"tracked: {join_options(names)}"
