"""Standardized tables equal scikit-learn's, fitted on the training rows."""

import numpy as np
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from reglab.data.standardize import Standardized

TRAIN = np.arange(0, 40)


def table():
    return np.random.default_rng(0).normal(5.0, 3.0, size=(60, 4))


def test_equals_scikit_learn_fitted_on_the_training_rows():
    columns = table()
    expected = StandardScaler().fit(columns[TRAIN]).transform(columns)
    torch.testing.assert_close(Standardized(columns)(TRAIN), torch.from_numpy(expected).float())


def test_missing_numbers_get_the_training_median():
    columns = table()
    columns[::7, 1] = np.nan
    filled = SimpleImputer(strategy="median").fit(columns[TRAIN]).transform(columns)
    torch.testing.assert_close(Standardized(columns, standardize=False)(TRAIN), torch.from_numpy(filled).float())
    expected = StandardScaler().fit(filled[TRAIN]).transform(filled)
    torch.testing.assert_close(Standardized(columns)(TRAIN), torch.from_numpy(expected).float())
    assert np.isnan(columns).any()  # what was given is not changed


def test_a_column_that_is_constant_in_training_becomes_zero():
    columns = table()
    columns[:, 0] = 0.1  # whose standard deviation is not 0 in floating point
    columns[TRAIN, 2] = 7.0  # constant there, and not elsewhere
    standardized = Standardized(columns)(TRAIN)
    assert standardized[:, [0, 2]].eq(0).all()
    assert standardized.isfinite().all()


def test_a_column_that_is_missing_in_all_of_training_becomes_zero():
    columns = table()
    columns[TRAIN, 3] = np.nan
    assert Standardized(columns)(TRAIN)[:, 3].eq(0).all()
    assert Standardized(columns, standardize=False)(TRAIN)[:, 3].eq(0).all()


def test_what_is_described_makes_the_inputs_again():
    columns = table()
    columns[::7, 1] = np.nan
    columns[:, 2] = 4.0
    for standardize in (True, False):
        made = Standardized(columns, standardize, names="abcd")
        told = made.described(TRAIN)
        assert [one["name"] for one in told] == list("abcd")
        assert [one for one in told if "missing" in one] == [told[1]]
        for one, column, got in zip(told, columns.T, made(TRAIN).T, strict=True):
            values = np.where(np.isnan(column), one.get("missing", np.nan), column)
            expected = (values - one["mean"]) / one["scale"] if one["scale"] else np.zeros(len(values))
            torch.testing.assert_close(got, torch.from_numpy(expected).float())
