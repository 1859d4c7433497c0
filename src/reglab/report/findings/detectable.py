"""Minimum detectable differences of a task's comparisons, and the seeds that observed differences would need."""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.report.findings.leaderboard import Entry, decimal_places
from reglab.report.number_format import format_fixed, format_signed
from reglab.report.statistics.power import MAX_PAIRS, minimum_detectable_difference, pairs_needed


@dataclass(frozen=True)
class DetectableDifference:
    """Sensitivity of one comparison with the baseline.

    Attributes:
        entry: the comparison.
        smallest: minimum detectable difference at 80 % power; None if no difference can be significant.
        needed: seeds with which the observed difference, if it were the true one, would be found with 80 % power; None
            if there is no such number (see `power.pairs_needed`).
    """

    entry: Entry
    smallest: float | None
    needed: int | None


def detectable_differences(entries: Sequence[Entry], overlap: float) -> list[DetectableDifference]:
    """Return those of the entries that represent their strategies, adjusted for all comparisons of the leaderboard."""
    tested = [entry for entry in entries if entry.p is not None]
    return [
        DetectableDifference(
            entry,
            minimum_detectable_difference(entry.diff_std, entry.pairs, len(tested), overlap),
            pairs_needed(entry.diff, entry.diff_std, len(tested), overlap),
        )
        for entry in tested
        if entry.chosen and entry.diff is not None and entry.diff_std
    ]


def describe_detectable(found: Sequence[DetectableDifference], entries: Sequence[Entry], overlap: float) -> str:
    """Return a sentence with the range of detectable differences and the seeds needed for the best unclear entry."""
    if not found:
        return ""
    digits = decimal_places(entries)
    counts = sorted({one.entry.pairs for one in found})
    seeds = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{counts[0]}"
    sizes = [one.smallest for one in found if one.smallest is not None]
    if sizes:
        least, most = format_fixed(min(sizes), digits), format_fixed(max(sizes), digits)
        size = least if least == most else f"{least} to {most} (by strategy)"
        text = f"Minimum detectable difference with {seeds} paired seeds: {size}, at 80 % power"
    else:
        text = f"With {seeds} paired seeds no difference, however large, could be significant"
    return f"{text}.{_describe_needed(found, digits, overlap)}"


def _describe_needed(found: Sequence[DetectableDifference], digits: int, overlap: float) -> str:
    unclear = [one for one in found if not one.entry.claimed and one.entry.diff]
    if not unclear:
        return ""
    best = unclear[0]
    difference = f"{format_signed(best.entry.diff, digits)} of {best.entry.strategy}"
    if best.needed is not None:
        if best.needed <= best.entry.pairs:
            return ""
        return f" If the observed {difference} were the true difference, {best.needed:,} seeds would be needed."
    if overlap:
        return (
            f" If the observed {difference} were the true difference, no number of seeds would be enough, because "
            "splits share rows."
        )
    return f" If the observed {difference} were the true difference, more than {MAX_PAIRS:,} seeds would be needed."
