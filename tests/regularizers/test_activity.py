"""activity_l1 and activity_kl: penalties on activations of hidden units."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, kl_divergence

from reglab.models import Linear
from reglab.regularizers import ActivityKL, ActivityL1, Dropout, Regularizer, Step
from reglab.regularizers.activity_kl import activity_divergence
from reglab.regularizers.activity_l1 import absolute_activity
from reglab.schema.errors import ConfigError, Setting
from reglab.tasks import Regression
from reglab.training.fit import Fit
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train

METHODS: list[tuple[type[Any], str]] = [(ActivityL1, "tanh"), (ActivityKL, "sigmoid")]
both = pytest.mark.parametrize(("cls", "activation"), METHODS, ids=["l1", "kl"])


def hidden(model: nn.Module, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the activations of both hidden layers, computed by hand."""
    first = model.activation_0(model.hidden_0(inputs))
    return [first, model.activation_1(model.hidden_1(first))]


def test_l1_is_the_mean_over_examples_of_the_sum_over_units(double: None) -> None:
    model, task, (inputs, targets) = network(activation="tanh"), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [ActivityL1(0.3)])
    exact = sum(h.abs().sum().item() for row in inputs for h in hidden(model, row)) / len(inputs)
    expected = task.criterion(model(inputs), targets) + 0.3 * exact
    torch.testing.assert_close(fit((inputs, targets)), expected, rtol=1e-13, atol=0)


def test_l1_soft_thresholds_the_targets_of_single_units(double: None) -> None:
    """One unit per example, h = relu(w): (h - t)² + s h has its minimum at max(t - s / 2, 0)."""
    targets = torch.tensor([0.1, 0.2, 0.5, 1.0, 3.0])
    model = nn.Sequential(nn.Linear(5, 1, bias=False), nn.ReLU(), nn.Flatten(0))
    nn.init.constant_(model[0].weight, 2.0)
    fit = fit_of(model, Regression(), [ActivityL1(0.5)])
    train(fit, [(torch.eye(5), targets)], 400, lambda p: torch.optim.SGD(p, lr=0.5))
    torch.testing.assert_close(model(torch.eye(5)), (targets - 0.25).clamp(min=0), rtol=1e-12, atol=1e-12)
    assert (model(torch.eye(5)) == 0).tolist() == [True, True, False, False, False]


def test_kl_equals_that_of_bernoulli_distributions_of_torch(double: None) -> None:
    model, task = network(activation="sigmoid"), task_of("classification")
    inputs, targets = batch_of("classification")
    fit = fit_of(model, task, [ActivityKL(0.3)])
    exact = sum(kl_divergence(Bernoulli(0.05), Bernoulli(h.mean(0))).sum() for h in hidden(model, inputs))
    expected = task.criterion(model(inputs), targets) + 0.3 * exact
    loss = fit((inputs, targets))
    torch.testing.assert_close(loss, expected, rtol=1e-13, atol=0)
    parameters = list(model.parameters())
    for a, b in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_kl_is_zero_at_the_target_share_and_finite_for_constant_units(double: None) -> None:
    active = torch.zeros(40, 3)
    active[:2] = 1.0
    assert abs(activity_divergence([active])) < 1e-15
    for value in (0.0, 1.0):
        units = torch.full((4, 3), value, requires_grad=True)
        divergence = activity_divergence([units])
        divergence.backward()
        assert divergence.isfinite()
        assert divergence > 0.1
        assert units.grad.isfinite().all()


@pytest.mark.slow
def test_kl_draws_units_to_the_share(double: None) -> None:
    class Nothing(Regression):
        def criterion(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return 0 * outputs.sum()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 1), nn.Flatten(0))
    inputs = torch.randn(30, 3)
    fit = fit_of(model, Nothing(), [ActivityKL(1.0)])
    train(fit, [(inputs, torch.zeros(30))], 1000, lambda p: torch.optim.SGD(p, lr=1.0))
    torch.testing.assert_close(model[:2](inputs).mean(0), torch.full((4,), 0.05), rtol=1e-6, atol=0)


@both
def test_the_size_of_the_batch_does_not_matter(double: None, cls: Any, activation: str) -> None:
    fit = fit_of(network(activation=activation), task_of("classification"), [cls(0.3)])
    inputs, targets = batch_of("classification")
    torch.testing.assert_close(fit((inputs.repeat(5, 1), targets.repeat(5))), fit((inputs, targets)))


