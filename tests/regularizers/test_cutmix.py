import pytest
import torch
from torch.nn import functional as F

from reglab.regularizers import Cutmix, Step
from reglab.regularizers._batch_transforms import box_masks
from reglab.regularizers.cutmix import box_sides, pasted
from tests.regularizers.steps import CLASSES, batch_of, network, task_of

SHAPE = (2, 8, 10)
pytestmark = pytest.mark.usefixtures("double")


def constant_images(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images i with all pixels equal to i, and labels i modulo the number of classes."""
    return torch.arange(float(rows)).reshape(rows, 1, 1, 1).expand(rows, *SHAPE), torch.arange(rows) % CLASSES


def test_labels_have_the_shares_of_the_pixels_that_are_seen() -> None:
    torch.manual_seed(0)
    batch = constant_images(300)
    images, targets = Cutmix(1.0).transform_batch(batch, Step(network(shape=SHAPE), task_of("classification"), batch))
    exact = F.one_hot(images.long() % CLASSES, CLASSES).double().mean((1, 2, 3))
    torch.testing.assert_close(targets, exact, rtol=1e-13, atol=1e-14)
    assert ((images != batch[0]).sum((1, 2, 3)) > 0).sum() > 200
    for image in images:
        assert len(image.unique()) <= 2, "of one partner"
    assert torch.equal(images[:, 0], images[:, 1]), "in all channels"
    assert torch.equal(batch[0], constant_images(300)[0])


def test_the_share_of_a_clipped_box_is_its_visible_area() -> None:
    images, labels = constant_images(2)
    centers = torch.tensor([4, 0]), torch.tensor([5, 0])
    sides = box_sides(images, torch.tensor([0.75, 0.75]))
    assert [side.tolist() for side in sides] == [[4, 4], [5, 5]]  # half of each side: a quarter of the area
    mask = box_masks(images, centers, sides)
    out, targets = pasted((images, F.one_hot(labels, 2).double()), torch.tensor([1, 0]), mask)
    assert (out != images).sum((2, 3)).tolist() == [[20, 20], [6, 6]]
    torch.testing.assert_close(targets, torch.tensor([[0.75, 0.25], [6 / 80, 74 / 80]]))


def test_a_share_of_1_is_the_identity() -> None:
    images, labels = batch_of("classification", shape=SHAPE)
    soft = F.one_hot(labels, CLASSES).double()
    rows = len(images)
    centers = torch.randint(8, (rows,)), torch.randint(10, (rows,))
    mask = box_masks(images, centers, box_sides(images, torch.ones(rows)))
    out = pasted((images, soft), torch.randperm(rows), mask)
    assert torch.equal(out[0], images)
    assert torch.equal(out[1], soft)


def test_a_share_of_0_in_the_middle_is_the_partner() -> None:
    images, labels = constant_images(2)
    mask = box_masks(images, (torch.tensor([4, 4]), torch.tensor([5, 5])), box_sides(images, torch.zeros(2)))
    out = pasted((images, F.one_hot(labels, 2).double()), torch.tensor([1, 0]), mask)
    assert torch.equal(out[0], images.flip(0))
    assert torch.equal(out[1], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
