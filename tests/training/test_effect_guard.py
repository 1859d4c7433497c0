"""Effect guard: accept methods that act without side effects, refuse the others with the reason."""

import random
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab.regularizers import (
    L1,
    L2,
    L2SP,
    AttentionDropout,
    DropConnect,
    Dropout,
    Flooding,
    GradientClipping,
    GradientNoise,
    Lookahead,
    LoraDropout,
    MaxNorm,
    RDrop,
    Regularizer,
    Step,
    StochasticDepth,
    WeightDecay,
    in_order,
)
from reglab.regularizers._hooks import attach
from reglab.schema.errors import ConfigError
from reglab.schema.strength import Search, Strength, coefficient
from reglab.tasks import Classification
from reglab.training.effect_guard import UnmeasurableError, check_effects, first_step
from reglab.training.fit import Fit
from tests.regularizers.steps import CLASSES, FEATURES, batch_of, same_state, task_of, train
from tests.regularizers.test_table import ROWS, Row


def fit_with(model: nn.Module, *methods: Regularizer) -> Fit:
    ordered = in_order(methods)
    for method in ordered:
        assert attach(method, model)
    return Fit(model, Classification(CLASSES), ordered)


def guard_caveats(model: nn.Module, *methods: Regularizer) -> list[str]:
    return check_effects(first_step(fit_with(model, *methods), batch_of("classification")))


def refusal(model: nn.Module, *methods: Regularizer) -> str:
    with pytest.raises(ConfigError) as error:
        guard_caveats(model, *methods)
    assert "\n" not in str(error.value)
    return str(error.value)


class Net(nn.Module):
    """Two linear layers with the function `through` between them."""

    def __init__(self, through: Callable[[Any, Tensor], Tensor] = lambda net, x: net.act(x), *parts: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.act, self.last = nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, CLASSES)
        self.parts = nn.ModuleList(parts)
        self.through = through

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.through(self, self.first(x)))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cls)
def test_every_method_passes_and_the_measurement_does_not_change_training(row: Row) -> None:
    def new_fit() -> Fit:
        model, method = row.network(norm="batch"), row.make()
        attach(method, model)
        return Fit(model, task_of(row.kind), [method])

    measured, other = new_fit(), new_fit()
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    assert check_effects(first_step(measured, row.batches()[0])) == []
    draws = torch.rand(1).item(), np.random.rand(), random.random()
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    assert draws == (torch.rand(1).item(), np.random.rand(), random.random())
    assert all(parameter.grad is None for parameter in measured.parameters())
    buffers = dict(other.named_buffers())
    assert dict(measured.named_buffers()).keys() == buffers.keys()
    assert all(torch.equal(value, buffers[name]) for name, value in measured.named_buffers())
    assert same_state(train(measured, row.batches(), 4).model, train(other, row.batches(), 4).model)


@pytest.mark.parametrize(
    "methods",
    [
        [MaxNorm(max_norm=100.0)],
        [GradientClipping(max_norm=1e6)],
        [Flooding(level=1e-6)],
        [Lookahead(alpha=0.5, k=50)],
        [GradientNoise(eta=1e-30)],
        [L2(strength=1e-30)],
        [L2SP(strength=1e-12)],
        [WeightDecay(strength=1e-12)],
        [L1(strength=1e-12)],
        [Dropout(p=1e-7)],
        [Dropout(p=0.2), RDrop(alpha=1e-9), L2(strength=0.1), MaxNorm(max_norm=3.0)],
    ],
    ids=lambda methods: "+".join(method.name for method in methods),
)
def test_rare_effects_are_measured_at_probe_values(methods: list[Regularizer]) -> None:
    assert all("rounding" in caveat for caveat in guard_caveats(Net(), *methods))


