"""Parsing of numbers in text columns: notations, missing values and errors."""

import numpy as np
import pandas as pd
import pytest

from reglab.data.tables.cells import ColumnLabel, as_text, is_missing_word, spelling_pairs
from reglab.data.tables.numbers import PLAIN, Notation, check_same_number, parse_numbers
from reglab.schema.errors import ConfigError, Setting

LABEL = ColumnLabel(Setting("data.path", "t.csv"), "column 'x'")


def parse(*cells: object, **options: bool):
    return parse_numbers(pd.Series(list(cells)), LABEL, **options)


@pytest.mark.parametrize(
    ("cells", "values", "notation"),
    [
        (("1.5", "-2", "1e3"), [1.5, -2, 1000], PLAIN),
        (("1,5", "2,25"), [1.5, 2.25], Notation(",", "")),
        (("1,234.5", "2,000,000.25"), [1234.5, 2000000.25], Notation(".", ",")),
        (("1.234,5", "7,0"), [1234.5, 7], Notation(",", ".")),
        (("1'234.5", "2\u2019000.5"), [1234.5, 2000.5], Notation(".", "'")),
        (("1\u202f234,5", "12 000,5"), [1234.5, 12000.5], Notation(",", " ")),
        (("\u22125", "3"), [-5, 3], PLAIN),
        (("$5", "$ 7.5"), [5, 7.5], PLAIN),
        (("45%", "3.5 %"), [45, 3.5], PLAIN),
    ],
)
def test_notations(cells, values, notation):
    parsed = parse(*cells).resolve(LABEL)
    assert parsed.values.tolist() == values
    assert parsed.notation == notation


def test_words_for_missing_values():
    parsed = parse("1", "?", "", "NA", None, "-")
    assert np.isnan(parsed.values).tolist() == [False, True, True, True, True, True]
    assert parsed.notes == ("'?', '-' counts as a missing value",)
    assert is_missing_word(" n/a ")
    assert not is_missing_word("none of these")


def test_booleans_and_codes():
    parsed = parse("true", "FALSE", "")
    assert parsed.boolean
    np.testing.assert_array_equal(parsed.values, [1, 0, np.nan])
    assert parse("007", "012") is None
    assert parse("red", "blue") is None


def test_commas_are_resolved_by_the_other_columns():
    parsed = parse("1,234", "2,500")
    with pytest.raises(ConfigError) as caught:
        parsed.resolve(LABEL)
    assert caught.value.where == LABEL.where
    assert "is ambiguous (1,234.5 or 1234,5)" in caught.value.problem
    assert parsed.resolve(LABEL, frozenset(".")).values.tolist() == [1234, 2500]
    assert parsed.resolve(LABEL, frozenset(",")).values.tolist() == [1.234, 2.5]


@pytest.mark.parametrize(
    ("cells", "options", "words"),
    [
        (["inf", "1"], {}, "infinite number in data row 1"),
        (["2020-01-31", "2020-02-01"], {}, "contains dates"),
        ([*map(str, range(30)), "unknown"], {}, "1 of 31 cells, the first 'unknown' in data row 31"),
        (["(5.5)", "1"], {}, "in an unknown notation"),
        ([f"{i} kg" for i in range(21)], {}, "21 different amounts with a unit"),
        ([str(2**60), str(2**60 + 1)], {}, "equal as float64"),
    ],
)
def test_errors_name_the_column_and_the_cell(cells, options, words):
    with pytest.raises(ConfigError) as caught:
        parse(*cells, **options)
    assert caught.value.key == "data.path"
    assert caught.value.problem.startswith("column 'x' ")
    assert words in caught.value.problem
    if "infinite" not in words and "float64" not in words:
        assert parse(*cells, strict=False) is None


def test_names_that_are_one_number():
    check_same_number(["1", "2", "one"], LABEL)
    with pytest.raises(ConfigError, match=r"'7' and '007' of .* are the same number"):
        check_same_number(["7", "x", "007"], LABEL)


def test_spellings():
    assert spelling_pairs(["a", "b"]) == []
    assert spelling_pairs(["new york", "New  York"]) == ["'new york' and 'New  York'"]
    assert spelling_pairs(["caf\u00e9", "cafe\u0301"]) == [r"'caf\xe9' and 'cafe\u0301'"]


def test_text_without_blanks():
    assert as_text(pd.Series([" a ", "", None, 3])).isna().tolist() == [False, True, True, False]
