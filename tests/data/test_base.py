"""The base class of data sets: noise, units, loaders, hashes, devices."""

import numpy as np
import pytest
import torch

from reglab.data import BreastCancer, Diabetes, Digits, SeedNoise
from reglab.schema.errors import ConfigError
from reglab.seeding import mix
from tests.errors import config_error


def ready(data=Digits, **axes):
    prepared = data(**{"name": "some", "seed": 0, "split_seed": 0, **axes})
    prepared.setup()
    return prepared


def test_setup_twice_changes_nothing():
    data = ready()
    train = data.train
    data.setup("fit")
    assert data.train is train


def test_label_noise_changes_the_given_share_of_training_labels_only():
    clean, noisy = ready(train_size=200), ready(train_size=200, label_noise=0.3)
    assert (clean.train.targets != noisy.train.targets).sum() == 60
    assert torch.equal(clean.train.inputs, noisy.train.inputs)
    assert torch.equal(clean.val.targets, noisy.val.targets)
    assert torch.equal(clean.test.targets, noisy.test.targets)


def test_label_noise_does_not_change_the_cached_labels():
    before = ready(label_noise=0.0).split_hash
    ready(label_noise=0.9)
    assert ready(label_noise=0.0).split_hash == before


def test_label_noise_is_refused_for_a_regression():
    with pytest.raises(ConfigError, match=r"data.label_noise=0.1: .* regression"):
        ready(Diabetes, label_noise=0.1)


def test_features_and_a_regression_target_have_mean_0_and_variance_1_over_the_training_rows():
    data = ready(Diabetes)
    for values in (data.train.inputs, data.train.targets[:, None]):
        torch.testing.assert_close(values.mean(0), torch.zeros(values.shape[1]), atol=1e-5, rtol=0)
        torch.testing.assert_close(values.std(0, unbiased=False), torch.ones(values.shape[1]), atol=1e-4, rtol=0)


def test_a_standardized_target_is_converted_to_its_units():
    from sklearn.datasets import load_diabetes

    data = ready(Diabetes)
    in_units = data.test.targets * data.target_scale + data.target_mean
    expected = torch.from_numpy(load_diabetes().target[data.parts.test]).float()
    torch.testing.assert_close(in_units, expected, atol=1e-3, rtol=0)


def test_validation_comes_with_as_many_training_rows():
    data = ready(train_size=100, val_fraction=0.2)
    val, train = data.val_dataloader()
    assert (val.rows, train.rows) == (359, 100)  # at most the number of training rows
    data = ready(val_fraction=0.1, label_noise=0.5)
    val, train = data.val_dataloader()
    assert (val.rows, train.rows) == (180, 180)
    (inputs, targets) = next(iter(train))
    assert torch.equal(inputs, data.train.inputs[:180])
    assert torch.equal(targets, data.train.targets[:180])  # with label noise


def test_without_validation_there_is_no_validation_loader():
    data = ready(val_fraction=0.0)
    assert data.val_dataloader() == []
    assert data.train_eval_dataloader().rows == data.train_rows
    assert len(data.val) == 0


def test_rows_are_counted():
    data = ready(train_size=50)
    assert (data.train_rows, data.val_rows, data.test_rows, data.rows) == (50, 359, 359, 1797)
    assert (data.input_shape, data.outputs, data.kind) == ((1, 8, 8), 10, "classification")


def test_rows_drawn_by_each_split_seed_are_infinitely_many():
    noise = SeedNoise(name="seed_noise", seed=0, split_seed=0)
    noise.setup()
    assert noise.rows == float("inf")


def test_the_batch_order_has_a_separate_random_stream():
    data = ready(train_size=100, batch_size=30)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(mix(0, "order", 0)))
    (inputs, _), *_ = data.train_dataloader()
    assert torch.equal(inputs, data.train.inputs[order[:30]])


def test_hashes_change_with_split_and_order():
    base = ready()
    hashes = base.split_hash, base.order_hash
    assert all(len(digits) == 16 and int(digits, 16) >= 0 for digits in hashes)
    assert (ready().split_hash, ready().order_hash) == hashes
    assert ready(split_seed=1).split_hash != base.split_hash
    assert ready(train_size=100).split_hash != base.split_hash
    assert ready(label_noise=0.01).split_hash != base.split_hash
    assert ready(seed=1).split_hash == base.split_hash  # without noise the split does not depend on the seed
    assert ready(seed=1).order_hash != base.order_hash
    assert ready(batch_size=32).order_hash != base.order_hash


def test_label_noise_depends_on_the_seed_and_the_split_on_split_seed():
    first, second = ready(seed=1, label_noise=0.2), ready(seed=2, label_noise=0.2)
    assert np.array_equal(first.parts.train, second.parts.train)
    assert not torch.equal(first.train.targets, second.train.targets)


def test_place_copies_all_parts_to_the_device():
    data = ready(BreastCancer)
    data.move_to("meta")  # available on every machine
    assert {part.inputs.device.type for part in (data.train, data.val, data.test)} == {"meta"}
    ((inputs, targets), *_) = data.test_dataloader()
    assert (inputs.device.type, targets.device.type) == ("meta", "meta")


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"val_fraction": 1.2}, "data.val_fraction=1.2: at least 0 and below 1"),
        ({"test_fraction": -0.1}, "data.test_fraction=-0.1: must be"),
        ({"val_fraction": None}, "data.val_fraction=null: must be"),
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "data.val_fraction=0.5: no row ... training"),
        ({"label_noise": 1.5}, "data.label_noise=1.5: between 0 and 1"),
        ({"label_noise": "much"}, "data.label_noise=much: must be"),
        ({"train_size": 0}, "data.train_size=0: whole number of 1 or more"),
        ({"train_size": 0.5}, "data.train_size=0.5: whole number"),
        ({"batch_size": 10**20}, f"data.batch_size={10**20}: 2147483647 ... null"),
        ({"batch_size": 0}, "data.batch_size=0: null (full batch)"),
    ],
)
def test_values_out_of_range_are_refused(axes, message):
    with config_error(message):
        Digits(**{"name": "some", "seed": 0, "split_seed": 0, **axes})
