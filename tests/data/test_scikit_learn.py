"""Comparison with scikit-learn: uses of it, and reasons against its splits and its standardization.

The hashes of splits must not change either: tracked splits are drawn from NumPy's ``Generator``, and scikit-learn uses
the older ``RandomState``.
"""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GroupShuffleSplit, StratifiedShuffleSplit, TimeSeriesSplit
from sklearn.preprocessing import StandardScaler

from reglab.data.preprocessing import OneHotCategories, StandardizedColumns, mean_and_scale
from reglab.data.splitting.methods import GroupSplit, TimeSplit
from reglab.data.splitting.random import RandomSplit, SplitSettings

CLASSES = np.repeat([0, 1, 2], [50, 30, 20])


def settings(train_size: int | None = None, classes: np.ndarray | None = None) -> SplitSettings:
    return SplitSettings(0, train_size, val_fraction=0.0, test_fraction=0.2, classes=classes)


def test_the_test_rows_of_a_stratified_shuffle_split_depend_on_the_training_size() -> None:
    def of_scikit_learn(train_size: int) -> set[int]:
        split = StratifiedShuffleSplit(1, test_size=20, train_size=train_size, random_state=0)
        ((_, test),) = split.split(np.zeros(100), CLASSES)
        return set(test.tolist())

    def of_reglab(train_size: int) -> set[int]:
        return set(RandomSplit(100).split(settings(train_size, CLASSES)).test.tolist())

    assert of_scikit_learn(17) != of_scikit_learn(60)
    assert of_reglab(17) == of_reglab(60)


def test_the_fractions_of_a_group_shuffle_split_count_groups() -> None:
    groups = np.repeat(np.arange(5), [96, 1, 1, 1, 1])

    def of_scikit_learn(seed: int) -> int:
        ((_, test),) = GroupShuffleSplit(1, test_size=0.2, random_state=seed).split(groups, groups=groups)
        return len(test)

    def of_reglab(seed: int) -> int:
        split = SplitSettings(seed, None, val_fraction=0.0, test_fraction=0.2)
        return len(GroupSplit("g", groups, "abcde").split(split).test)

    assert 96 in map(of_scikit_learn, range(20))
    assert max(map(of_reglab, range(20))) <= 4  # 20 rows are impossible, and 96 are further off


def test_a_time_series_split_separates_rows_of_equal_time() -> None:
    moments = np.repeat([1, 2, 3, 4], [40, 20, 20, 20])

    *_, (train, test) = TimeSeriesSplit(n_splits=2, test_size=30).split(moments)
    assert set(moments[train]) & set(moments[test])
    cut = TimeSplit("t", moments).split(settings())
    assert not set(moments[cut.train]) & set(moments[cut.test])


def test_a_standard_scaler_overflows_for_values_whose_squares_do() -> None:
    values = np.random.default_rng(0).normal(size=(100, 1)) * 1e200
    with pytest.warns(RuntimeWarning, match="overflow"):
        scaler = StandardScaler().fit(values)
    assert not np.isfinite(scaler.scale_).all()
    assert np.isfinite(mean_and_scale(values)).all()


def test_missing_values_in_all_training_rows_are_imputed_as_zero() -> None:
    columns = np.array([[np.nan, 1.0], [np.nan, np.nan], [4.0, 3.0], [5.0, 8.0]])
    fitted = StandardizedColumns(columns).fit(np.array([0, 1]))
    assert fitted.fill.tolist() == [0.0, 1.0]
    fitted = StandardizedColumns(columns[:, 1:]).fit(np.arange(4))
    assert fitted.fill.tolist() == [3.0]


def test_categories_are_one_hot_in_the_order_of_their_values() -> None:
    codes = {"a": np.array([2, 0, 2, 1]), "b": np.array([0, 0, 1, 1])}
    values = {"a": np.array(["x", "y", "z"]), "b": np.array(["", "u"])}
    inputs = OneHotCategories(codes, values)
    train = np.array([0, 1, 3])
    expected = torch.tensor([[0, 0, 1, 1, 0], [1, 0, 0, 1, 0], [0, 0, 1, 0, 1], [0, 1, 0, 0, 1]])
    assert torch.equal(inputs.tensor(train), expected.float())
    assert [feature["value"] for feature in inputs.describe(train)] == ["x", "y", "z", "", "u"]
    unseen = inputs.tensor(np.array([0, 1]))  # values y of a and u of b occur in no training row
    assert unseen.tolist() == [[0, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]]
