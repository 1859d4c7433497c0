"""Label noise: number of labels, classes, and independence of other draws."""

import numpy as np
import pytest

from reglab.data.base import replace_labels
from reglab.data.wine import Wine


@pytest.mark.parametrize(("noise", "wrong"), [(0.0, 0), (0.3, 300), (0.1234, 123), (1.0, 1000)])
def test_the_exact_share_of_labels_is_changed(noise, wrong):
    labels = np.arange(1000) % 10
    noisy = replace_labels(labels, 10, noise, seed=1)
    assert (noisy != labels).sum() == wrong
    assert noisy.min() >= 0
    assert noisy.max() <= 9


def test_the_other_classes_are_equally_likely():
    noisy = replace_labels(np.zeros(9000, dtype=np.int64), 4, 1.0, seed=1)
    counts = np.bincount(noisy, minlength=4)
    assert counts[0] == 0
    # three classes at 1/3 of 9,000: standard deviation 45
    assert np.abs(counts[1:] - 3000).max() < 180


def test_noise_depends_on_the_seed_and_copies_the_labels():
    labels = np.arange(100) % 3
    original = labels.copy()
    assert np.array_equal(replace_labels(labels, 3, 0.4, seed=5), replace_labels(labels, 3, 0.4, seed=5))
    assert not np.array_equal(replace_labels(labels, 3, 0.4, seed=5), replace_labels(labels, 3, 0.4, seed=6))
    assert np.array_equal(labels, original)


def notes(label_noise):
    data = Wine(name="wine", seed=0, split_seed=0, train_size=20, label_noise=label_noise)
    data.setup()
    return data.notes


def test_a_share_of_less_than_one_label_is_noted():
    (note,) = notes(0.02)
    assert note.startswith("data.label_noise=0.02 replaces none of ")
    assert notes(0.05) == ()
