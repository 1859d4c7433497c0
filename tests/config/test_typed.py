"""Formatted override values, which Hydra's grammar parses to the same values."""

from typing import Any

import pytest

from reglab.config.compose import parse
from reglab.schema.text import quote_value

TEXTS = [
    "a",
    "y, target",
    "it's",
    "it\\'s",
    "a\\b\\",
    "true",
    "Null",
    "3",
    "1e3",
    ".5",
    "a=b",
    "{x}",
    "[1]",
    '"q"',
    "",
    " a ",
]


@pytest.mark.parametrize("value", [*TEXTS, 3, 0.5, None, True, float("inf"), ["a b", "c,d", 1]])
def test_a_formatted_value_is_parsed_to_the_same_value(value: Any) -> None:
    assert parse(f"key={quote_value(value)}").value() == value


def test_plain_words_stay_plain() -> None:
    assert quote_value("/data/my-table.csv") == "/data/my-table.csv"