@both
def test_dropout_does_not_change_recorded_activations(double: None, cls: Any, activation: str) -> None:
    model, task, batch = network(activation=activation), task_of("classification"), batch_of("classification")
    method = cls(1.0)
    fit_of(model, task, [method, Dropout(p=0.5)])
    seen: dict[str, torch.Tensor] = {}
    for name in ("hidden_0", "hidden_1"):
        model.get_submodule(name).register_forward_hook(lambda m, args, out, name=name: seen.update({name: out}))
    step = Step(model, task, batch)
    step.forward()
    layers = [model.activation_0.forward(out) for out in seen.values()]
    before = absolute_activity(layers, len(batch[0])) if cls is ActivityL1 else activity_divergence(layers)
    assert torch.equal(method.loss(torch.zeros(()), step), before)


@both
def test_only_the_latest_training_pass_counts(cls: Any, activation: str) -> None:
    model, task, batch = network(activation=activation), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [cls(0.3)])
    once, step, other = fit(batch), Step(model, task, batch), torch.randn(7, 6)
    model(other)  # the first of two passes of a step
    loss = task.criterion(step.forward(), batch[1])
    with torch.no_grad():
        model(other)
    model.eval()(other)
    assert torch.equal(fit.regularizers[0].loss(loss, step), once)
    copy.deepcopy(fit)  # fails if an earlier pass is still recorded


@both
def test_nothing_in_evaluation(cls: Any, activation: str) -> None:
    model, task, batch = network(activation=activation), task_of("classification"), batch_of("classification")
    fit = fit_of(model, task, [cls(0.3)]).eval()
    assert torch.equal(fit(batch), task.criterion(model(batch[0]), batch[1]))


@both
def test_attached_twice_it_counts_once(cls: Any, activation: str) -> None:
    model, method = network(activation=activation), cls(0.3)
    batch = batch_of("classification")
    method.attach(model)
    once = Fit(model, task_of("classification"), [method])(batch)
    assert method.attach(model) == ["activation_0", "activation_1"]
    assert torch.equal(Fit(model, task_of("classification"), [method])(batch), once)


@both
def test_nothing_to_act_on(cls: type[Regularizer], activation: str) -> None:
    assert cls(strength=0.1).attach(Linear((4,), 1)) == []


def test_kl_refuses_other_activations() -> None:
    with pytest.raises(ConfigError) as error:
        ActivityKL(0.1).attach(nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Tanh(), nn.ReLU(), nn.Linear(2, 1)))
    assert error.value.where == Setting("regularizer", "activity_kl")
    assert error.value.problem.endswith("this model has ReLU, Tanh")
    assert "model.activation=sigmoid" in error.value.remedy


