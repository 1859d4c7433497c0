"""Caveats on features: row numbers, identifiers, leaks, sentinels, dates, repeated rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from reglab.data.tables.caveats import feature_caveats
from reglab.data.tables.features import TableFeatures
from reglab.data.tables.target import encode_target
from reglab.schema.errors import Setting

N = 60
RNG = np.random.default_rng(0)
NOISE = RNG.normal(size=N)
CLASSES = RNG.permutation(np.resize(["a", "b"], N))


def caveats(target: Any = CLASSES, **columns: Any) -> list[str]:
    features = TableFeatures(pd.DataFrame(columns), Setting("data.path", "t.csv"))
    return list(feature_caveats(features, encode_target(pd.Series(target))))


def test_noise_gives_no_caveat() -> None:
    assert caveats(x=NOISE) == []
    assert caveats(target=RNG.normal(size=N), x=NOISE) == []


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (np.arange(N), "rows' order"),
        (-np.arange(N) / 7, "rows' order"),
        (RNG.permutation(N), "as an identifier has"),
        (RNG.permutation(N) / 7, "evenly spaced"),
        (np.where(CLASSES == "a", 1, 2), "leaks the target"),
        (np.where(np.arange(N) < 3, -999, NOISE.round(3)), "-999 is far"),
        (RNG.choice([20200131, 20200229, 20191231, 20180615], N), "days written as numbers"),
        (np.ones(N), "nothing to learn from"),
    ],
    ids=["rising", "falling", "identifier", "spaced", "leak", "sentinel", "days", "constant"],
)
def test_a_suspicious_column_is_reported_by_name(column: Any, words: str) -> None:
    (caveat,) = caveats(x=column)
    assert words in caveat
    assert ("'x'" in caveat) != (words == "nothing to learn from")


def test_a_linear_function_of_a_numeric_target_is_reported() -> None:
    target = RNG.normal(size=N)
    (caveat,) = caveats(target=target, x=NOISE, copy=3 - 2 * target)
    assert "linear function" in caveat
    assert "data.ignore=[copy]" in caveat


def test_repeated_rows_are_counted_without_their_first() -> None:
    rows = np.concatenate([np.arange(30), np.arange(30)])
    (caveat,) = caveats(target=CLASSES[rows], x=NOISE[rows])
    assert caveat.startswith("30 of 60 rows")


def test_columns_of_one_kind_share_a_caveat() -> None:
    (caveat,) = caveats(one=np.arange(N), two=np.arange(N) * 2)
    assert "'one'" in caveat
    assert "'two'" in caveat


def test_small_tables_give_no_caveats() -> None:
    assert caveats(target=["a", "b"] * 9, x=np.arange(18)) == []
