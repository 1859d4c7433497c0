"""Metric values, names and texts of tracked runs, and the formatting of numbers."""

import math

import pytest

from reglab.report.number_format import (
    MISSING,
    format_fixed,
    format_interval,
    format_p,
    format_rank,
    format_seconds,
    format_signed,
)
from reglab.report.records import escape_record, escape_values, finite_metric, normalize_number, numeric_order
from tests.report.runs_by_hand import rec


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.8e308])
def test_values_that_are_not_finite_are_missing(value: float) -> None:
    assert finite_metric(rec("l1", 0, {"test/loss": value}), "test/loss") is None
    assert finite_metric(rec("l1", 0, {"test/loss": 0.5}), "test/loss") == 0.5
    assert finite_metric(rec("l1", 0), "test/loss") is None


def test_control_characters_are_escaped_in_all_texts() -> None:
    assert escape_values({"a\x1b": ["\x07", 1, None, {"b": ("\r",)}]}) == {"a\\x1b": ["\\x07", 1, None, {"b": ["\\r"]}]}
    clean = rec("l1", 0, {"test/accuracy": 0.5})
    assert escape_record(clean) is clean
    escaped = escape_record(rec("l1\x1b[2J", 0, {"test/accuracy": 0.5}))
    assert "\x1b" not in escaped.tags["strategy"]
    assert escaped.metrics == {"test/accuracy": 0.5}


def test_numbers_are_ordered_before_other_text() -> None:
    assert sorted(["b", "10", "9", "1e-3", "a"], key=numeric_order) == ["1e-3", "9", "10", "a", "b"]
    assert [normalize_number(text) for text in ("0.30", "3e-1", "inf", "relu")] == ["0.3", "0.3", "inf", "relu"]


def test_missing_numbers_are_shown_as_a_dash() -> None:
    formats = (format_p(None), format_rank(None), format_seconds(None), format_interval(None, 2))
    assert {format_fixed(None, 2), format_signed(None, 2), *formats} == {MISSING}


def test_ranks_and_seconds() -> None:
    assert [format_rank(rank) for rank in (1, 2.5, 3.333)] == ["1", "2.5", "3.33"]
    assert [format_seconds(seconds) for seconds in (0.123, 12.34, 123.4)] == ["0.12", "12.3", "123"]
