"""Equal compute: what each strategy would have chosen within the seconds that the cheapest tuning took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reglab.report.trials import Trial, best

TOLERANCE = 0.05  # of the seconds: timings of equal work differ by as much


@dataclass(frozen=True)
class Afforded:
    """What one strategy could have done.

    Attributes:
        strategy: as tagged.
        count: how many of its trials fit, in the order of their numbers.
        of: how many it had.
        best: the best of those; None where none of them finished.
        another: whether tuning chose another trial with all its budget.
    """

    strategy: str
    count: int
    of: int
    best: Trial | None
    another: bool


def equal_compute(tuned: Mapping[str, Sequence[Trial]], *, minimized: bool) -> tuple[float, list[Afforded]]:
    """The seconds of the cheapest tuning, and what each strategy could have done in them (and `TOLERANCE` more).

    Args:
        tuned: trials by strategy, each in the order of their numbers; at least one strategy.
        minimized: whether low scores are good.
    """
    budget = min(sum(trial.seconds for trial in some) for some in tuned.values())
    return budget, [_afforded(name, some, budget, minimized=minimized) for name, some in tuned.items()]


def _afforded(strategy: str, some: Sequence[Trial], budget: float, *, minimized: bool) -> Afforded:
    spent, count = 0.0, 0
    for trial in some:
        spent += trial.seconds
        if spent > budget * (1 + TOLERANCE):
            break
        count += 1
    then, now = best(some[:count], minimized=minimized), best(some, minimized=minimized)
    return Afforded(strategy, count, len(some), then, then is not now)
