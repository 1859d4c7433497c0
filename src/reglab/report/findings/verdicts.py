"""The verdicts of a report, as they stand in its tables and files."""

from enum import StrEnum

from reglab.report.statistics.paired import Outcome


class Verdict(StrEnum):
    """The answer about one strategy against the baseline, or about one combination against the sum of its parts."""

    HELPS = "helps"
    HURTS = "hurts"
    UNCLEAR = "no clear difference"
    BETTER_THAN_SUM = "better than the sum"
    WORSE_THAN_SUM = "worse than the sum"
    NO_CLEAR_INTERACTION = "no clear interaction"
    TOO_FEW_SEEDS = "too few seeds to tell"
    TOO_FEW_DATA_SETS = "too few data sets to tell"
    BASELINE = "baseline"
    NO_RESULT = "no result"
    UNTESTED = ""

    @property
    def is_difference(self) -> bool:
        """Whether a strategy is shown to differ from the baseline."""
        return self in (Verdict.HELPS, Verdict.HURTS)

    @property
    def too_few(self) -> bool:
        """Whether no result of so few pairs could be significant."""
        return self in (Verdict.TOO_FEW_SEEDS, Verdict.TOO_FEW_DATA_SETS)


def verdict_on_strategy(outcome: Outcome, *, higher: bool, over_data_sets: bool) -> Verdict:
    """Return the verdict for the outcome of a test of strategy minus baseline.

    Args:
        outcome: of the paired test.
        higher: whether higher is better.
        over_data_sets: whether the pairs are of data sets, not of seeds.
    """
    if outcome == "too few":
        return Verdict.TOO_FEW_DATA_SETS if over_data_sets else Verdict.TOO_FEW_SEEDS
    if outcome == "unclear":
        return Verdict.UNCLEAR
    return Verdict.HELPS if (outcome == "positive") == higher else Verdict.HURTS


def verdict_on_interaction(outcome: Outcome, *, higher: bool) -> Verdict:
    """Return the verdict for the outcome of a test of a combination minus the sum of its parts.

    Args:
        outcome: of the paired test.
        higher: whether higher is better.
    """
    if outcome == "too few":
        return Verdict.TOO_FEW_SEEDS
    if outcome == "unclear":
        return Verdict.NO_CLEAR_INTERACTION
    return Verdict.BETTER_THAN_SUM if (outcome == "positive") == higher else Verdict.WORSE_THAN_SUM
