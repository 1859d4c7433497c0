import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab.models import Linear
from reglab.regularizers import Adversarial, Dropout, LabelSmoothing, Mixup, Step
from reglab.regularizers.adversarial import attacked
from reglab.tasks import Classification, Regression
from tests.regularizers.steps import CLASSES, batch_of, fit_of, network, task_of, train

pytestmark = pytest.mark.usefixtures("double")
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-14}
EPSILON = 0.25  # exact in float32


def moved_by(method: Adversarial, model: nn.Module, task: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Return the inputs that the method makes of a batch."""
    assert method.attach(model) == ["inputs"]
    return method.transform_batch(batch, Step(model.train(), task, batch))[0]


@pytest.mark.parametrize("steps", [1, 5])
def test_on_a_linear_model_it_is_the_worst_perturbation(steps: int) -> None:
    """The margin of two classes falls by epsilon · Σ |w|; the error of a regression grows by it."""
    inputs, numbers = torch.randn(9, 4), torch.randn(9)
    model = Linear((4,), 1)
    error = (model(inputs) - numbers).abs() + EPSILON * model.output.weight.abs().sum()
    fit = fit_of(model, Regression(), [Adversarial(EPSILON, steps)])
    torch.testing.assert_close(fit((inputs, numbers)), error.square().mean(), **EXACT)

    model, classes = Linear((4,), 2), torch.arange(9) % 2
    outputs, rows = model(inputs), torch.arange(9)
    margin = outputs[rows, classes] - outputs[rows, 1 - classes]
    worst = margin - EPSILON * (model.output.weight[0] - model.output.weight[1]).abs().sum()
    fit = fit_of(model, Classification(2), [Adversarial(EPSILON, steps)])
    torch.testing.assert_close(fit((inputs, classes)), F.softplus(-worst).mean(), **EXACT)


def test_more_steps_are_worse_and_stay_in_the_box() -> None:
    """The loss of a linear model is convex in its inputs, so that its maximum is in a corner; try all corners."""
    torch.manual_seed(0)
    model, rows = Linear((6,), 5), 200
    inputs, classes = torch.randn(rows, 6), torch.randint(5, (rows,))

    def losses(at: Tensor) -> Tensor:
        return F.cross_entropy(model(at), classes, reduction="none").detach()

    corners = torch.tensor(list(itertools.product([-2.0, 2.0], repeat=6)))
    worst = torch.stack([losses(inputs + corner) for corner in corners]).amax(0)
    single, multiple = (moved_by(Adversarial(2.0, n), model, Classification(3), (inputs, classes)) for n in (1, 20))
    for moved in (single, multiple):
        assert ((moved - inputs).abs() <= 2.0 + 1e-12).all()
    fgsm, pgd = losses(single), losses(multiple)
    assert (pgd >= fgsm - 1e-12).all()
    assert (pgd <= worst + 1e-12).all()
    assert (worst - pgd).mean() < (worst - fgsm).mean() / 2
    assert (worst - fgsm).max() > 0.1


def test_one_step_is_the_sign_of_the_gradient() -> None:
    model, task, (inputs, targets) = network(), task_of("classification"), batch_of("classification")
    model_inputs = inputs.clone().requires_grad_()
    task.criterion(model(model_inputs), targets).backward()
    model.zero_grad()
    moved = moved_by(Adversarial(EPSILON), model, task, (inputs, targets))
    assert torch.equal(moved, inputs + EPSILON * model_inputs.grad.sign())
    assert not moved.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_steps_are_of_a_length_and_clipped() -> None:
    """4 steps of length 2.5 / 4, clipped at 1; the size of the gradient does not matter."""
    positions: list[float] = []

    def gradient(at: Tensor) -> Tensor:
        positions.append(at.item())
        return torch.where(at < 0.9, 1e-30, -1e30)

    assert attacked(torch.zeros(1), gradient, torch.tensor(1.0), 4).item() == 1.0
    assert positions == [0.0, 0.625, 1.0, 0.375]


def test_a_gradient_of_zero_moves_nothing() -> None:
    inputs = torch.randn(3, 2)
    assert torch.equal(attacked(inputs, torch.zeros_like, torch.tensor(1.0), 3), inputs)


@pytest.mark.parametrize("steps", [1, 3])
def test_the_attack_has_the_masks_of_the_training_pass(steps: int) -> None:
    model, masks = network(activation="sigmoid"), []
    fit = fit_of(model, task_of("classification"), [Adversarial(EPSILON, steps), Dropout(p=0.5, input_p=0.2)])
    model.output.register_forward_pre_hook(lambda module, inputs: masks.append(inputs[0] == 0))
    torch.manual_seed(1)
    fit(batch_of("classification"))
    expected = torch.rand(1)
    assert len(masks) == steps + 1
    assert masks[0].any()
    assert all(torch.equal(mask, masks[0]) for mask in masks)
    torch.manual_seed(1)
    model(batch_of("classification")[0])
    assert torch.equal(masks[-1], masks[0])
    assert torch.equal(torch.rand(1), expected)  # draws of other methods are the same


def test_batch_norm_counts_the_training_pass_only() -> None:
    fit = fit_of(network(norm="batch"), task_of("classification"), [Adversarial(EPSILON, 2)])
    reference, model_inputs = copy.deepcopy(fit.model).train(), []
    fit.model.register_forward_pre_hook(lambda module, inputs: model_inputs.append(inputs[0]))
    fit(batch_of("classification"))
    reference(model_inputs[-1])
    assert len(model_inputs) == 3
    for name, value in reference.state_dict().items():
        assert torch.equal(fit.model.state_dict()[name], value), name
    assert all(module.track_running_stats for module in fit.model.modules() if isinstance(module, nn.BatchNorm1d))


def test_it_raises_the_loss_of_mixed_examples_and_labels() -> None:
    methods = [Adversarial(EPSILON), Mixup(1.0), LabelSmoothing(0.9)]
    fit, batch = fit_of(network(), task_of("classification"), methods), batch_of("classification")
    model_inputs: list[Tensor] = []
    fit.model.register_forward_pre_hook(lambda module, inputs: model_inputs.append(inputs[0]))
    torch.manual_seed(1)
    fit(batch)
    torch.manual_seed(1)
    mixed, shares = methods[1].transform_batch(batch, fit)  # the method reads fit.task only
    assert torch.equal(model_inputs[0], mixed)
    mixed.requires_grad_()
    F.cross_entropy(fit.model(mixed), shares).backward()
    assert torch.equal(model_inputs[1], mixed + EPSILON * mixed.grad.sign())


def test_off_costs_nothing() -> None:
    model, batch = network(), batch_of("classification")
    method = Adversarial(0.0, steps=3)
    assert method.transform_batch(batch, Step(model, None, batch)) is batch


def test_small_gradients_of_many_rows_have_a_sign() -> None:
    """In half precision, gradients of the mean over many rows would underflow to 0."""
    model, task = Linear((4,), CLASSES).float(), task_of("classification")
    nn.init.normal_(model.output.weight, std=1e-4)
    batch = torch.randn(4096, 4, dtype=torch.float32), torch.randint(CLASSES, (4096,))
    with torch.autocast("cpu", torch.float16):
        moved = moved_by(Adversarial(EPSILON), model, task, batch)
    assert (moved != batch[0]).all()


@pytest.mark.slow
def test_adversarial_training_lowers_the_adversarial_loss() -> None:
    batch, losses = batch_of("classification", rows=200), []
    for epsilon in (0.0, 0.5):
        fit = train(fit_of(network(), task_of("classification"), [Adversarial(epsilon)]), [batch], 300)
        moved = moved_by(Adversarial(0.5, 10), fit.model, fit.task, batch)
        losses.append(fit.task.criterion(fit.model(moved), batch[1]))
    assert losses[1] < 0.8 * losses[0]
