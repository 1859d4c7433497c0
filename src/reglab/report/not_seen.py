"""Say what was not seen: the smallest difference a comparison could have found, and the seeds that more would need."""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.report.leaderboard import Line
from reglab.report.number_format import decimals, fixed, signed
from reglab.report.power import MOST, pairs_needed, smallest_difference


@dataclass(frozen=True)
class NotSeen:
    """One comparison with the baseline: with 80 % power `smallest` would have been found, and `line.diff` by `needed`.

    `smallest` is None where no difference is large enough, `needed` where no number of seeds is (see `power`).
    """

    line: Line
    smallest: float | None
    needed: int | None


def not_seen(lines: Sequence[Line], overlap: float) -> list[NotSeen]:
    """Of the rows that stand for their strategies; Holm's family is all rows that were compared."""
    tested = [line for line in lines if line.p is not None]
    found = []
    for line in tested:
        if line.chosen and line.diff is not None and line.diff_std:
            smallest = smallest_difference(line.diff_std, line.pairs, len(tested), overlap)
            found.append(NotSeen(line, smallest, pairs_needed(line.diff, line.diff_std, len(tested), overlap)))
    return found


def sentence(found: Sequence[NotSeen], lines: Sequence[Line], overlap: float) -> str:
    """What the comparisons could have found, and what the best of the undecided ones would need."""
    if not found:
        return ""
    digits = decimals(lines)
    counts = sorted({one.line.pairs for one in found})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    sizes = [one.smallest for one in found if one.smallest is not None]
    if sizes:
        least, most = fixed(min(sizes), digits), fixed(max(sizes), digits)
        size = least if least == most else f"{least} to {most} (by strategy)"
        text = f"With {seeds} paired seeds a difference of {size} would have been found with 80 % power"
    else:
        text = f"With {seeds} paired seeds no difference, however large, would have been found"
    return f"{text}{_wanting(found, digits, overlap)}."


def _wanting(found: Sequence[NotSeen], digits: int, overlap: float) -> str:
    """The best of the undecided comparisons, and how many seeds would decide it."""
    undecided = [one for one in found if one.line.verdict not in ("helps", "hurts") and one.line.diff]
    if not undecided:
        return ""
    best = undecided[0]
    told = f"; the {signed(best.line.diff, digits)} of {best.line.strategy}, were it true,"
    if best.needed is not None:
        return f"{told} would need {best.needed:,} seeds" if best.needed > best.line.pairs else ""
    if overlap:
        return f"{told} is out of reach of any number of seeds, because their splits share rows"
    return f"{told} would need more than {MOST:,} seeds"
