"""Augmentation: exact transforms, and the distributions of their parameters."""

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from reglab.regularizers import Augmentation, Cutout, InputNoise, Mixup, Step, in_order
from tests.regularizers.steps import task_of

SHAPE = (2, 8, 11)
ROWS = 2000
SIDES = pytest.mark.parametrize("sides", [(15, 21), (31,)], ids=["image", "signal"])


def augmented(inputs: Tensor, **strengths: float) -> Tensor:
    batch = inputs, torch.zeros(len(inputs), dtype=torch.long)
    options = {**dict.fromkeys(Augmentation.strengths(), 0.0), **strengths}
    outputs, targets = Augmentation(**options).transform_batch(batch, Step(None, task_of("classification"), batch))
    assert targets is batch[1]
    return outputs


@pytest.mark.parametrize("shape", [SHAPE, (2, 11)], ids=["image", "signal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_flip_equals_torch_and_off_values_return_the_inputs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    inputs = torch.randn(5, *shape).to(dtype)
    for flip, expected in ((1.0, inputs.flip(-1)), (0.0, inputs)):
        outputs = augmented(inputs, flip=flip)
        assert outputs.dtype == dtype
        assert torch.equal(outputs, expected)


def measured_view(sides: tuple[int, ...], **strengths: float) -> tuple[Tensor, Tensor]:
    """Return zoom and offsets (rows, axes) that the method drew, measured on a ramp along each axis."""
    torch.manual_seed(3)
    ramps = torch.stack(torch.meshgrid(*[torch.arange(float(side)) for side in sides], indexing="ij"))
    out = augmented(ramps.expand(ROWS, *ramps.shape), **strengths)
    middle = [(side - 1) // 2 for side in sides]
    here = out[(..., *middle)]
    behind = [out[(slice(None), axis, *(m + (i == axis) for i, m in enumerate(middle)))] for axis in range(len(sides))]
    return torch.stack(behind, 1) - here, here - torch.tensor(middle)


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    assert values.min() >= low - 1e-9
    assert values.max() <= high + 1e-9
    assert stats.kstest(values.numpy(), "uniform", (low, high - low)).pvalue > 0.01


@SIDES
def test_shifts_are_uniform_along_each_axis(double: None, sides: tuple[int, ...]) -> None:
    zooms, offsets = measured_view(sides, shift=0.2)
    torch.testing.assert_close(zooms, torch.ones_like(zooms))
    for side, offset in zip(sides, offsets.T, strict=True):
        assert_uniform(offset, -0.2 * side, 0.2 * side)
    if len(sides) == 2:
        assert abs(torch.corrcoef(offsets.T)[0, 1]) < 5 / ROWS**0.5


@SIDES
def test_factors_are_uniform_and_keep_proportions(double: None, sides: tuple[int, ...]) -> None:
    zooms, offsets = measured_view(sides, scale=0.3)
    assert_uniform(1 / zooms[:, 0], 0.7, 1.3)
    torch.testing.assert_close(zooms[:, :1].expand_as(zooms), zooms)
    torch.testing.assert_close(offsets, torch.zeros_like(offsets), rtol=0, atol=1e-12)


@SIDES
def test_crops_cut_a_uniform_share_at_any_position(double: None, sides: tuple[int, ...]) -> None:
    zooms, offsets = measured_view(sides, crop=0.4)
    cut = 1 - zooms[:, 0]
    assert_uniform(cut, 0.0, 0.4)
    torch.testing.assert_close(zooms[:, :1].expand_as(zooms), zooms)
    for side, offset in zip(sides, offsets.T, strict=True):
        assert_uniform(offset / (cut * (side - 1) / 2), -1.0, 1.0)


def test_the_share_of_flips(double: None) -> None:
    torch.manual_seed(0)
    images = torch.arange(5.0).expand(ROWS, 1, 2, 5)
    flipped = augmented(images, flip=0.3)[:, 0, 0, 0] == 4
    assert abs(flipped.double().mean() - 0.3) < 5 * (0.3 * 0.7 / ROWS) ** 0.5


def test_a_crop_shows_no_zeros_and_a_shift_does() -> None:
    torch.manual_seed(0)
    images = torch.ones(500, 1, 8, 8)
    assert (augmented(images, crop=0.9) - 1).abs().max() < 1e-5
    assert (augmented(images, shift=0.3) == 0).any()


def test_in_mixed_precision_images_keep_their_precision() -> None:
    images = torch.randn(4, *SHAPE)
    torch.manual_seed(0)
    plain = augmented(images, shift=0.2, scale=0.2)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augmented(images, shift=0.2, scale=0.2), plain)


def test_stacked_signals_are_augmented_as_separate_ones(double: None) -> None:
    class Acting(torch.nn.Module):
        def __init__(self, shift: float) -> None:
            super().__init__()
            self.method = Augmentation(flip=0.5, crop=0.2, shift=shift, scale=0.1)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.method.transform_batch((inputs, inputs), None)[0]

    signals, both = torch.randn(5, 1, 40), [Acting(0.1), Acting(0.3)]
    _, strengths = stack_module_state(both)
    torch.manual_seed(0)
    stacked = vmap(lambda s: functional_call(both[0], s, (signals,)), randomness="same")(strengths)
    for out, method in zip(stacked, both, strict=True):
        torch.manual_seed(0)
        torch.testing.assert_close(out, method(signals), rtol=1e-13, atol=1e-15)


def test_augmentation_precedes_noise_cutout_and_mixing() -> None:
    methods = in_order([Mixup(1.0), InputNoise(0.1), Cutout(2.0), Augmentation(flip=0.5)])
    assert [method.name for method in methods] == ["augmentation", "cutout", "input_noise", "mixup"]
