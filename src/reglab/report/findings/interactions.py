"""Interactions of regularizers: the effect of a combination minus the sum of the effects of its parts, by seed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reglab.report.arms import Arm, ArmTable, Selection, tracked_strengths
from reglab.report.findings.verdicts import Verdict, verdict_on_interaction
from reglab.report.question import Question
from reglab.report.statistics import paired
from reglab.report.statistics.paired import Difference

NONE = "none"  # effects are differences from no regularizer, whatever the baseline of the report is


@dataclass(frozen=True)
class Interaction:
    """Interaction of one combination.

    Attributes:
        label: label of the combination's arm.
        effect: mean difference of the combination from `none`.
        parts: sum of the mean differences of its parts from `none`, over the same seeds.
        difference: `effect` minus `parts`.
        same_strengths: whether each part has the same strengths alone and in the combination.
        p_holm: p value of Wilcoxon's test, adjusted for all combinations of the task.
        verdict, reason: see `Entry` of the leaderboard.
    """

    label: str
    effect: float
    parts: float
    difference: Difference
    same_strengths: bool
    p_holm: float = 1.0
    verdict: Verdict = Verdict.UNTESTED
    reason: str = ""


def find_interactions(table: ArmTable, selection: Selection, question: Question, overlap: float) -> list[Interaction]:
    """Return the interactions of all combinations that were run together with each of their parts and `none`.

    For each seed: combination - none - sum(part - none), with the arms that represent the strategies. Strategies that
    several arms represent are left out.
    """
    arms = _representatives(table, selection)
    interactions = []
    for name, arm in arms.items():
        parts = [arms[part] for part in name.split("+") if part in arms]
        if len(parts) < 2 or len(parts) != len(name.split("+")) or NONE not in arms:
            continue
        interaction = _interaction(arm, parts, arms[NONE], question.metric, overlap)
        if interaction is not None:
            interactions.append(interaction)
    p_holm = paired.holm([interaction.difference.p for interaction in interactions])
    p_t_holm = paired.holm([interaction.difference.p_t for interaction in interactions])
    return [
        _judge(replace(interaction, p_holm=p), len(interactions), question.higher, p_t if overlap else None)
        for interaction, p, p_t in zip(interactions, p_holm, p_t_holm, strict=True)
    ]


def _judge(interaction: Interaction, comparisons: int, higher: bool, p_t_holm: float | None) -> Interaction:
    """Return the interaction with verdict and reason."""
    difference = interaction.difference
    outcome, reason = paired.judge_difference(
        difference.mean, difference.interval, interaction.p_holm, p_t_holm, difference.pairs, comparisons
    )
    return replace(interaction, verdict=verdict_on_interaction(outcome, higher=higher), reason=reason)


def _representatives(table: ArmTable, selection: Selection) -> dict[str, Arm]:
    """Return by strategy the arm that represents it, if there is only one."""
    arms: dict[str, list[Arm]] = {}
    for arm in table.arms:
        if arm.runs and selection.represents(arm):
            arms.setdefault(arm.strategy, []).append(arm)
    return {name: own[0] for name, own in arms.items() if len(own) == 1}


def _interaction(whole: Arm, parts: Sequence[Arm], none: Arm, metric: str, overlap: float) -> Interaction | None:
    """Return the interaction over the replicates that all arms have; None if there are none."""
    by_arm = [arm.values(metric) for arm in (whole, none, *parts)]
    replicates = [replicate for replicate in by_arm[0] if all(replicate in values for values in by_arm)]
    if not replicates:
        return None
    values = np.array([[own[replicate] for replicate in replicates] for own in by_arm])  # (2 + parts, seeds)
    together, base, alone = values[0], values[1], values[2:]
    effect, summed = together - base, (alone - base).sum(axis=0)
    weights = np.array([1, len(parts) - 1, *[1] * len(parts)])  # how often each value enters the difference
    errors = weights @ paired.float32_errors(values)
    return Interaction(
        label=whole.label,
        effect=float(effect.mean()),
        parts=float(summed.mean()),
        difference=paired.paired_difference(effect - summed, errors=errors, overlap=overlap),
        same_strengths=_same_strengths(whole, parts),
    )


def _same_strengths(whole: Arm, parts: Sequence[Arm]) -> bool:
    alone = {name: values for part in parts for name, values in _strengths(part, part.strategy).items()}
    together = {name: values for part in parts for name, values in _strengths(whole, part.strategy).items()}
    return alone == together


def _strengths(arm: Arm, regularizer: str) -> dict[str, frozenset[str]]:
    """Return all values of each strength of one regularizer in the arm's runs."""
    values: dict[str, set[str]] = {}
    for record in arm.runs.values():
        for name, text in tracked_strengths(record).items():
            if name.split(".", 1)[0] == regularizer:
                values.setdefault(name, set()).add(text)
    return {name: frozenset(texts) for name, texts in values.items()}
