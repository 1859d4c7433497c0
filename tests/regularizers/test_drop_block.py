import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from reglab.models import CNN, MLP
from reglab.regularizers import DropBlock
from reglab.regularizers.drop_block import thinned_blocks
from reglab.schema.errors import ConfigError


@pytest.mark.parametrize(("positions", "block_size"), [((4,), 1), ((4,), 2), ((3,), 7), ((2, 2), 2), ((1, 4), 3)])
def test_every_position_is_dropped_with_p_and_the_mean_stays(
    double: None, positions: tuple[int, ...], block_size: int
) -> None:
    """Enumerate all block positions, including the edges."""
    p, block = torch.tensor(0.3), torch.tensor(float(block_size))
    area = math.prod(min(block_size, side) for side in positions)
    gamma = 1 - 0.7 ** (1 / area)
    maps = torch.randn(1, 1, *positions)
    share, mean = torch.zeros_like(maps), torch.zeros_like(maps)
    for begins in itertools.product([False, True], repeat=math.prod(positions)):
        draws = torch.tensor([0.0 if begin else 0.999 for begin in begins]).reshape(maps.shape)
        weight = gamma ** sum(begins) * (1 - gamma) ** (len(begins) - sum(begins))
        out = thinned_blocks(maps, draws, p, block)
        share += weight * (out == 0)
        mean += weight * out
    torch.testing.assert_close(share, torch.full_like(maps, 0.3), rtol=1e-11, atol=0)
    torch.testing.assert_close(mean, maps, rtol=1e-11, atol=0)


@pytest.mark.parametrize("block_size", [1, 2, 3, 5, 6, 9])
def test_blocks_are_squares(double: None, block_size: int) -> None:
    """Compare with max-pooling of block positions, drawn per example and channel, with blocks wrapping around edges."""
    torch.manual_seed(0)
    p, maps = torch.tensor(0.4), torch.rand(50, 3, 6, 6) + 1
    side = min(block_size, 6)
    draws = torch.rand(maps.shape)
    begins = draws < 1 - 0.6 ** (1 / side**2)
    before = F.pad(begins.double(), (side - 1, 0, side - 1, 0), mode="circular")
    dropped = F.max_pool2d(before, side, stride=1) > 0
    assert dropped.shape == maps.shape
    assert 0.1 < dropped.double().mean() < 0.7
    expected = torch.where(dropped, 0.0, maps / (1 - p))
    torch.testing.assert_close(
        thinned_blocks(maps, draws, p, torch.tensor(float(block_size))), expected, rtol=1e-14, atol=0
    )


def test_one_block_and_one_run() -> None:
    maps = torch.ones(1, 1, 4, 5)
    draws = torch.ones(maps.shape)
    draws[0, 0, 1, 2] = 0.0
    out = thinned_blocks(maps, draws, torch.tensor(0.5), torch.tensor(3.0))
    assert out[0, 0].tolist() == [
        [2, 2, 2, 2, 2],
        [2, 2, 0, 0, 0],
        [2, 2, 0, 0, 0],
        [2, 2, 0, 0, 0],
    ]
    draws = torch.ones(maps.shape)
    draws[0, 0, 3, 4] = 0.0  # wraps around both edges
    out = thinned_blocks(maps, draws, torch.tensor(0.5), torch.tensor(2.0))
    assert out[0, 0].tolist() == [
        [0, 2, 2, 2, 0],
        [2, 2, 2, 2, 2],
        [2, 2, 2, 2, 2],
        [0, 2, 2, 2, 0],
    ]
    draws = torch.ones(1, 1, 5)
    draws[0, 0, 1] = 0.0
    run = thinned_blocks(torch.ones(1, 1, 5), draws, torch.tensor(0.5), torch.tensor(2.0))
    assert run[0, 0].tolist() == [2, 0, 0, 2, 2]


def test_the_dropped_area_in_training() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Sigmoid(), nn.Flatten())  # no activation is 0
    assert DropBlock(p=0.1, block_size=7).attach(model) == ["1"]
    images = torch.randn(500, 1, 20, 20)
    dropped = (model(images) == 0).reshape(500, 4, 20, 20)
    assert abs(dropped.float().mean() - 0.1) < 0.01
    assert abs(dropped[..., 7:-7, 7:-7].float().mean() - 0.1) < 0.015
    assert abs(dropped[..., 0, 0].float().mean() - 0.1) < 5 * (0.09 / 2000) ** 0.5
    assert not (model.eval()(images) == 0).any()


def test_the_class_equals_the_function() -> None:
    model, maps = nn.Sequential(nn.Conv1d(2, 3, 1), nn.ReLU(), nn.Flatten()), torch.randn(4, 2, 9)
    clean = model[:2](maps)
    method = DropBlock(p=0.3, block_size=2)
    method.attach(model)
    method.attach(model)  # a second call has no effect
    torch.manual_seed(1)
    outputs = model(maps)
    torch.manual_seed(1)
    expected = thinned_blocks(clean, torch.rand(clean.shape), torch.tensor(0.3), torch.tensor(2.0))
    assert torch.equal(outputs, expected.flatten(1))


def test_it_acts_on_convolutions_only() -> None:
    assert DropBlock(0.1, 3).attach(CNN((1, 8, 8), 3)) == ["activation_0", "activation_1"]
    assert DropBlock(0.1, 3).attach(MLP((1, 8, 8), 3)) == []


def test_a_block_size_is_a_whole_number() -> None:
    for size, word in ((2.5, "whole number"), (0, "at least 1")):
        with pytest.raises(ConfigError, match=word) as error:
            DropBlock(p=0.1, block_size=size)
        assert (error.value.key, error.value.value) == ("regularizer.drop_block.block_size", size)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    maps, draws = torch.randn(5, 3, 4, dtype=dtype), torch.rand(5, 3, 4)
    assert thinned_blocks(maps, draws, torch.tensor(0.5), torch.tensor(2.0)).dtype == dtype
    assert torch.equal(thinned_blocks(maps, draws, torch.tensor(0.0), torch.tensor(2.0)), maps)
