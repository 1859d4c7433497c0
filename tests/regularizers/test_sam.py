import copy
from typing import Any

import pytest
import pytorch_optimizer
import torch
from torch import Tensor, nn

from reglab.regularizers import SAM, Dropout
from reglab.regularizers._norms import frozen_statistics
from reglab.regularizers.sam import SharpnessAware, ascent
from reglab.schema.errors import ConfigError
from reglab.training.module import Module
from tests.regularizers.lightning_runs import fitted
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train


def gradient_of_step(theta: nn.Parameter, matrix: Tensor, rho: float, lr: float) -> Tensor:
    """Return the gradient in one SGD step on ½ θᵀAθ, with θ split into two parameters."""
    parts = [nn.Parameter(theta.detach()[:2].clone()), nn.Parameter(theta.detach()[2:].clone())]
    optimizer = SAM(rho).wrap_optimizer(torch.optim.SGD(parts, lr=lr))

    def closure() -> Tensor:
        optimizer.zero_grad()
        joined = torch.cat(parts)
        loss = joined @ matrix @ joined / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    moved = torch.cat([part.detach() for part in parts])
    assert lr or torch.equal(moved, theta.detach()), "the weights are restored"
    return torch.cat([part.grad for part in parts])


def test_on_a_quadratic(double: None) -> None:
    """The gradient is A(θ + ρ Aθ / ‖Aθ‖), with one norm for all parameters; lr 0 leaves the weights unchanged."""
    torch.manual_seed(0)
    root, start = torch.randn(5, 5), torch.randn(5)
    matrix = root @ root.T
    for size in (1.0, 1e-6):  # the length of the step does not depend on the gradient
        theta = nn.Parameter(size * start)
        slope = matrix @ theta.detach()
        for rho in (0.0, 0.05, 2.0):
            expected = matrix @ (theta.detach() + rho * slope / slope.norm())
            torch.testing.assert_close(gradient_of_step(theta, matrix, rho, lr=0.0), expected, rtol=1e-12, atol=1e-14)


def test_a_gradient_of_zero_moves_nothing() -> None:
    assert torch.equal(ascent([torch.zeros(3)], torch.tensor(0.5))[0], torch.zeros(3))


def test_batch_norm_counts_the_first_pass_only() -> None:
    fit = fit_of(network(norm="batch"), task_of("classification"), [SAM(rho=1.0)])
    reference = copy.deepcopy(fit.model).train()
    batch = batch_of("classification")
    reference(batch[0])  # one pass at the initial weights
    train(fit, [batch], 1)
    norms = [name for name in reference.state_dict() if "running" in name or "tracked" in name]
    assert len(norms) == 6
    for name in norms:
        assert torch.equal(fit.model.state_dict()[name], reference.state_dict()[name]), name
    assert all(module.track_running_stats for module in fit.model.modules() if isinstance(module, nn.BatchNorm1d))


def test_the_second_pass_normalizes_by_the_batch() -> None:
    norm, values = nn.BatchNorm1d(3), torch.randn(9, 3) * 5 + 2
    with frozen_statistics([norm]):
        outputs = norm(values)
    assert torch.equal(outputs, norm(values))
    norm.eval()
    with frozen_statistics([norm]):
        assert torch.equal(norm(values), nn.functional.batch_norm(values, norm.running_mean, norm.running_var))


def test_both_passes_have_the_same_masks_under_lightning() -> None:
    inputs: list[Tensor] = []

    class RecordMasks(SAM):
        def attach(self, model: nn.Module) -> list[str]:
            model.output.register_forward_pre_hook(lambda m, args: inputs.append(args[0] == 0) if m.training else None)
            return super().attach(model)

    fitted(Dropout(p=0.5), RecordMasks(rho=1e-4), epochs=2, net={"activation": "sigmoid"})
    assert len(inputs) == 16
    for first, second in zip(inputs[::2], inputs[1::2], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(inputs[0], inputs[2])


def test_a_failing_second_pass_restores_the_weights() -> None:
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = SAM(1.0).wrap_optimizer(torch.optim.SGD([weight], lr=0.1))
    passes: list[int] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        passes.append(1)
        if len(passes) == 2:
            raise ArithmeticError
        loss = weight.square().sum()
        loss.backward()
        return loss

    with pytest.raises(ArithmeticError):
        optimizer.step(closure)
    assert weight.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("settings", "words"), [({"accumulate_grad_batches": 2}, "accumulate_grad_batches=1"), ({}, None)]
)
def test_gradients_of_several_batches_are_refused(settings: dict[str, Any], words: str | None) -> None:
    if words is None:
        assert fitted(SAM(0.1), **settings)[1].global_step == 12
        return
    with pytest.raises(ConfigError, match=words):
        fitted(SAM(0.1), **settings)