@pytest.mark.parametrize(
    ("method", "lost"),
    [
        (L2(strength=1e-30), True),
        (WeightDecay(strength=1e-30), True),
        (L1(strength=1e-30), True),
        (L2(strength=1e-4), False),
        (L2SP(strength=1e-4), False),
        (Dropout(p=1e-9), False),
        (MaxNorm(max_norm=100.0), False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_an_effect_below_rounding_gives_a_caveat(method: Regularizer, lost: bool) -> None:
    caveats = guard_caveats(Net(), method)
    assert len(caveats) == lost
    assert all("1e-30 equals one without it" in caveat for caveat in caveats)


def test_methods_at_their_off_values_are_not_measured() -> None:
    assert guard_caveats(Net(lambda net, x: F.relu(x)), Dropout(p=0.0), Lookahead(alpha=1.0, k=5)) == []


@pytest.mark.parametrize(
    ("through", "reason"),
    [
        (lambda net, x: F.relu(x), "forward never calls act"),
        (lambda net, x: net.act.eval()(x), "forward runs act in eval mode"),
        (lambda net, x: F.relu(x) + 0 * net.act(x), "its changes at act do not reach the loss"),
        (lambda net, x: net.act(x).sign(), None),
        (lambda net, x: (net.act(x), F.relu(x))[1], "its changes at act do not reach the loss"),
    ],
    ids=["functional", "eval", "times 0", "acts", "thrown away"],
)
def test_hooks_that_change_nothing_are_refused_with_the_reason(through: Any, reason: str | None) -> None:
    # Dropout after the hook draws too; a shift of its random numbers does not count as an effect.
    model = Net(lambda net, x: net.parts[0](through(net, x)), nn.Dropout(0.5))
    if reason is None:
        assert guard_caveats(model, Dropout(p=0.5)) == []
        return
    message = refusal(model, Dropout(p=0.5))
    assert message.startswith("regularizer=dropout: no effect ")
    assert f": {reason}" in message
    assert refusal(Net(through), L2(strength=0.1), Dropout(p=0.5)).startswith("regularizer=dropout: ")


def test_layers_left_in_eval_mode_are_named() -> None:
    model = Net(lambda net, x: net.parts[0](x), nn.Sequential(nn.ReLU(), nn.Linear(8, 8)))
    del model.act
    model.parts[0].eval()
    message = refusal(model, Dropout(p=0.5))
    assert "eval mode, as parts.0 is" in message


def test_a_replaced_submodule_is_refused() -> None:
    model = Net(lambda net, x: net.act(x), nn.Identity())
    fit = fit_with(model, Dropout(p=0.5))
    model.act = nn.ReLU()
    with pytest.raises(ConfigError, match="forward never calls act"):
        check_effects(first_step(fit, batch_of("classification")))


def test_a_branch_that_is_never_taken_gives_a_caveat() -> None:
    model = Net(lambda net, x: net.act(x), nn.Sequential(nn.Linear(8, 8), nn.ReLU()), nn.Linear(1, 1))
    (caveat,) = guard_caveats(model, Dropout(p=0.5))
    assert caveat.startswith("dropout: no effect at 1 of the 2 modules")
    assert "parts.0.1" in caveat


def test_a_module_that_was_compiled_and_called_before_calls_its_hooks() -> None:
    model = Net(
        lambda net, x: net.parts[0](x), torch.compile(nn.Sequential(nn.ReLU(), nn.Linear(8, 8)), backend="eager")
    )
    del model.act
    torch._dynamo.reset()
    model(batch_of("classification")[0][:8])
    assert guard_caveats(model, Dropout(p=0.5)) == []


def test_weights_that_are_not_trained_are_named() -> None:
    class Owned(MaxNorm):
        def weights(self, model: nn.Module) -> dict[str, Tensor]:
            return {"first.weight": model.get_parameter("first.weight")}

    model = Net()
    model.first.requires_grad_(False)
    assert "none of the weights it acts on are trained" in refusal(model, Owned(max_norm=0.1))


class Hinge(Regularizer):
    """User-defined penalty on weight norms beyond a limit that is not one of its strengths."""

    strength = coefficient(1.0, 0.1, 10.0)
    order: ClassVar = 7
    limit: ClassVar = 1e6

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + self.strength * sum((w.norm() - self.limit).relu() for w in step.weights.values())


class Misspelled(Hinge):
    loss = Regularizer.loss

    def los(self, loss: Tensor, step: Step) -> Tensor:
        return loss + self.strength


class WithProbe(Hinge):
    length = Strength(1e6, Search(0.0, 1e6), off=None, probe=0.0)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + self.strength * sum((w.norm() - self.length).relu() for w in step.weights.values())


class Lambda(Regularizer):
    """User-defined method without strengths that registers a closure as a hook."""

    order: ClassVar = 3

    def attach(self, model: nn.Module) -> list[str]:
        model.get_submodule("act").register_forward_hook(lambda layer, inputs, output: output * 2)
        return ["act"]


def test_methods_of_users_are_measured_and_can_declare_a_probe() -> None:
    assert "`probe`" in refusal(Net(), Hinge(strength=1.0))
    assert "overrides no hook" in refusal(Net(), Misspelled(strength=1.0))
    assert guard_caveats(Net(), WithProbe(strength=1.0, length=1e6)) == []
    assert guard_caveats(Net(), Lambda()) == []
    assert "forward never calls act" in refusal(Net(lambda net, x: F.relu(x)), Lambda())


class Stateful(Net):
    """Network with state of many kinds that forward changes."""

    def __init__(self) -> None:
        super().__init__(lambda net, x: net.act(x))
        self.norm = nn.BatchNorm1d(8)
        self.calls, self.seen, self.by_name = 0, [1.0], {"a": 1}
        self.mean = torch.zeros(8)
        self.own = torch.Generator().manual_seed(3)
        self.rng, self.old, self.plain = np.random.default_rng(3), np.random.RandomState(3), random.Random(3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.seen.append(float(self.calls))
        self.by_name[f"call {self.calls}"] = self.calls
        hidden = self.norm(self.first(x))
        self.mean += hidden.detach().mean(0)
        draws = [torch.rand((), generator=self.own).item(), self.rng.random(), self.old.rand(), self.plain.random()]
        return self.last(self.act(hidden) * sum(draws))


def test_state_other_than_weights_is_restored() -> None:
    measured, other = Stateful(), Stateful()
    for model in (measured, other):
        model.last.weight.grad = torch.ones_like(model.last.weight)
    fits = [fit_with(model, Dropout(p=0.5), MaxNorm(max_norm=5.0)) for model in (measured, other)]
    assert check_effects(first_step(fits[0], batch_of("classification"))) == []
    assert (measured.calls, measured.seen, measured.by_name) == (0, [1.0], {"a": 1})
    assert measured.mean.eq(0).all()
    assert measured.last.weight.grad is not None
    assert measured.last.weight.grad.eq(1).all()
    batches = [batch_of("classification", seed=i) for i in range(2)]
    assert same_state(train(fits[0], batches, 3).model, train(fits[1], batches, 3).model)


def test_a_model_with_unseeded_noise_is_not_measured() -> None:
    model = Net(lambda net, x: net.act(x) * np.random.default_rng().normal(scale=100))
    with pytest.raises(UnmeasurableError, match="unseeded"):
        guard_caveats(model, L2(strength=1e-12))


def test_residual_branches_that_are_not_called_are_refused() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            return x + F.linear(x, self.branch.weight)

    message = refusal(Net(lambda net, x: net.parts[0](x), Block()), StochasticDepth(p=0.5))
    assert "forward never calls parts.0.branch" in message


class Attention(nn.Module):
    """Attention with a dropout probability that forward uses only if `used`."""

    def __init__(self, used: bool) -> None:
        super().__init__()
        self.dropout, self.used = 0.0, used

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.used else x


def test_attention_that_ignores_its_probability_is_refused() -> None:
    through = lambda net, x: net.parts[0](x)  # noqa: E731
    assert guard_caveats(Net(through, Attention(used=True)), AttentionDropout(p=0.5)) == []
    message = refusal(Net(through, Attention(used=False)), AttentionDropout(p=0.5))
    assert "its changes at parts.0 do not reach the loss" in message


def test_methods_act_on_attention_and_encoder_layers_of_torch() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=nn.GELU(), batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x.unsqueeze(1).expand(-1, 3, -1)).mean(1)

    for method in (Dropout(p=0.5), AttentionDropout(p=0.5), DropConnect(p=0.5)):
        model = Net(lambda net, x: net.parts[0](x), Encoder())
        del model.act
        assert guard_caveats(model, method) == []


def test_tied_weights_and_weights_read_by_others_are_reached() -> None:
    model = Net(lambda net, x: F.linear(x, net.parts[0].weight), nn.Linear(8, 8), nn.Linear(8, 8))
    model.parts[1].weight = model.parts[0].weight
    for method in (MaxNorm(max_norm=0.1), DropConnect(p=0.5), L1(strength=1e-3)):
        assert guard_caveats(model, method) == []


def test_low_rank_adapters_that_start_at_zero_are_measured() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model: Any = inject_adapter_in_model(LoraConfig(target_modules=["first"], r=2), Net())
    assert model.first.lora_B.default.weight.eq(0).all()  # dropout before them does not change the loss
    assert guard_caveats(model, LoraDropout(p=0.5)) == []
    assert guard_caveats(model, L2(strength=0.1), WeightDecay(strength=0.1)) == []
