"""Standardized tables equal scikit-learn's, fitted on the training rows."""

import numpy as np
import pytest
import torch
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from reglab.data.preprocessing import StandardizedColumns, to_float32
from reglab.schema.errors import ConfigError

TRAIN = np.arange(0, 40)


def table():
    return np.random.default_rng(0).normal(5.0, 3.0, size=(60, 4))


def test_equals_scikit_learn_fitted_on_the_training_rows():
    columns = table()
    expected = StandardScaler().fit(columns[TRAIN]).transform(columns)
    torch.testing.assert_close(StandardizedColumns(columns).tensor(TRAIN), torch.from_numpy(expected).float())


def test_missing_numbers_get_the_training_median():
    columns = table()
    columns[::7, 1] = np.nan
    filled = SimpleImputer(strategy="median").fit(columns[TRAIN]).transform(columns)
    torch.testing.assert_close(
        StandardizedColumns(columns, standardize=False).tensor(TRAIN), torch.from_numpy(filled).float()
    )
    expected = StandardScaler().fit(filled[TRAIN]).transform(filled)
    torch.testing.assert_close(StandardizedColumns(columns).tensor(TRAIN), torch.from_numpy(expected).float())
    assert np.isnan(columns).any()  # the argument is not changed


def test_a_column_that_is_constant_in_training_becomes_zero():
    columns = table()
    columns[:, 0] = 0.1  # its standard deviation in floating point is not 0
    columns[TRAIN, 2] = 7.0  # constant in training only
    standardized = StandardizedColumns(columns).tensor(TRAIN)
    assert standardized[:, [0, 2]].eq(0).all()
    assert standardized.isfinite().all()


def test_a_column_that_is_missing_in_all_of_training_becomes_zero():
    columns = table()
    columns[TRAIN, 3] = np.nan
    assert StandardizedColumns(columns).tensor(TRAIN)[:, 3].eq(0).all()
    assert StandardizedColumns(columns, standardize=False).tensor(TRAIN)[:, 3].eq(0).all()


def test_described_columns_reproduce_the_inputs():
    columns = table()
    columns[::7, 1] = np.nan
    columns[:, 2] = 4.0
    for standardize in (True, False):
        standardized = StandardizedColumns(columns, standardize, names="abcd")
        caught = standardized.describe(TRAIN)
        assert [description["name"] for description in caught] == list("abcd")
        assert [description for description in caught if "missing" in description] == [caught[1]]
        for description, column, got in zip(caught, columns.T, standardized.tensor(TRAIN).T, strict=True):
            values = np.where(np.isnan(column), description.get("missing", np.nan), column)
            expected = (
                (values - description["mean"]) / description["scale"] if description["scale"] else np.zeros(len(values))
            )
            torch.testing.assert_close(got, torch.from_numpy(expected).float())


SCALES = {
    "usual": (5.0, 3.0),
    "far off": (1e6, 1.0),
    "far off, narrow": (1e6, 1e-3),
    "tiny": (0.0, 1e-8),
    "huge": (0.0, 1e8),
    "squares beyond float64": (0.0, 1e200),
    "squares below float64": (0.0, 1e-200),
}


@pytest.mark.parametrize("name", SCALES)
def test_columns_of_any_scale_get_mean_0_and_variance_1(name):
    mean, std = SCALES[name]
    draws = np.random.default_rng(0).normal(size=60)
    columns = np.stack([draws, mean + std * draws], axis=1)
    plain, scaled = StandardizedColumns(columns).tensor(TRAIN).T
    torch.testing.assert_close(scaled, plain, rtol=1e-5, atol=1e-5 if std >= 1e-3 else 1e-6)
    assert scaled[: len(TRAIN)].double().std(correction=0).item() == pytest.approx(1, rel=1e-5)


def test_values_that_differ_by_rounding_alone_are_constant():
    columns = np.full((60, 1), 0.3)
    columns[::2] = 0.1 + 0.2
    assert StandardizedColumns(columns).tensor(TRAIN).eq(0).all()


@pytest.mark.parametrize(("mean", "std"), [(1e8, 1.0), (0.0, 1e300), (0.0, 1e-60), (1.7e9, 1.0)])
def test_numbers_that_float32_cannot_tell_apart_are_refused_by_name(mean, std):
    columns = np.stack([table()[:, 0], mean + std * np.random.default_rng(0).normal(size=60)], axis=1)
    assert StandardizedColumns(columns).tensor(TRAIN).isfinite().all()
    with pytest.raises(ConfigError, match=r"^data\.standardize=false: column 'far' ") as error:
        StandardizedColumns(columns, standardize=False, names=["near", "far"]).tensor(TRAIN)
    assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="the target"):
        to_float32(columns[:, 1], "the target")


def test_numbers_that_fit_float32_are_not_changed():
    columns = np.stack([101325 + 20 * table()[:, 0], np.full(60, 0.1), np.arange(60.0)], axis=1)
    columns[3, 0] = np.nan
    assert np.array_equal(
        StandardizedColumns(columns, standardize=False).tensor(TRAIN)[:, 1:], columns[:, 1:].astype(np.float32)
    )
