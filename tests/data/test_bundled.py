"""The data sets inside packages, and the negative control."""

import random

import numpy as np
import pytest
import torch

from reglab.data import BreastCancer, Diabetes, Digits, Khan, Mnist1d, Mnist5k, Nci60, SeedNoise, Wine


def ready(data, **axes):
    prepared = data(**{"name": "some", "seed": 0, "split_seed": 0, **axes})
    prepared.setup()
    return prepared


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "shape", "outputs", "rows"),
    [
        (Digits, (1, 8, 8), 10, (1079, 359, 359)),
        (BreastCancer, (30,), 2, (341, 114, 114)),
        (Diabetes, (10,), 1, (266, 88, 88)),
        (Wine, (13,), 3, (106, 36, 36)),
        (Mnist5k, (1, 28, 28), 10, (3000, 1000, 1000)),
        (SeedNoise, (10,), 1, (100, 0, 5000)),
        (Khan, (2308,), 4, (49, 17, 17)),
        (Nci60, (6830,), 8, (35, 11, 11)),
    ],
)
def test_shapes_types_and_rows(data, shape, outputs, rows):
    prepared = ready(data)
    assert (prepared.input_shape, prepared.outputs) == (shape, outputs)
    assert (prepared.train_rows, prepared.val_rows, prepared.test_rows) == rows
    # as declared for the config check
    assert (prepared.kind, prepared.dims) == (type(prepared).kind, type(prepared).dims)
    assert prepared.train.inputs.shape == (rows[0], *shape)
    assert prepared.train.inputs.dtype == torch.float32
    assert prepared.train.targets.dtype == (torch.float32 if outputs == 1 else torch.int64)
    assert prepared.train.inputs.isfinite().all()


@pytest.mark.parametrize("data", [Digits, Mnist5k])
def test_images_range_from_0_to_1(data):
    inputs = ready(data).train.inputs
    assert (inputs.min(), inputs.max()) == (0.0, 1.0)


def test_mnist5k_has_equal_numbers_of_images_of_each_class():
    data = ready(Mnist5k)
    assert torch.bincount(data.train.targets).tolist() == [300] * 10
    assert torch.bincount(data.test.targets).tolist() == [100] * 10


def test_seed_noise_is_fresh_for_each_split_seed_and_standard_normal():
    first, second = ready(SeedNoise), ready(SeedNoise, split_seed=1, seed=1)
    assert not torch.equal(first.test.inputs, second.test.inputs)
    assert torch.equal(first.test.inputs, ready(SeedNoise, seed=5).test.inputs)
    # 5,000 targets: standard errors .014 of the mean, .02 of the mean square, .014 of a correlation
    assert abs(first.test.targets.mean()) < 0.06
    assert abs(first.test.targets.square().mean() - 1) < 0.08
    correlations = (first.test.inputs * first.test.targets[:, None]).mean(0)
    assert correlations.abs().max() < 0.06
    assert first.target_scale == 1.0


def test_seed_noise_keeps_its_test_rows_with_validation_or_train_size():
    plain, cut = ready(SeedNoise), ready(SeedNoise, val_fraction=0.2, train_size=50)
    assert (cut.train_rows, cut.val_rows, cut.test_rows) == (50, 20, 5000)
    assert torch.equal(plain.test.inputs, cut.test.inputs)


@pytest.mark.slow
def test_mnist1d_equals_the_published_set_and_keeps_the_global_generators():
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.rand()
    random.seed(1)
    np.random.seed(1)
    data = ready(Mnist1d, test_fraction=None, val_fraction=0.0)
    assert (random.random(), np.random.rand()) == expected
    assert (data.train_rows, data.test_rows, data.input_shape) == (4000, 1000, (1, 40))
    assert data.dims == Mnist1d.dims
    labels = torch.empty(5000, dtype=torch.int64)
    labels[np.concatenate([data.parts.train, data.parts.test])] = torch.cat([data.train.targets, data.test.targets])
    # First labels of the published file; 500 signals per digit, with mean 0 and variance 1.
    assert labels[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    assert torch.bincount(labels).tolist() == [500] * 10
    signals = torch.cat([data.train.inputs, data.test.inputs]).double()
    assert abs(signals.mean()) < 1e-6
    assert abs(signals.square().mean() - 1) < 1e-6
    assert abs(data.train.inputs.double().sum() + 51.78746787509559) < 1e-3
    drawn = ready(Mnist1d)  # generated once, then split
    assert (drawn.train_rows, drawn.val_rows, drawn.test_rows) == (3000, 1000, 1000)
