"""Suggestions for mistyped names."""

import pytest

from reglab.schema.errors import Setting
from reglab.schema.suggest import did_you_mean, nearest, no_such_option_error, not_in_strategy_error, section_error

NAMES = ["dropout", "drop_block", "l2"]


@pytest.mark.parametrize(
    ("word", "suggestion"), [("dropuot", "dropout"), ("DROPOUT", "dropout"), ("zzz", None), ("", None)]
)
def test_the_nearest_name_is_found_in_any_case(word: str, suggestion: str | None) -> None:
    assert nearest(word, NAMES) == suggestion
    assert did_you_mean(word, NAMES) == (f"; did you mean {suggestion}?" if suggestion else "")


def test_an_unknown_option_lists_all_in_order() -> None:
    error = no_such_option_error(Setting("regularizer", "droput"), NAMES)
    assert (error.key, error.value) == ("regularizer", "droput")
    assert "did you mean dropout?" in error.problem
    assert "drop_block, dropout, l2" in error.problem


def test_remedies_name_the_keys_to_set() -> None:
    assert not_in_strategy_error("regularizer.l1.strength", "the strategy is none", "l1").remedy == "add regularizer=l1"
    assert section_error("report", ["report.dir", "report.keep"]).remedy == "set report.dir or report.keep"
    assert section_error("report", []).remedy == "set its keys"
