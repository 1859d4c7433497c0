"""Views of images and signals, compared with slices, linear ramps and kornia."""

from typing import Any

import pytest
import torch

from reglab.regularizers._batch_transforms import View, apply_view, view_from_draws

SHAPE = (2, 8, 11)


def view_of(rows: int, axes: int, mirror: bool = False, zoom: float = 1.0, offsets: Any = (0.0, 0.0)) -> View:
    dtype = torch.get_default_dtype()
    along = tuple(torch.full((rows,), offset, dtype=dtype) for offset in offsets[-axes:])
    return View(torch.full((rows,), mirror), torch.full((rows,), zoom, dtype=dtype), along)


@pytest.mark.parametrize(("down", "right"), [(0, 0), (3, 0), (0, -4), (-2, 5), (8, 0), (7, -10)])
def test_a_shift_by_whole_pixels_is_a_slice_with_zeros(down: int, right: int) -> None:
    images = torch.randn(3, *SHAPE)
    expected = torch.zeros_like(images)
    rows, columns = slice(max(down, 0), 8 + min(down, 0)), slice(max(right, 0), 11 + min(right, 0))
    expected[:, :, rows, columns] = images[:, :, max(-down, 0) : 8 - max(down, 0), max(-right, 0) : 11 - max(right, 0)]
    assert torch.equal(apply_view(images, view_of(3, 2, offsets=(-down, -right))), expected)
    assert torch.equal(
        apply_view(images[:, :, 0], view_of(3, 1, offsets=(-right,))),
        apply_view(images, view_of(3, 2, offsets=(0, -right)))[:, :, 0],
    )


def test_each_example_has_its_own_view() -> None:
    images = torch.randn(3, *SHAPE)
    view = View(torch.tensor([False, True, False]), torch.ones(3), (torch.zeros(3), torch.tensor([0.0, 0.0, -2.0])))
    expected = images.clone()
    expected[1] = images[1].flip(-1)
    expected[2, :, :, 2:], expected[2, :, :, :2] = images[2, :, :, :-2], 0
    assert torch.equal(apply_view(images, view), expected)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_scaled_ramp_is_the_ramp_of_the_new_slope(double: None, factor: float, mirror: bool) -> None:
    columns = torch.arange(11.0)
    out = apply_view((3 + columns).expand(1, 1, 8, 11), view_of(1, 2, mirror, 1 / factor))[0, 0, 3:5]
    positions = 5 + (columns - 5) / factor * (-1 if mirror else 1)
    inside = (positions >= 0) & (positions <= 10)
    torch.testing.assert_close(out[:, inside], (3 + positions[inside]).expand(2, -1), rtol=1e-13, atol=0)
    assert (out[:, (positions <= -1) | (positions >= 11)] == 0).all()


@pytest.mark.parametrize("scale", [0.0, 0.3])
@pytest.mark.parametrize("shift", [0.0, 0.2])
def test_it_equals_random_affine_of_kornia(double: None, scale: float, shift: float) -> None:
    import kornia.augmentation as K

    torch.manual_seed(0)
    images = torch.randn(6, *SHAPE)
    random = K.RandomAffine(
        0.0, (shift, shift), (1 - scale, 1 + scale), padding_mode="zeros", align_corners=True, p=1.0
    )
    params = random.generate_parameters(images.shape)
    moves, factor = params["translations"].double(), params["scale"][:, 0].double()
    offsets = tuple(-moves[:, axis] / factor for axis in (1, 0))
    view = apply_view(images, View(torch.zeros(6, dtype=torch.bool), 1 / factor, offsets))
    # kornia computes parameters and matrix in float32
    torch.testing.assert_close(view, random(images, params=params), rtol=0, atol=1e-5)


def test_it_equals_warp_affine_of_kornia(double: None) -> None:
    from kornia.geometry.transform import warp_affine

    torch.manual_seed(0)
    images, rows = torch.randn(7, *SHAPE), 7
    mirror, zoom = torch.rand(rows) < 0.5, 0.5 + torch.rand(rows)
    offsets = (4 * torch.rand(rows) - 2, 4 * torch.rand(rows) - 2)
    back = torch.eye(3).repeat(rows, 1, 1)  # from pixels (x, y, 1) of the view to those of the image
    sign = 1 - 2 * mirror.double()
    for i, (middle, towards, offset) in enumerate(((5.0, sign, offsets[1]), (3.5, torch.ones(rows), offsets[0]))):
        back[:, i, i] = towards * zoom
        back[:, i, 2] = middle + towards * (offset - middle * zoom)
    expected = warp_affine(images, back.inverse()[:, :2], (8, 11), padding_mode="zeros", align_corners=True)
    torch.testing.assert_close(apply_view(images, View(mirror, zoom, offsets)), expected, rtol=1e-12, atol=1e-12)


def test_a_crop_equals_that_of_kornia(double: None) -> None:
    from kornia.geometry.transform import crop_and_resize

    images, cut = torch.randn(1, *SHAPE), 0.4
    for place in ((-1.0, -1.0), (1.0, 0.25)):  # as shares of the margin
        offsets = [cut * p * (side - 1) / 2 for p, side in zip(place, SHAPE[1:], strict=True)]
        (top, left), (bottom, right) = (
            [m + (1 - cut) * end * m + o for m, o in zip((3.5, 5.0), offsets, strict=True)] for end in (-1, 1)
        )
        box = torch.tensor([[[left, top], [right, top], [right, bottom], [left, bottom]]])
        expected = crop_and_resize(images, box, SHAPE[1:], align_corners=True)
        view = apply_view(images, view_of(1, 2, zoom=1 - cut, offsets=offsets))
        torch.testing.assert_close(view, expected, rtol=1e-9, atol=1e-9)


def test_a_combined_view_equals_a_sequence_of_views(double: None) -> None:
    """Compare on ramps, away from the edges, where repeated resampling is exact."""
    torch.manual_seed(0)
    sides, draws = (41, 51), torch.rand(7, 20)
    ramps = torch.stack(torch.meshgrid(torch.arange(41.0), torch.arange(51.0), indexing="ij")).expand(20, -1, -1, -1)
    strengths = dict(zip(("flip", "scale", "shift", "crop"), torch.tensor([0.5, 0.2, 0.1, 0.3]), strict=True))
    at_once, in_turn = apply_view(ramps, view_from_draws(draws, sides, **strengths)), ramps
    for name, strength in strengths.items():
        single = {other: strength if other == name else torch.tensor(0.0) for other in strengths}
        in_turn = apply_view(in_turn, view_from_draws(draws, sides, **single))
    torch.testing.assert_close(at_once[:, :, 15:26, 18:33], in_turn[:, :, 15:26, 18:33], rtol=1e-12, atol=0)
