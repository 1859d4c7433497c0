"""Tables of the page: values formatted as they are shown."""

from collections.abc import Sequence
from typing import Any

from reglab.report.findings.detectable import DetectableDifference
from reglab.report.findings.interactions import Interaction
from reglab.report.findings.leaderboard import Entry, decimal_places
from reglab.report.number_format import (
    MISSING,
    format_fixed,
    format_interval,
    format_p,
    format_rank,
    format_seconds,
    format_signed,
)
from reglab.report.statistics.data_sets import Pair


def leaderboard_table(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the rows of a leaderboard, and which optional columns it has."""
    digits = decimal_places(entries)
    return {
        "selected": any(entry.selected_on is not None for entry in entries),
        "seconds": any(entry.seconds is not None for entry in entries),
        "rows": [
            {
                "entry": entry,
                "rank": format_rank(entry.rank),
                "mean": format_fixed(entry.mean, digits),
                "std": format_fixed(entry.std, digits),
                "interval": format_interval(entry.interval, digits),
                "diff": format_signed(entry.diff, digits),
                "diff_interval": format_interval(entry.diff_interval, digits, sign=True),
                "p": format_p(entry.p),
                "p_holm": format_p(entry.p_holm),
                "selected_on": format_fixed(entry.selected_on, digits),
                "seconds": format_seconds(entry.seconds),
            }
            for entry in entries
        ],
    }


def pair_rows(pairs: Sequence[Pair], digits: int) -> list[dict[str, Any]]:
    """Return the rows of all pairs of strategies over data sets."""
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "diff": format_signed(pair.difference.mean, digits),
            "interval": format_interval(pair.difference.interval, digits, sign=True),
            "p": format_p(pair.difference.p),
            "p_holm": format_p(pair.p_holm),
            "verdict": "differ" if pair.differs else "not shown to differ",
        }
        for pair in pairs
    ]


def interaction_rows(interactions: Sequence[Interaction], digits: int) -> list[dict[str, Any]]:
    """Return the rows of combinations against the sum of their parts."""
    return [
        {
            "label": one.label,
            "pairs": one.difference.pairs,
            "effect": format_signed(one.effect, digits),
            "parts": format_signed(one.parts, digits),
            "diff": format_signed(one.difference.mean, digits),
            "interval": format_interval(one.difference.interval, digits, sign=True),
            "p": format_p(one.difference.p),
            "p_holm": format_p(one.p_holm),
            "verdict": one.verdict,
            "reason": one.reason,
            "same_strengths": one.same_strengths,
        }
        for one in interactions
    ]


def detectable_rows(found: Sequence[DetectableDifference], digits: int) -> list[dict[str, Any]]:
    """Return the rows of minimum detectable differences."""
    return [
        {
            "entry": one.entry,
            "diff": format_signed(one.entry.diff, digits),
            "spread": format_fixed(one.entry.diff_std, digits),
            "smallest": format_fixed(one.smallest, digits) if one.smallest is not None else "out of reach",
            "needed": _format_needed(one),
        }
        for one in found
    ]


def _format_needed(one: DetectableDifference) -> str:
    """Return the seeds that the observed difference needs; `MISSING` if it is already significant."""
    if one.entry.claimed:
        return MISSING
    return f"{one.needed:,}" if one.needed is not None else "out of reach"
