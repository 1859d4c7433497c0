"""Spectral norm, compared with the SVD and with torch, which keeps the undivided matrix."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from reglab.regularizers import EMA, L1, SAM, SpectralNorm, penalized
from reglab.regularizers.spectral_norm import gradient_through_division, power_iteration
from tests.regularizers.lightning_runs import fitted
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train

IMAGE = (2, 8, 8)


def largest(model: nn.Module) -> list[float]:
    return [float(torch.linalg.svdvals(w.detach().flatten(1))[0]) for w in penalized(model).values()]


@pytest.mark.parametrize("shape", [(5, 3), (3, 7), (1, 4), (4, 2, 3), (4, 3, 2, 2)])
def test_iterations_converge_to_the_first_singular_value(double: None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape)
    left, right = torch.randn(shape[0]), torch.randn(weight[0].numel())
    values = []
    for _ in range(500):
        value, left, right = power_iteration(weight, left, right)
        values.append(value)
    lefts, expected, rights = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    torch.testing.assert_close(value, expected[0], rtol=1e-14, atol=0)
    torch.testing.assert_close(torch.outer(left, right), torch.outer(lefts[:, 0], rights[0]), rtol=1e-7, atol=1e-12)
    assert all(one <= other + 1e-12 for one, other in itertools.pairwise(values))


def test_the_gradient_includes_the_division(double: None) -> None:
    torch.manual_seed(0)
    left, right = (vector / vector.norm() for vector in (torch.randn(3), torch.randn(8)))
    weight = torch.randn(3, 2, 2, 2)
    weight /= left @ weight.flatten(1) @ right
    point = weight.clone().requires_grad_()
    divided = point / (left @ point.flatten(1) @ right)
    slope = torch.randn(weight.shape)
    divided.backward(slope)
    torch.testing.assert_close(
        gradient_through_division(slope.clone(), weight, left, right), point.grad, rtol=1e-13, atol=1e-14
    )


class Undivided:
    """Spectral norm of torch on every layer of a model, with undivided matrices divided after each step."""

    def __init__(self, model: nn.Module, vectors: list[tuple[Tensor, Tensor]]) -> None:
        self.model = model
        self.layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        for layer, (left, right) in zip(self.layers, vectors, strict=True):
            parametrizations.spectral_norm(layer)
            layer.parametrizations.weight[0]._u.copy_(left)
            layer.parametrizations.weight[0]._v.copy_(right)
        self._iterations(0)

    def _iterations(self, count: int) -> None:
        for layer in self.layers:
            layer.parametrizations.weight[0].n_power_iterations = count

    @torch.no_grad()
    def divide(self) -> None:
        self._iterations(1)
        for layer in self.layers:
            layer.parametrizations.weight.original.copy_(layer.weight)
        self._iterations(0)


@pytest.mark.parametrize("make", [lambda p: torch.optim.SGD(p, lr=0.3), lambda p: torch.optim.Adam(p, lr=0.1)])
def test_training_equals_torch_with_the_matrix_divided(
    double: None, make: Callable[[Any], torch.optim.Optimizer]
) -> None:
    task, batches = task_of("classification"), [batch_of("classification", seed=i, shape=IMAGE) for i in range(10)]
    batches = [(inputs.double(), targets) for inputs, targets in batches]
    method = SpectralNorm()
    ours = fit_of(network(shape=IMAGE), task, [method])
    theirs = Undivided(copy.deepcopy(ours.model), list(method.all_vectors().values()))
    optimizer = make(theirs.model.parameters())
    train(ours, batches, 10, make)
    for inputs, targets in batches:
        optimizer.zero_grad()
        task.criterion(theirs.model(inputs), targets).backward()
        optimizer.step()
        theirs.divide()
    for layer, weight in zip(theirs.layers, penalized(ours.model).values(), strict=True):
        torch.testing.assert_close(weight, layer.weight, rtol=1e-9, atol=1e-11)


def test_the_largest_singular_value_is_1_before_and_after_training() -> None:
    method = SpectralNorm()
    fit = fit_of(network(shape=IMAGE), task_of("classification"), [method])
    assert largest(fit.model) == pytest.approx([1.0] * 3, rel=1e-4)
    batches = [batch_of("classification", seed=i, shape=IMAGE) for i in range(3)]
    train(fit, batches, 100, lambda p: torch.optim.SGD(p, lr=0.01))
    assert largest(fit.model) == pytest.approx([1.0] * 3, rel=1e-3)
    assert method.attach(fit.model) == ["conv_0.weight", "conv_1.weight", "output.weight"]


def test_attaching_draws_nothing_from_the_global_generator() -> None:
    model = network()
    state = torch.random.get_rng_state()
    SpectralNorm().attach(model)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_zero_weights_stay_and_can_leave_zero() -> None:
    model = nn.Linear(4, 3)
    nn.init.zeros_(model.weight)
    method = SpectralNorm()
    method.attach(model)
    before = [vector.clone() for vector in method.vectors("weight")]
    assert (method.after_step({"weight": model.weight}, 0.1)["weight"] == 0).all()
    assert all(torch.equal(one, other) for one, other in zip(before, method.vectors("weight"), strict=True))
    moved = torch.randn(4, 3).T
    for _ in range(200):
        moved = method.after_step({"weight": moved}, 0.1)["weight"]
    assert torch.linalg.svdvals(moved)[0].item() == pytest.approx(1.0, rel=1e-5)


def test_autocast_does_not_change_the_division() -> None:
    methods, weights = [SpectralNorm(), SpectralNorm()], []
    for method in methods:
        torch.manual_seed(0)
        method.attach(nn.Linear(6, 8))
        with torch.autocast("cpu", torch.bfloat16, enabled=method is methods[0]):
            torch.manual_seed(1)
            weights.append(method.after_step({"weight": torch.randn(8, 6)}, 0.1)["weight"])
    assert torch.equal(*weights)


def test_sam_perturbs_the_divided_weights_and_updates_the_vectors_once(double: None) -> None:
    inputs, targets = batch_of("classification")
    batch, task = (inputs.double(), targets), task_of("classification")
    sam, method = SAM(0.3), SpectralNorm()
    fit = fit_of(network(), task, [sam, method])
    model = copy.deepcopy(fit.model)
    vectors = {name: tuple(vector.clone() for vector in pair) for name, pair in method.all_vectors().items()}
    train(fit, [batch], 1)

    task.criterion(model(batch[0]), batch[1]).backward()
    length = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    uphill = copy.deepcopy(model)
    for parameter, own in zip(uphill.parameters(), model.parameters(), strict=True):
        parameter.data += sam.rho * own.grad / length
    uphill.zero_grad()
    task.criterion(uphill(batch[0]), batch[1]).backward()
    for name, weight in penalized(model).items():
        gradient = gradient_through_division(uphill.get_parameter(name).grad, weight.detach(), *vectors[name])
        moved = weight.detach() - 0.1 * gradient
        value, left, right = power_iteration(moved, *vectors[name])
        torch.testing.assert_close(fit.model.get_parameter(name).detach(), moved / value, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(method.vectors(name), (left, right), rtol=1e-9, atol=1e-11)


def test_zeros_of_l1_stay_zeros() -> None:
    fit = fit_of(network(), task_of("classification"), [L1(0.1), SpectralNorm()])
    train(fit, [batch_of("classification")], 50)
    weights = torch.cat([weight.flatten() for weight in penalized(fit.model).values()])
    assert 0.1 < (weights == 0).float().mean() < 0.9
    assert largest(fit.model) == pytest.approx([1.0] * 3, rel=1e-2)


def test_a_mean_of_divided_weights_is_not_above_1() -> None:
    on, _ = fitted(EMA(decay=0.9), SpectralNorm())
    off, _ = fitted(SpectralNorm())
    assert not same_state(on.fit.model, off.fit.model)
    assert all(0.5 < value <= 1.01 for value in largest(on.fit.model))


def test_a_resumed_run_restores_its_vectors(tmp_path: Path) -> None:
    _, first = fitted(SpectralNorm(), epochs=1)
    first.save_checkpoint(tmp_path / "first.ckpt")
    resumed, _ = fitted(SpectralNorm(), checkpoint=str(tmp_path / "first.ckpt"))
    uninterrupted, _ = fitted(SpectralNorm())
    assert same_state(resumed.fit.model, uninterrupted.fit.model)
    for name in penalized(uninterrupted.fit.model):
        for a, b in zip(*(run.fit.regularizers[0].vectors(name) for run in (resumed, uninterrupted)), strict=True):
            assert torch.equal(a, b)


def test_weights_can_be_frozen_and_unfrozen_in_training() -> None:
    """Frozen weights and their vectors do not change; unfrozen weights are divided after their first step."""
    model, method, batch = network(), SpectralNorm(), batch_of("classification")
    first, second = model.hidden_0.weight, model.hidden_1.weight
    first.requires_grad_(False)
    fit, start = fit_of(model, task_of("classification"), [method]), first.clone()
    train(fit, [batch], 5)
    assert torch.equal(first, start)
    assert list(method.all_vectors()) == ["hidden_1.weight", "output.weight"]

    first.requires_grad_(True)
    second.requires_grad_(False)
    kept = [second.detach().clone(), *(vector.clone() for vector in method.vectors("hidden_1.weight"))]
    train(fit, [batch], 1)
    assert largest(nn.ParameterList([first])) == pytest.approx([1.0], rel=1e-5)
    train(fit, [batch], 5, lambda p: torch.optim.SGD(p, lr=0.01))
    assert all(torch.equal(*pair) for pair in zip(kept, [second, *method.vectors("hidden_1.weight")], strict=True))
    assert largest(model) == pytest.approx([1.0, 1.0], rel=1e-3)
