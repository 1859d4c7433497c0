"""What a report is asked: which metric, which way is better, against what, and what may choose among strengths."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reglab.errors import ConfigError
from reglab.study.report.records import Record

_DEFAULTS = ("test/accuracy", "test/rmse", "test/perplexity")
_UP = ("accuracy", "r2", "auc", "auroc", "f1", "precision", "recall", "score")
_DOWN = ("loss", "rmse", "mse", "mae", "ece", "error", "perplexity", "nll", "gap", "time", "seconds", "penalty")
_TESTS = ("test/", "gap/")
# Where a test metric has no validation metric of its own name, these stand in for it.
_STAND_IN = {"balanced_accuracy": "accuracy", "r2": "rmse", "ece": "loss"}


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


def ask(
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
    check(direction=direction, select_by=select_by, force=force)
    tracked = sorted({name for record in records for name in record.metrics})
    metric = metric or next((name for name in _DEFAULTS if name in tracked), None)
    if metric is None:
        raise ConfigError(f"metric=null: no run tracks {', '.join(_DEFAULTS)}; {_near('', tracked)}")
    if metric not in tracked:
        raise ConfigError(f"metric={metric}: no run tracks it; {_near(metric, tracked)}")
    direction = direction or guess_direction(metric)
    if direction is None:
        raise ConfigError(
            f"direction=null: cannot tell which way {metric} is better; say direction=max or direction=min"
        )
    _check_baseline(baseline, {record.tags["strategy"] for record in records if "strategy" in record.tags})
    if select_by is None:
        twins = validation_twins(metric)
        return Question(metric, direction, baseline, twins, guess_direction(twins[0]) or direction)
    if select_by not in tracked:
        raise ConfigError(f"select_by={select_by}: no run tracks it; {_near(select_by, tracked)}")
    forced = select_by.startswith(_TESTS)
    return Question(metric, direction, baseline, (select_by,), guess_direction(select_by) or direction, forced)


def check(*, direction: str | None, select_by: str | None, force: bool) -> None:
    """Refuse what no runs could make right.

    Raises:
        ConfigError: a direction that is none, or a test metric that is to choose (unless `force`).
    """
    if direction not in (None, "max", "min"):
        raise ConfigError(f"direction={direction}: max or min")
    if select_by is not None and select_by.startswith(_TESTS) and not force:
        twin = validation_twins(select_by)[-1]
        raise ConfigError(f"select_by={select_by}: the test judges, it must not choose; take {twin}, or say force=true")


def guess_direction(metric: str) -> str | None:
    """`max` or `min` from the metric's name (`test/balanced_accuracy`: max), None where the name does not tell."""
    words = metric.lower().replace("/", "_").split("_")
    if any(word in _DOWN for word in words):
        return "min"
    return "max" if any(word in _UP for word in words) else None


def validation_twins(metric: str) -> tuple[str, ...]:
    """The validation metrics that may stand for a test metric: that of the best weights, then the last epoch's."""
    measured = metric.startswith(("test/", "val/", "best/val/"))
    name = metric.rsplit("/", 1)[-1] if measured else "loss"
    names = (name, _STAND_IN[name]) if name in _STAND_IN else (name,)
    # A stand-in may run the other way (r2 and rmse), so only names of one direction stand together.
    same = [n for n in names if guess_direction(n) == guess_direction(names[-1])]
    return tuple(f"{prefix}{n}" for n in same for prefix in ("best/val/", "val/"))


def _check_baseline(baseline: str, strategies: set[str]) -> None:
    """`none` may be absent (then nothing is compared, and the report says so); any other name must have runs."""
    if baseline == "none" or baseline in strategies or baseline.split("(")[0] in {s.split("(")[0] for s in strategies}:
        return
    raise ConfigError(f"baseline={baseline}: no run of that strategy; {_near(baseline, strategies)}")


def _near(wrong: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if not names:
        return "nothing is tracked"
    close = difflib.get_close_matches(wrong, names, n=4, cutoff=0.4)
    return f"did you mean {' or '.join(close)}?" if close else f"tracked: {', '.join(names[:12])}"
