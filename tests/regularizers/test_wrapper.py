"""Wrapped optimizers: with Lightning, with schedulers, nested, and with weight decay."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from reglab.regularizers import (
    SAM,
    Dropout,
    GradientClipping,
    GradientNoise,
    Lookahead,
    Regularizer,
    SpectralNorm,
    WeightDecay,
)
from reglab.regularizers._wrapper import BeforeUpdate, Wrapper
from reglab.training.fit import Fit
from reglab.training.module import Module
from tests.regularizers.lightning_runs import fitted
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train

OFF: dict[str, Callable[[], Regularizer]] = {
    "noise": lambda: GradientNoise(eta=0.0),
    "clipping": lambda: GradientClipping(max_norm=float("inf")),
    "sam": lambda: SAM(rho=0.0),
    "lookahead": lambda: Lookahead(alpha=1.0, k=1),
}


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)


@pytest.mark.slow
@pytest.mark.parametrize("name", OFF)
def test_off_under_lightning_with_a_schedule_dropout_and_batch_norm(name: str) -> None:
    """Bit-equal to no wrapper, with equal masks in both passes and a scheduler on the base optimizer."""
    keys: dict[str, Any] = {"scheduler": cosine, "net": {"norm": "batch"}}
    plain, trainer = fitted(Dropout(p=0.5), WeightDecay(strength=0.1), **keys)
    wrapped, around = fitted(Dropout(p=0.5), WeightDecay(strength=0.1), OFF[name](), **keys)
    assert same_state(plain.fit.model, wrapped.fit.model)
    assert isinstance(around.optimizers[0], Wrapper)
    assert around.optimizers[0].param_groups[0]["lr"] == trainer.optimizers[0].param_groups[0]["lr"] != 0.05


def chain(optimizer: Any) -> list[str]:
    return [type(optimizer).__name__, *(chain(optimizer.base) if isinstance(optimizer, Wrapper) else [])]


def test_they_wrap_in_the_order_in_which_they_act() -> None:
    """Order: two passes, gradient clipping, gradient noise, slow weights, decay before the update."""
    methods = [Lookahead(0.5, 2), GradientNoise(0.1), SAM(0.1), WeightDecay(0.1), GradientClipping(1.0)]
    fit = fit_of(network(), task_of("classification"), methods)
    module = Module(fit, torch.optim.SGD)
    wrapped = module.wrapped(torch.optim.SGD(fit.model.parameters(), lr=0.1))
    assert chain(wrapped) == [
        "SharpnessAware",
        "BeforeUpdate",
        "NoisyGradients",
        "LookaheadOptimizer",
        "BeforeUpdate",
        "SGD",
    ]


def test_the_gradient_through_a_division_is_clipped() -> None:
    """If it were clipped before the division, it could exceed the limit."""
    methods = [SpectralNorm(), GradientClipping(1e-3)]
    fit = fit_of(network(), task_of("classification"), methods)
    wrapped = Module(fit, torch.optim.SGD).wrapped(torch.optim.SGD(fit.model.parameters(), lr=0.1))
    assert chain(wrapped) == ["DivisionOptimizer", "BeforeUpdate", "SGD"]

    def closure() -> torch.Tensor:
        for parameter in fit.model.parameters():
            parameter.grad = -parameter.detach()  # the division removes most of the gradient
        return torch.zeros(())

    wrapped.step(closure)
    assert torch.cat(
        [gradient.flatten() for gradient in wrapped.gradients("gradient_clipping")]
    ).norm().item() == pytest.approx(1e-3)


def test_noise_is_not_clipped() -> None:
    on = fit_of(network(), task_of("classification"), [GradientNoise(1.0), GradientClipping(1e-6)])
    before = copy.deepcopy(on.model)
    train(on, [batch_of("classification")], 1)
    moved = torch.cat([(a - b).flatten() for a, b in zip(on.model.parameters(), before.parameters(), strict=True)])
    assert 0.07 < moved.std() < 0.13  # lr 0.1 and noise of variance 1


class ConstantLoss(nn.Module):
    """Task with a constant loss."""

    def criterion(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * 0.0


def test_weight_decay_acts_once_a_step_under_sam(double: None) -> None:
    model = network()
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    methods = [SAM(rho=0.5), WeightDecay(strength=0.2)]
    for method in methods:
        method.attach(model)
    train(Fit(model, ConstantLoss(), methods), [batch_of("classification")], 5)  # type: ignore[arg-type]
    for name, weight in model.state_dict().items():
        expected = start[name] * (1 - 0.1 * 0.2) ** 5 if name.endswith("weight") else start[name]
        torch.testing.assert_close(weight, expected, rtol=1e-14, atol=0)


def test_weight_decay_acts_right_before_the_update_under_sam(double: None) -> None:
    """w ← (1 - η s) w - η g(w + ρ g / ‖g‖): both gradients are taken before the decay."""
    rho, strength, lr, batch = 0.3, 0.5, 0.1, batch_of("regression")
    batch = batch[0].double(), batch[1].double()
    model = network("regression", activation="tanh")
    fit = fit_of(model, task_of("regression"), [SAM(rho), WeightDecay(strength)])
    plain = copy.deepcopy(model)
    weights = list(plain.parameters())

    def gradient() -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad(task_of("regression").criterion(plain(batch[0]), batch[1]), weights)

    start = [weight.detach().clone() for weight in weights]
    first = gradient()
    norm = torch.cat([g.flatten() for g in first]).norm()
    with torch.no_grad():
        for weight, g in zip(weights, first, strict=True):
            weight += rho * g / norm
    second = gradient()
    train(fit, [batch], 1)
    for (name, weight), w, g in zip(model.named_parameters(), start, second, strict=True):
        decay = 1 - lr * strength if name.endswith("weight") else 1.0
        torch.testing.assert_close(weight.detach(), decay * w - lr * g, rtol=1e-12, atol=1e-14)


def test_a_wrapper_has_the_groups_and_state_of_the_base() -> None:
    model = nn.Linear(3, 2)
    base = torch.optim.SGD([model.weight], lr=0.1, momentum=0.9)
    outer = Wrapper(BeforeUpdate(base, lambda: None))
    outer.add_param_group({"params": [model.bias], "lr": 0.5})
    assert outer.param_groups is base.param_groups
    assert [group["lr"] for group in base.param_groups] == [0.1, 0.5]
    model(torch.ones(1, 3)).sum().backward()
    outer.step()
    assert outer.state is base.state
    assert set(outer.state_dict()) == {"state", "param_groups"}
    outer.load_state_dict(copy.deepcopy(base.state_dict()))
    assert outer.param_groups is base.param_groups
    outer.zero_grad()
    assert model.weight.grad is None
    copied = copy.deepcopy(outer)
    assert copied.param_groups[0]["params"][0] is not model.weight
    assert torch.equal(copied.param_groups[0]["params"][0], model.weight)


def test_without_a_closure_the_current_gradients_are_changed() -> None:
    """A GradScaler steps without a closure; autograd is off while gradients change."""
    weight = nn.Parameter(torch.tensor([1.0]))
    weight.grad = torch.tensor([2.0])
    seen: list[bool] = []

    def double_it() -> None:
        seen.append(torch.is_grad_enabled())
        weight.grad = weight.grad * 2

    BeforeUpdate(torch.optim.SGD([weight], lr=0.25), double_it).step()
    assert weight.item() == 0.0
    assert seen == [False]