class InPlace(nn.Module):
    """Network with an operation after the activation that is in place or not."""

    def __init__(self, activation: str, change: str, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first, self.activation, self.last = nn.Linear(4, 4), getattr(nn, activation)(), nn.Linear(4, 3)
        self.after = nn.ReLU(inplace=in_place) if change == "relu" else nn.Dropout(0.5, inplace=in_place)
        self.change, self.in_place = change, in_place

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        h = self.activation(self.first(values))
        if self.change != "add":
            h = self.after(h - 0.2 if not self.in_place else h.sub_(0.2))
        elif self.in_place:
            h += values
        else:
            h = h + values
        return self.last(h)


@pytest.mark.parametrize("change", ["add", "relu", "dropout"])
@pytest.mark.parametrize("activation", ["SiLU", "Softplus"])
def test_activations_are_recorded_before_operations_in_place(double: None, activation: str, change: str) -> None:
    batch = torch.randn(6, 4), torch.randint(0, 3, (6,))
    results = []
    for in_place in (False, True):
        net = InPlace(activation, change, in_place)
        fit = fit_of(net, task_of("classification"), [ActivityL1(0.7)])
        train(fit, [batch], 3, lambda p: torch.optim.SGD(p, lr=0.1))  # the first pass and later passes
        torch.manual_seed(0)
        loss, data_loss = fit.losses(batch)
        net.zero_grad()
        loss.backward()
        results.append([loss - data_loss, *(p.grad.clone() for p in net.parameters())])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


def test_kl_records_activations_before_operations_in_place(double: None) -> None:
    batch = torch.randn(6, 4), torch.randint(0, 3, (6,))
    fits = [
        fit_of(InPlace("Sigmoid", "add", in_place), task_of("classification"), [ActivityKL(0.7)]) for in_place in (0, 1)
    ]
    for _ in range(2):
        added = [loss - data_loss for loss, data_loss in (fit.losses(batch) for fit in fits)]
        torch.testing.assert_close(*added, rtol=1e-12, atol=0)


@both
def test_copies_are_made_only_where_they_are_needed(cls: Any, activation: str) -> None:
    fit = fit_of(network(activation=activation), task_of("classification"), [cls(0.3)])
    batch, pointers = batch_of("classification"), []
    fit.model.activation_0.register_forward_hook(lambda layer, inputs, output: pointers.append(output.data_ptr()))
    for copied in (True, False, False):
        fit.model(batch[0])
        (record, _) = fit.regularizers[0]._recorder.pop()
        assert (record.values.data_ptr() != pointers.pop()) is copied


def test_a_change_in_some_passes_only_is_refused_by_name() -> None:
    net = InPlace("SiLU", "add", False)
    fit = fit_of(net, task_of("classification"), [ActivityL1(0.3)])
    batch = torch.randn(6, 4), torch.randint(0, 3, (6,))
    fit(batch)
    net.in_place = True
    with pytest.raises(ConfigError, match="activation is changed in place"):
        fit(batch)


class Ordered(nn.Module):
    """Network for sequences (rows, length, 3) with a layer that declares its batch axis by `batch_first`."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inside, self.last, self.first = nn.Linear(3, 4), nn.Linear(4, 3), first
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation=nn.Sigmoid(), batch_first=first)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        values = self.inside(values)
        values = self.layer(values if self.first else values.transpose(0, 1))
        return self.last(values.mean(1 if self.first else 0))


@pytest.mark.parametrize("cls", [ActivityL1, ActivityKL])
@pytest.mark.parametrize("rows", [5, 7])
def test_the_batch_axis_is_the_one_that_a_layer_declares(double: None, cls: Any, rows: int) -> None:
    """Includes a batch with as many examples as positions (7)."""
    batch = torch.randn(rows, 7, 3), torch.randint(0, 3, (rows,))
    added = []
    for first in (True, False):
        fit = fit_of(Ordered(first), task_of("classification"), [cls(0.7)])
        loss, data_loss = fit.losses(batch)
        added.append(loss - data_loss)
    torch.testing.assert_close(*added, rtol=1e-12, atol=0)


def test_kl_refuses_a_layer_whose_outputs_do_not_begin_with_examples() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.last = nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 3)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.last(self.act(self.first(values.transpose(0, 1))).mean(0))

    fit = fit_of(Net(), task_of("classification"), [ActivityKL(0.7)])
    with pytest.raises(ConfigError, match=r"act returned shape \(7, 5, 4\)"):
        fit((torch.randn(5, 7, 3), torch.randint(0, 3, (5,))))


class Recurring(nn.LSTM):
    """LSTM that returns a tuple, with a packed sequence for packed inputs."""

    is_activation = True


@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_layers_may_give_tuples_and_packed_sequences(double: None, packed: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.recurrent, self.last = Recurring(3, 4, batch_first=True), nn.Linear(4, 3)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            if packed:
                lengths = torch.full((len(values),), values.shape[1])
                values = nn.utils.rnn.pack_padded_sequence(values, lengths, batch_first=True)
            hidden_states, _ = self.recurrent(values)
            hidden_states = (
                nn.utils.rnn.pad_packed_sequence(hidden_states, batch_first=True)[0] if packed else hidden_states
            )
            return self.last(hidden_states[:, -1])

    batch = torch.randn(5, 7, 3), torch.randint(0, 3, (5,))
    net = Net()
    fit = fit_of(net, task_of("classification"), [ActivityL1(0.7)])
    loss, data_loss = fit.losses(batch)
    exact = 0.7 * nn.LSTM.forward(net.recurrent, batch[0])[0].abs().sum() / 5
    torch.testing.assert_close(loss - data_loss, exact, rtol=1e-12, atol=0)
    noisy = fit_of(Net(), task_of("classification"), [Dropout(p=0.5)])
    assert float(noisy(batch).detach()) != float(data_loss.detach())


def test_an_output_without_values_is_refused_by_name() -> None:
    class Says(nn.Module):
        is_activation = True

        def forward(self, values: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"values": values}

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.act, self.last = Says(), nn.Linear(4, 3)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.last(self.act(values)["values"])

    batch = torch.randn(5, 4), torch.randint(0, 3, (5,))
    for method, name in [(ActivityL1(0.7), "act"), (Dropout(p=0.5), "Says")]:
        with pytest.raises(ConfigError, match=f"{name} returns a dict"):
            fit_of(Net(), task_of("classification"), [method])(batch)
