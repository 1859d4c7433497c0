"""Splits by a column of the table: groups, predefined parts and time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from reglab.config.compose import Composer
from reglab.data import Csv
from reglab.data.base import TensorData
from reglab.data.splitting.methods import GroupSplit, TimeSplit
from reglab.data.splitting.random import Rows, SplitSettings
from reglab.schema.errors import ConfigError
from tests.errors import check_error

N = 120
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "x": RNG.normal(size=N).round(3),
        "z": RNG.normal(size=N).round(3),
        "patient": [f"p{number}" for number in RNG.integers(0, 25, N)],
        "part": np.resize(["train", "train", "train", "Valid", "test"], N),
        "day": [f"2026-{1 + number // 28:02}-{1 + number % 28:02}" for number in RNG.integers(0, 84, N)],
        "label": np.resize(["a", "b"], N),
    }
)
COLUMN = {"groups": "patient", "parts": "part", "time": "day"}


def ready(folder: Path, by: str, table: pd.DataFrame = TABLE, **options: Any) -> Csv:
    path = folder / "table.csv"
    table[["x", "z", COLUMN.get(by, "day"), "label"]].to_csv(path, index=False)
    named = {"split_column": COLUMN.get(by), "target": "label", "seed": 0, "split_seed": 0, **options}
    data = Csv(path=str(path), split_by=by, **named)
    data.setup()
    return data


def parts(data: TensorData) -> list[list[int]]:
    return [sorted(rows.tolist()) for rows in (data.parts.train, data.parts.val, data.parts.test)]


def settings(**changed: Any) -> SplitSettings:
    return SplitSettings(**{"split_seed": 0, "train_size": None, "val_fraction": 0.2, "test_fraction": 0.2, **changed})


@pytest.mark.parametrize("by", COLUMN)
def test_the_column_is_no_feature_and_every_row_is_in_one_part(tmp_path: Path, by: str) -> None:
    data = ready(tmp_path, by)
    assert data.input_shape == (2,)
    train, val, test = parts(data)
    assert sorted(train + val + test) == list(range(N))
    assert min(len(train), len(val), len(test)) > 0
    assert torch.allclose(data.train.inputs.mean(dim=0), torch.zeros(2), atol=1e-6)


@pytest.mark.parametrize("by", COLUMN)
def test_splits_are_deterministic_and_train_size_does_not_change_validation_and_test(tmp_path: Path, by: str) -> None:
    full, again, few = (ready(tmp_path, by, train_size=size) for size in (None, None, 11))
    assert full.split_hash == again.split_hash
    assert parts(few)[1:] == parts(full)[1:]
    assert set(parts(few)[0]) < set(parts(full)[0])
    assert few.train_rows == 11


@pytest.mark.parametrize("by", COLUMN)
def test_only_splits_by_groups_depend_on_the_seed(tmp_path: Path, by: str) -> None:
    first, second = ready(tmp_path, by), ready(tmp_path, by, seed=1, split_seed=1)
    assert (parts(first) != parts(second)) == (by == "groups")
    # A report recognizes a shared split by its hash.
    assert (first.split_hash != second.split_hash) == (by == "groups")


@pytest.mark.parametrize("by", COLUMN)
def test_training_rows_are_in_random_order(tmp_path: Path, by: str) -> None:
    order = ready(tmp_path, by).parts.train
    assert not np.array_equal(order, np.sort(order))
    assert not np.array_equal(TABLE["day"].iloc[order], TABLE["day"].iloc[order].sort_values())


@pytest.mark.parametrize("seed", range(20))
def test_no_group_is_in_two_parts_and_shares_are_approximate(tmp_path: Path, seed: int) -> None:
    data = ready(tmp_path, "groups", split_seed=seed)
    groups = [set(TABLE["patient"].iloc[rows]) for rows in parts(data)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    largest = TABLE["patient"].value_counts().max()
    for rows in parts(data)[1:]:
        assert abs(len(rows) - 24) <= largest / 2


def test_groups_by_hand() -> None:
    """With groups of 6, 2, 1 and 1 rows, test and validation are the group of 2 and the groups of 1."""
    numbered = np.array([0] * 6 + [1, 1, 2, 3])
    for seed in range(20):
        cut = GroupSplit("g", numbered, "abcd").split(settings(split_seed=seed))
        held_out = sorted(sorted(rows.tolist()) for rows in (cut.val, cut.test))
        # After a group of 1, the group of 2 would exceed the share by as much as 1 falls short, so it is skipped.
        assert held_out in ([[6, 7], [8, 9]], [[6, 7], [8]], [[6, 7], [9]], [[8], [9]])
        assert set(cut.train) >= set(range(6))


def test_a_large_group_is_trained_on_and_a_part_is_never_empty() -> None:
    for seed in range(20):
        cut = GroupSplit("g", np.array([0] * 8 + [1, 2]), "abc").split(settings(split_seed=seed))
        assert sorted(cut.train) == list(range(8))
        cut = GroupSplit("g", np.array([0] * 6 + [1] * 4), "ab").split(settings(split_seed=seed, val_fraction=0.0))
        assert sorted(cut.test) == [6, 7, 8, 9]


def test_groups_are_drawn_again_until_every_class_has_a_training_row() -> None:
    numbered = np.repeat(np.arange(10), 4)
    classes = np.where(numbered < 2, 1, 0)  # two of ten groups hold the second class
    for seed in range(30):
        cut = GroupSplit("g", numbered, "abcdefghij").split(settings(split_seed=seed, classes=classes))
        assert set(classes[cut.train]) == {0, 1}


def test_parts_are_those_of_the_column(tmp_path: Path) -> None:
    words = TABLE["part"].str.lower()
    expected = [np.flatnonzero(words == word).tolist() for word in ("train", "valid", "test")]
    assert parts(ready(tmp_path, "parts")) == expected
    assert parts(ready(tmp_path, "parts", test_fraction=None)) == expected


def test_a_part_that_is_not_named_is_drawn_from_the_training_rows(tmp_path: Path) -> None:
    table = TABLE.assign(part=np.resize(["train"] * 4 + ["test"], N))
    named = np.flatnonzero(table["part"] == "test").tolist()
    first, second = (parts(ready(tmp_path, "parts", table, split_seed=seed)) for seed in range(2))
    assert first[2] == second[2] == named
    assert first[1] != second[1]
    assert len(first[1]) == round(0.2 * 96)
    labels = TABLE["label"].iloc[first[1]]
    assert abs((labels == "a").sum() - (labels == "b").sum()) <= 1
    drawn_parts = parts(ready(tmp_path, "parts", TABLE.assign(part="train")))
    assert [len(rows) for rows in drawn_parts] == [72, 24, 24]


def test_a_fraction_of_zero_leaves_out_the_rows_of_that_part(tmp_path: Path) -> None:
    train, val, test = parts(ready(tmp_path, "parts"))
    assert parts(ready(tmp_path, "parts", val_fraction=0.0)) == [train, [], test]
    assert parts(ready(tmp_path, "parts", test_fraction=0.0)) == [train, val, []]


@pytest.mark.parametrize("seed", [0, 5])
def test_the_latest_rows_are_the_test(tmp_path: Path, seed: int) -> None:
    data = ready(tmp_path, "time", split_seed=seed)
    days = [TABLE["day"].iloc[rows] for rows in parts(data)]
    assert days[0].max() < days[1].min()
    assert days[1].max() < days[2].min()
    most = TABLE["day"].value_counts().max()
    assert abs(len(days[2]) - 24) <= most / 2


def test_time_by_hand() -> None:
    """Rows at times 1 1 2 3 3 3 4 5 6 6: test at 6, validation at 4 and 5, training before."""
    moments = np.array([6, 1, 3, 5, 1, 3, 2, 6, 4, 3])
    cut = TimeSplit("t", moments).split(settings())
    assert [moments[rows].tolist() for rows in (cut.val, cut.test)] == [[4, 5], [6, 6]]
    assert sorted(moments[cut.train]) == [1, 1, 2, 3, 3, 3]
    assert sorted(moments[TimeSplit("t", moments).split(settings(test_fraction=0.3)).test]) == [5, 6, 6]
    # A test part of one row is impossible, since two rows are at time 6.
    assert sorted(moments[TimeSplit("t", moments).split(settings(test_fraction=0.1)).test]) == [6, 6]
    assert sorted(moments[TimeSplit("t", moments).split(settings(test_fraction=0.4)).test]) == [4, 5, 6, 6]


def test_train_size_keeps_the_latest_training_rows() -> None:
    moments = np.array([6, 1, 3, 5, 1, 3, 2, 6, 4, 3])
    cut = TimeSplit("t", moments).split(settings(train_size=4))
    assert sorted(moments[cut.train]) == [2, 3, 3, 3]


def test_notations_of_time(tmp_path: Path) -> None:
    expected = parts(ready(tmp_path, "time"))
    stamps = pd.to_datetime(TABLE["day"])
    for column in (stamps.astype("int64"), TABLE["day"] + " 12:00", TABLE["day"] + "T12:00:00Z", stamps.rank() / 3):
        assert parts(ready(tmp_path, "time", TABLE.assign(day=column))) == expected
    path = tmp_path / "table.parquet"
    for column in (stamps, stamps.dt.tz_localize("UTC"), stamps.dt.date, stamps - stamps.min()):
        TABLE[["x", "z", "label"]].assign(day=column).to_parquet(path)
        data = Csv(path=str(path), target="label", split_by="time", split_column="day", seed=0, split_seed=0)
        data.setup()
        assert parts(data) == expected


@pytest.mark.parametrize(
    ("by", "changed", "options", "message"),
    [
        ("groups", {}, {"split_column": "pateint"}, "data.split_column=pateint: no such column in "),
        ("groups", {}, {"split_column": "label"}, "data.split_column=label: is the target"),
        ("groups", {"patient": "p"}, {}, "data.split_column=patient: one group (p)"),
        (
            "groups",
            {"patient": np.resize(["p", "q"], N)},
            {},
            "data.split_column=patient: 2 groups ... 3 ",
        ),
        (
            "groups",
            {"patient": TABLE["patient"].where(TABLE.index > 2)},
            {},
            "data.split_column=patient: 3 of 120 ... row 1",
        ),
        (
            "groups",
            {"label": ["rare"] + ["a", "b"] * 59 + ["a"], "patient": ["only"] + [f"p{i % 9}" for i in range(N - 1)]},
            {"split_seed": 4, "val_fraction": 0.49, "test_fraction": 0.5},
            "data.split_column=patient: no training row",
        ),
        ("groups", {}, {"train_size": 100}, "data.train_size=100: only "),
        (
            "groups",
            {},
            {"test_fraction": None},
            "data.test_fraction=null: split_column=patient",
        ),
        (
            "parts",
            {"part": "trian"},
            {},
            "data.split_column=part: 'trian' ... train?",
        ),
        (
            "parts",
            {"part": np.resize([0, 1, 2], N)},
            {},
            "data.split_column=part: '0' ... val or test",
        ),
        ("parts", {"part": "test"}, {}, "data.split_column=part: no training row"),
        ("parts", {"part": "train"}, {"test_fraction": None}, "data.test_fraction=null: predefined"),
        (
            "parts",
            {"label": TABLE["part"]},
            {},
            "data.split_column=part: class Valid (24 rows)",
        ),
        ("parts", {}, {"val_fraction": 0.3}, "data.val_fraction=0.3: data.split_column=part"),
        ("parts", {}, {"test_fraction": 0.3}, "data.test_fraction=0.3: split_column=part"),
        (
            "parts",
            {},
            {"train_size": 73},
            "data.train_size=73: 72 rows ... (24) ... (24)",
        ),
        (
            "time",
            {"day": np.resize(["2026-01-31", "soon"], N)},
            {},
            "data.split_column=day: 'soon' ... row 2",
        ),
        (
            "time",
            {"day": "31.01.2026"},
            {},
            "data.split_column=day: 31.01.2026 ... 2026-01-31",
        ),
        ("time", {"day": 3}, {}, "data.split_column=day: 1 distinct time ... 3 "),
        (
            "time",
            {"label": np.where(TABLE["day"] > "2026-03-20", "late", TABLE["label"])},
            {},
            "data.split_column=day: class late (",
        ),
        (
            "tiem",
            {},
            {"split_column": "day"},
            "data.split_by=tiem: groups, parts ... time?",
        ),
    ],
)
def test_unusable_split_columns_are_refused(
    tmp_path: Path, by: str, changed: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ready(tmp_path, by, TABLE.assign(**changed), **options)
    check_error(caught.value, message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.split_column=day"], "data.split_by=null: data.split_column=day"),
        (["data.split_by=time"], "data.split_column=null: data.split_by=time"),
        (
            ["data.split_by=tim", "data.split_column=day"],
            "data.split_by=tim: groups, parts, folds, time",
        ),
        (["data.split_by=time", "data.split_column=label"], "data.split_column=label: is the target"),
    ],
)
def test_a_split_column_without_a_method_is_refused_by_the_config_alone(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    from reglab.config.check_run import check

    (tmp_path / "table.csv").write_text("never read")
    cfg = Composer().compose(["data=csv", f"data.path={tmp_path / 'table.csv'}", "data.target=label", *overrides])
    with pytest.raises(ConfigError) as caught:
        check(cfg)
    check_error(caught.value, message)


def test_rows_are_integers_in_every_split(tmp_path: Path) -> None:
    for by in COLUMN:
        rows: Rows = ready(tmp_path, by).parts
        assert all(part.dtype.kind == "i" for part in (rows.train, rows.val, rows.test))
