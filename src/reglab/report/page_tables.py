"""The page's tables: cells as they are shown."""

from collections.abc import Sequence
from typing import Any

from reglab.report import number_format as figures
from reglab.report.findings import TaskFindings
from reglab.report.interactions import Interaction
from reglab.report.leaderboard import Line
from reglab.report.many_tasks import Pair
from reglab.report.not_seen import NotSeen


def leaderboard(lines: Sequence[Line]) -> dict[str, Any]:
    """A leaderboard's cells as they are shown."""
    digits = figures.decimals(lines)
    return {
        "selected": any(line.selected_on is not None for line in lines),
        "seconds": any(line.seconds is not None for line in lines),
        "lines": [
            {
                "line": line,
                "rank": figures.rank(line.rank),
                "mean": figures.fixed(line.mean, digits),
                "std": figures.fixed(line.std, digits),
                "interval": figures.between(line.interval, digits),
                "diff": figures.signed(line.diff, digits),
                "diff_interval": figures.between(line.diff_interval, digits, sign=True),
                "p": figures.p_value(line.p),
                "p_holm": figures.p_value(line.p_holm),
                "selected_on": figures.fixed(line.selected_on, digits),
                "seconds": figures.seconds(line.seconds),
            }
            for line in lines
        ],
    }


def pairs(told: Sequence[Pair], digits: int) -> list[dict[str, Any]]:
    """All strategies against each other over data sets."""
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "diff": figures.signed(pair.difference.mean, digits),
            "interval": figures.between(pair.difference.interval, digits, sign=True),
            "p": figures.p_value(pair.difference.p),
            "p_holm": figures.p_value(pair.p_holm),
            "verdict": "differ" if pair.told_apart else "not shown to differ",
        }
        for pair in told
    ]


def combinations(told: Sequence[Interaction], digits: int) -> list[dict[str, Any]]:
    """Combinations against the sum of their parts."""
    return [
        {
            "label": one.label,
            "pairs": one.difference.pairs,
            "effect": figures.signed(one.effect, digits),
            "parts": figures.signed(one.parts, digits),
            "diff": figures.signed(one.difference.mean, digits),
            "interval": figures.between(one.difference.interval, digits, sign=True),
            "p": figures.p_value(one.difference.p),
            "p_holm": figures.p_value(one.p_holm),
            "verdict": one.verdict,
            "reason": one.reason,
            "alike": one.alike,
        }
        for one in told
    ]


def _needed(one: NotSeen) -> str:
    """Seeds that the difference seen would need; nothing where it was found."""
    if one.line.verdict in ("helps", "hurts"):
        return figures.NONE
    return f"{one.needed:,}" if one.needed is not None else "out of reach"


def not_seen(found: TaskFindings, digits: int) -> list[dict[str, Any]]:
    """What each comparison could have found, and the seeds that its own difference would need."""
    return [
        {
            "line": one.line,
            "diff": figures.signed(one.line.diff, digits),
            "spread": figures.fixed(one.line.diff_std, digits),
            "smallest": figures.fixed(one.smallest, digits) if one.smallest is not None else "none",
            "needed": _needed(one),
        }
        for one in found.not_seen
    ]
