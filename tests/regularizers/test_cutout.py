import pytest
import torch

from reglab.regularizers import Cutmix, Cutout, Mixup, Step, in_order
from reglab.regularizers.cutout import cut_out
from tests.regularizers.steps import network, task_of

SHAPE = (2, 8, 10)
CENTERS = (torch.tensor([4, 0, 7, 3]), torch.tensor([5, 0, 9, 0]))


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        (0.0, [0, 0, 0, 0]),
        (1.0, [1, 1, 1, 1]),
        (3.0, [9, 4, 4, 6]),  # inside; in two corners; at an edge
        (4.0, [16, 4, 9, 8]),  # an even square extends one more pixel up and left
        (99.0, [80, 80, 80, 80]),
    ],
)
def test_the_count_of_pixels(size: float, counts: list[int]) -> None:
    images = torch.ones(4, *SHAPE)
    out = cut_out(images, CENTERS, torch.tensor(size))
    assert (out == 0).sum((2, 3)).tolist() == [[count, count] for count in counts]
    assert ((out == 0) | (out == 1)).all()
    assert (images == 1).all()


def test_the_square_is_centred() -> None:
    out = cut_out(torch.ones(4, *SHAPE), CENTERS, torch.tensor(3.0))
    assert (out[0, :, 3:6, 4:7] == 0).all()
    assert (out[1, :, :2, :2] == 0).all()


def test_size_0_returns_the_images() -> None:
    images = torch.randn(4, *SHAPE)
    assert torch.equal(cut_out(images, CENTERS, torch.tensor(0.0)), images)


def test_every_image_has_its_own_square_at_any_pixel() -> None:
    torch.manual_seed(0)
    batch = torch.ones(4000, *SHAPE), torch.zeros(4000, dtype=torch.long)
    step = Step(network(shape=SHAPE), task_of("classification"), batch)
    inputs, targets = Cutout(1.0).transform_batch(batch, step)
    assert targets is batch[1]
    assert ((inputs == 0).sum((1, 2, 3)) == 2).all()
    often = (inputs == 0)[:, 0].sum(0)  # 50 per pixel
    assert often.min() > 15
    assert often.max() < 85


def test_cutout_precedes_mixing() -> None:
    for mix in (Mixup(1.0), Cutmix(1.0)):
        assert [method.name for method in in_order([mix, Cutout(2.0)])] == ["cutout", mix.name]
