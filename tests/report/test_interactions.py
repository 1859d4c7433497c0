"""Interactions of combined regularizers, against values computed by hand."""

import pytest

from reglab.report.findings.interactions import Interaction
from tests.report.runs_by_hand import Rec, accuracies, analyze, rec

NONE = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75, 0.72, 0.74]


def up(*by: float) -> list[float]:
    """Return the values of `none` plus an effect for each seed."""
    return [value + effect for value, effect in zip(NONE, by, strict=True)]


L1 = up(0.02, 0.01, 0.03, 0.02, 0.02, 0.01, 0.03, 0.02)
L2 = up(0.01, 0.01, 0.02, 0.00, 0.01, 0.01, 0.02, 0.00)  # mean effects .02 and .01
BOTH = up(0.02, 0.01, 0.03, 0.00, 0.01, 0.01, 0.03, 0.01)  # mean .015; minus the sum: -.01 -.01 -.02 -.02 ...


def interactions_of(records: list[Rec], **options: str) -> dict[str, Interaction]:
    return {interaction.label: interaction for interaction in analyze(records, **options).tasks[0].interactions}


def test_an_interaction_by_hand() -> None:
    interaction = interactions_of(accuracies({"none": NONE, "l1": L1, "l2": L2, "l1+l2": BOTH}))["l1+l2"]
    assert (interaction.effect, interaction.parts) == (pytest.approx(0.015), pytest.approx(0.03))
    # Seed by seed -.01, -.01, -.02, -.02, -.02, -.01, -.02, -.01: mean -.015, s^2 = 2/7 e-4, t(.975, 7) = 2.364624,
    # variance factor 1/8 + 200/800
    half = 2.364624 * (2e-4 / 7 * (1 / 8 + 0.25)) ** 0.5
    assert interaction.difference.mean == pytest.approx(-0.015)
    assert interaction.difference.interval == pytest.approx((-0.015 - half, -0.015 + half), abs=1e-8)
    assert interaction.difference.p == interaction.p_holm == pytest.approx(2 / 2**8)  # ties, all on one side: exact
    assert interaction.verdict == "worse than the sum"
    down = interactions_of(accuracies({"none": NONE, "l1": L1, "l2": L2, "l1+l2": BOTH}), direction="min")["l1+l2"]
    assert down.verdict == "better than the sum"


def test_parts_that_add_up_have_no_interaction() -> None:
    combined = [a + b - n for a, b, n in zip(L1, L2, NONE, strict=True)]
    interaction = interactions_of(accuracies({"none": NONE, "l1": L1, "l2": L2, "l1+l2": combined}))["l1+l2"]
    assert (interaction.difference.mean, interaction.difference.p) == (0, 1)  # rounding errors are no differences
    assert interaction.verdict == "no clear interaction"


def test_three_parts_and_holm_over_all_combinations() -> None:
    l3 = [n - 0.01 for n in NONE]
    three = [a + b - n + 0.002 * (i + 1) for i, (a, b, n) in enumerate(zip(L1, L2, NONE, strict=True))]
    values = {"none": NONE, "l1": L1, "l2": L2, "l3": l3, "l1+l2": BOTH, "l1+l2+l3": three, "l1+l3": L1}
    interactions = interactions_of(accuracies(values))
    assert set(interactions) == {"l1+l2", "l1+l2+l3", "l1+l3"}
    # sum of three singles .02 + .01 - .01; together .03 + .009
    assert interactions["l1+l2+l3"].parts == pytest.approx(0.02)
    assert interactions["l1+l2+l3"].effect == pytest.approx(0.039)
    assert interactions["l1+l2+l3"].difference.mean == pytest.approx(0.019)
    assert interactions["l1+l3"].difference.mean == pytest.approx(0.01)
    assert [interactions[name].p_holm for name in interactions] == pytest.approx([3 * 2 / 2**8] * 3)


def test_an_interaction_whose_p_its_interval_contradicts_has_a_reason() -> None:
    apart = [0.001, 0.002, 0.060, 0.003, 0.004, 0.070, 0.005, 0.006]  # all on one side, two of them far out
    combined = [a + b - n + e for a, b, n, e in zip(L1, L2, NONE, apart, strict=True)]
    interaction = interactions_of(accuracies({"none": NONE, "l1": L1, "l2": L2, "l1+l2": combined}))["l1+l2"]
    assert interaction.p_holm == pytest.approx(2 / 2**8)
    assert interaction.verdict == "no clear interaction"
    assert "interval of the difference includes zero" in interaction.reason
    assert not interactions_of(accuracies({"none": NONE, "l1": L1, "l2": L2, "l1+l2": BOTH}))["l1+l2"].reason


def test_only_seeds_of_all_arms_are_pairs() -> None:
    values = {"none": NONE, "l1": L1[:6], "l2": L2, "l1+l2": [*BOTH[:5], 0.99]}
    interaction = interactions_of(accuracies(values))["l1+l2"]
    assert (interaction.difference.pairs, interaction.verdict) == (6, "no clear interaction")
    assert interaction.parts == pytest.approx((0.11 + 0.06) / 6)
    assert interactions_of(accuracies({"none": NONE, "l1": [], "l2": L2, "l1+l2": BOTH})) == {}


def test_five_seeds_are_too_few() -> None:
    values = {"none": NONE, "l1": L1, "l2": L2, "l1+l2": BOTH}
    interaction = interactions_of(accuracies({name: of_seeds[:5] for name, of_seeds in values.items()}))["l1+l2"]
    assert (interaction.difference.p, interaction.verdict) == (0.0625, "too few seeds to tell")


def test_without_all_parts_or_none_there_is_no_interaction() -> None:
    assert interactions_of(accuracies({"none": NONE, "l1": L1, "l1+l2": BOTH})) == {}
    assert interactions_of(accuracies({"l1": L1, "l2": L2, "l1+l2": BOTH})) == {}


def test_effects_are_against_none_whatever_the_baseline() -> None:
    records = accuracies({"none": NONE, "l1": L1, "l2": L2, "l1+l2": BOTH})
    assert interactions_of(records, baseline="l2") == interactions_of(records)


def strong(strategy: str, values: list[float], **strengths: float) -> list[Rec]:
    named = {f"{name}.strength": value for name, value in strengths.items()}
    return [
        rec(strategy, seed, {"test/accuracy": value, "val/accuracy": value}, strengths=named)
        for seed, value in enumerate(values)
    ]


def test_selected_arms_are_used_and_different_strengths_are_marked() -> None:
    parts = [
        *strong("none", NONE),
        *strong("l1", L1, l1=0.1),
        *strong("l1", [v - 0.1 for v in L1], l1=0.5),
        *strong("l2", L2, l2=1),
    ]
    same = interactions_of([*parts, *strong("l1+l2", BOTH, l1=0.1, l2=1)])["l1+l2"]
    assert same.difference.mean == pytest.approx(-0.015)  # against the strength of l1 that validation chose
    assert same.same_strengths
    different = interactions_of([*parts, *strong("l1+l2", BOTH, l1=0.5, l2=1)])["l1+l2"]
    assert different.difference.mean == same.difference.mean
    assert not different.same_strengths