def test_without_a_closure_it_is_refused() -> None:
    model = network()
    optimizer = SAM(0.1).wrap_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
    assert isinstance(optimizer, SharpnessAware)
    with pytest.raises(ConfigError, match="not 16-mixed"):
        optimizer.step()


def test_a_checkpoint_of_the_plain_optimizer_loads() -> None:
    on, off = network(), network()
    fit = fit_of(on, task_of("classification"), [SAM(0.1)])
    optimizer = Module(fit, torch.optim.Adam).wrapped(torch.optim.Adam(on.parameters()))
    optimizer.load_state_dict(torch.optim.Adam(off.parameters()).state_dict())
    assert same_state(on, off)


BASES: list[tuple[Any, dict[str, float]]] = [
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (torch.optim.AdamW, {"lr": 0.02, "weight_decay": 0.0}),
]


def trained_with(make: Any, steps: int, **net: Any) -> nn.Module:
    """Return a net after some steps; the optimizer of the library needs a gradient before each step."""
    model, task = network(activation="tanh", **net), task_of("classification")
    optimizer = make(model.parameters())
    for step in range(steps):
        inputs, targets = batch_of("classification", seed=step % 3)

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            optimizer.zero_grad()
            loss = task.criterion(model(inputs), targets)
            loss.backward()
            return loss

        if isinstance(optimizer, pytorch_optimizer.SAM):
            closure()
        optimizer.step(closure)
    return model


@pytest.mark.parametrize(("base", "keys"), BASES, ids=lambda value: getattr(value, "__name__", ""))
def test_it_equals_pytorch_optimizer(double: None, base: Any, keys: dict[str, float]) -> None:
    """Equal to about eight digits, since the library computes the norm in single precision."""
    model = trained_with(lambda p: SAM(0.5).wrap_optimizer(base(p, **keys)), 7)
    library = trained_with(lambda p: pytorch_optimizer.SAM(p, base, rho=0.5, **keys), 7)
    plain = trained_with(lambda p: base(p, **keys), 7)
    for a, b, without in zip(model.parameters(), library.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
        assert not torch.allclose(a, without, rtol=1e-3, atol=1e-3)


def test_it_is_more_exact_than_pytorch_optimizer(double: None) -> None:
    """One step with lr 1 on Σ w⁴/4 gives w - (w + ρ w³/‖w³‖)³."""
    start, rho = torch.tensor([0.3, -1.1, 0.7]), 0.05
    cube = start**3
    expected = start - (start + rho * cube / cube.norm()) ** 3
    errors = []
    for make in (
        lambda p: SAM(rho).wrap_optimizer(torch.optim.SGD(p, lr=1.0)),
        lambda p: pytorch_optimizer.SAM(p, torch.optim.SGD, rho=rho, lr=1.0),
    ):
        weight = nn.Parameter(start.clone())
        optimizer = make([weight])

        def closure(weight: Any = weight, optimizer: Any = optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = (weight**4).sum() / 4
            loss.backward()
            return loss

        if isinstance(optimizer, pytorch_optimizer.SAM):
            closure()
        optimizer.step(closure)
        errors.append(float((weight.detach() - expected).abs().max()))
    assert errors[0] < 1e-15
    assert 1e-12 < errors[1] < 1e-7


def test_batch_norm_does_not_count_the_second_pass_unlike_in_the_library() -> None:
    counts = [
        int(trained_with(make, 3, norm="batch").state_dict()["norm_0.num_batches_tracked"])
        for make in (
            lambda p: pytorch_optimizer.SAM(p, torch.optim.SGD, rho=0.5, lr=0.1),
            lambda p: torch.optim.SGD(p, lr=0.1),
        )
    ]
    fit = fit_of(network(norm="batch"), task_of("classification"), [SAM(0.5)])
    train(fit, [batch_of("classification")], 3)
    count = int(fit.model.state_dict()["norm_0.num_batches_tracked"])
    assert (*counts, count) == (6, 3, 3)
