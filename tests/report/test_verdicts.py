"""Verdicts from test results, directions and kinds of pairs."""

import pytest

from reglab.report.findings.verdicts import Verdict, verdict_on_interaction, verdict_on_strategy


@pytest.mark.parametrize(("outcome", "higher", "helps"), [("positive", True, True), ("positive", False, False)])
def test_a_difference_helps_or_hurts_by_its_direction(outcome: str, higher: bool, helps: bool) -> None:
    opposite = "negative"
    verdicts = [verdict_on_strategy(o, higher=higher, over_data_sets=False) for o in (outcome, opposite)]  # type: ignore[arg-type]
    assert verdicts == ([Verdict.HELPS, Verdict.HURTS] if helps else [Verdict.HURTS, Verdict.HELPS])
    sums = [verdict_on_interaction(o, higher=higher) for o in (outcome, opposite)]  # type: ignore[arg-type]
    assert [verdict is Verdict.BETTER_THAN_SUM for verdict in sums] == [helps, not helps]
    assert all(verdict.is_difference for verdict in verdicts)


def test_too_few_pairs_are_named_by_their_kind() -> None:
    assert verdict_on_strategy("too few", higher=True, over_data_sets=True) is Verdict.TOO_FEW_DATA_SETS
    assert verdict_on_strategy("too few", higher=True, over_data_sets=False) is Verdict.TOO_FEW_SEEDS
    assert verdict_on_interaction("too few", higher=True) is Verdict.TOO_FEW_SEEDS
    assert [verdict for verdict in Verdict if verdict.too_few] == [Verdict.TOO_FEW_SEEDS, Verdict.TOO_FEW_DATA_SETS]


def test_texts_of_csv_files_are_unchanged() -> None:
    assert [str(verdict) for verdict in (Verdict.HELPS, Verdict.UNCLEAR, Verdict.UNTESTED)] == [
        "helps",
        "no clear difference",
        "",
    ]
    assert verdict_on_strategy("unclear", higher=True, over_data_sets=False) is Verdict.UNCLEAR
    assert not Verdict.UNCLEAR.is_difference
