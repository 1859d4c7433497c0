"""Do regularizers add up? A combination's effect against the sum of what its parts do alone, seed by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.report import statistics
from reglab.report.arms import Grid, Row, strengths_of
from reglab.report.question import Question
from reglab.report.select import Choice

NONE = "none"  # effects are against no regularizer at all, whatever the baseline of the report


@dataclass(frozen=True)
class Interaction:
    """One combination. `effect` and `parts` (the sum of the single effects) are means over the same pairs.

    `difference` is effect minus parts. `alike`: every part had the strengths that it has alone. `reason` is as in the
    leaderboard.
    """

    label: str
    effect: float
    parts: float
    difference: statistics.Difference
    alike: bool
    p_holm: float = 1.0
    verdict: str = ""
    reason: str = ""


def interactions(grid: Grid, choice: Choice, question: Question, overlap: float) -> list[Interaction]:
    """Those of all combinations that were run beside each of their parts and `none`, with Holm over them.

    Per seed: combination - none - sum(part - none). Each strategy is told by the row that stands for it; one for which
    none was chosen is left out.
    """
    standing = _standing(grid, choice)
    found = []
    for name, row in standing.items():
        parts = [standing.get(part) for part in name.split("+")]
        whole = [part for part in parts if part is not None]
        if len(parts) > 1 and len(whole) == len(parts) and NONE in standing:
            one = _interaction(row, whole, standing[NONE], question.metric, overlap)
            found += [one] if one is not None else []
    adjusted = statistics.holm([one.difference.p for one in found])
    by_t = statistics.holm([one.difference.p_t for one in found])
    told = [replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True)]
    return [
        _judged(one, len(told), question.higher, p_t if overlap else None) for one, p_t in zip(told, by_t, strict=True)
    ]


def _judged(one: Interaction, comparisons: int, higher: bool, p_t_holm: float | None) -> Interaction:
    """Return the interaction with its verdict, and the reason of `no clear interaction`."""
    verdict, reason = _verdict(one, comparisons, higher, p_t_holm), ""
    if verdict == _UNCLEAR:
        reason = statistics.why_unclear(one.p_holm, one.difference.interval, p_t_holm, comparisons)
    return replace(one, verdict=verdict, reason=reason)


_UNCLEAR = "no clear interaction"


def _verdict(one: Interaction, comparisons: int, higher: bool, p_t_holm: float | None) -> str:
    """`better` or `worse than the sum` where a difference may be claimed, as in the leaderboard."""
    if statistics.claims(one.p_holm, one.difference.interval, p_t_holm):
        return "better than the sum" if (one.difference.mean > 0) == higher else "worse than the sum"
    if statistics.too_few(one.difference.pairs, comparisons):
        return "too few seeds to tell"
    return _UNCLEAR


def _standing(grid: Grid, choice: Choice) -> dict[str, Row]:
    """The row that stands for each strategy that has one and no more."""
    rows: dict[str, list[Row]] = {}
    for row in grid.rows:
        if row.runs and choice.stands(row):
            rows.setdefault(row.strategy, []).append(row)
    return {name: own[0] for name, own in rows.items() if len(own) == 1}


def _interaction(whole: Row, parts: Sequence[Row], none: Row, metric: str, overlap: float) -> Interaction | None:
    """Over the seeds that all rows have; None where there is none."""
    told = [row.values(metric) for row in (whole, none, *parts)]
    cells = [cell for cell in told[0] if all(cell in values for values in told)]
    if not cells:
        return None
    values = np.array([[row[cell] for cell in cells] for row in told])  # (2 + parts, seeds)
    together, base, single = values[0], values[1], values[2:]
    effect, summed = together - base, (single - base).sum(axis=0)
    weights = np.array([1, len(parts) - 1, *[1] * len(parts)])
    errors = weights @ statistics.errors_of(values)
    difference = statistics.paired(effect - summed, errors=errors, overlap=overlap)
    return Interaction(
        whole.label, float(effect.mean()), float(summed.mean()), difference, _same_strengths(whole, parts)
    )


def _same_strengths(whole: Row, parts: Sequence[Row]) -> bool:
    """Whether the combination's runs have the very strengths of its parts' runs."""
    alone = {name: text for part in parts for name, text in _strengths(part, part.strategy).items()}
    together = {name: text for part in parts for name, text in _strengths(whole, part.strategy).items()}
    return alone == together


def _strengths(row: Row, regularizer: str) -> dict[str, frozenset[str]]:
    """All values that each strength of one regularizer takes in the row's runs."""
    told: dict[str, set[str]] = {}
    for record in row.runs.values():
        for name, text in strengths_of(record).items():
            if name.split(".", 1)[0] == regularizer:
                told.setdefault(name, set()).add(text)
    return {name: frozenset(texts) for name, texts in told.items()}
