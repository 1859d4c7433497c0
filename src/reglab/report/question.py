"""What a report is asked: which metric, which way is better, against what, and what may choose among strengths."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reglab.report.records import Record
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import TESTS, check_choice, guess_direction, validation_twins

_DEFAULTS = ("test/accuracy", "test/rmse", "test/perplexity")


@dataclass(frozen=True)
class Question:
    """A checked question. `select_by` lists metrics in order of preference: the first one tracked chooses."""

    metric: str
    direction: str
    baseline: str
    select_by: tuple[str, ...]
    select_direction: str
    forced: bool = False

    @property
    def higher(self) -> bool:
        """Whether a higher value of the metric is better."""
        return self.direction == "max"


def resolve_question(
    records: Sequence[Record],
    *,
    metric: str | None = None,
    direction: str | None = None,
    baseline: str = "none",
    select_by: str | None = None,
    force: bool = False,
) -> Question:
    """Fill in what was not asked, and refuse what cannot be answered from these runs.

    Raises:
        ConfigError: an unknown metric, direction or baseline, or a test metric that is to choose (unless `force`).
    """
    check_choice(direction=direction, select_by=select_by, force=force)
    tracked = sorted({name for record in records for name in record.metrics})
    metric = metric or next((name for name in _DEFAULTS if name in tracked), None)
    if metric is None:
        raise ConfigError(Setting("metric", None), f"no run tracks {', '.join(_DEFAULTS)}", _near("", tracked))
    if metric not in tracked:
        raise ConfigError(Setting("metric", metric), "no run tracks it", _near(metric, tracked))
    direction = direction or guess_direction(metric)
    if direction is None:
        raise ConfigError(
            Setting("direction", None),
            f"cannot tell which way {metric} is better",
            "say direction=max or direction=min",
        )
    _check_baseline(baseline, {record.tags["strategy"] for record in records if "strategy" in record.tags})
    if select_by is None:
        twins = validation_twins(metric)
        return Question(metric, direction, baseline, twins, guess_direction(twins[0]) or direction)
    if select_by not in tracked:
        raise ConfigError(Setting("select_by", select_by), "no run tracks it", _near(select_by, tracked))
    forced = select_by.startswith(TESTS)
    return Question(metric, direction, baseline, (select_by,), guess_direction(select_by) or direction, forced)


def _check_baseline(baseline: str, strategies: set[str]) -> None:
    """`none` may be absent (then nothing is compared, and the report says so); any other name must have runs."""
    if baseline == "none" or baseline in strategies or baseline.split("(")[0] in {s.split("(")[0] for s in strategies}:
        return
    raise ConfigError(Setting("baseline", baseline), "no run of that strategy", _near(baseline, strategies))


def _near(wrong: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return "nothing is tracked"
    close = difflib.get_close_matches(wrong, names, n=4, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"tracked: {', '.join(names[:12])}"
