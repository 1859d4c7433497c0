import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab.regularizers import DropConnect, Dropout, Flooding, LabelSmoothing, Mixup, RDrop
from reglab.regularizers._layers import random_layers
from reglab.regularizers.r_drop import disagreement
from reglab.training.build import build_regularizers
from tests.errors import config_error
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train

pytestmark = pytest.mark.usefixtures("double")
EXACT: dict[str, Any] = {"rtol": 1e-13, "atol": 1e-15}


def recorded_inputs(model: nn.Module) -> list[Tensor]:
    """Return a list to which each later call of the model appends its inputs."""
    inputs_of_calls: list[Tensor] = []
    model.register_forward_pre_hook(lambda module, inputs: inputs_of_calls.append(inputs[0]))
    return inputs_of_calls


def by_hand(first: Tensor, second: Tensor, targets: Tensor, alpha: float, **options: Any) -> Tensor:
    losses = [F.cross_entropy(outputs, targets, **options) for outputs in (first, second)]
    p, q = first.softmax(1), second.softmax(1)
    forward, backward = (p * (p / q).log()).sum(1), (q * (q / p).log()).sum(1)
    return sum(losses) / 2 + alpha * (forward + backward).mean() / 2


def test_the_disagreement_is_the_mean_of_both_divergences() -> None:
    torch.manual_seed(0)
    first, second = torch.randn(7, 4), torch.randn(7, 4)
    log_p, log_q = first.log_softmax(1), second.log_softmax(1)
    both = [
        F.kl_div(b, a, reduction="batchmean", log_target=True) for a, b in ((log_p, log_q), (log_q, log_p))
    ]  # kl_div(b, a) is KL(a || b)
    torch.testing.assert_close(disagreement(first, second), sum(both) / 2, **EXACT)
    torch.testing.assert_close(disagreement(first.repeat(3, 1), second.repeat(3, 1)), sum(both) / 2, **EXACT)
    assert disagreement(first, first) == 0
    assert disagreement(torch.tensor([[0.0, 2e3]]), torch.tensor([[2e3, 0.0]])) == 2e3
    assert torch.autograd.gradcheck(disagreement, [first[:2].requires_grad_(), second[:2].requires_grad_()])


def test_two_passes_by_hand() -> None:
    alpha, (inputs, targets) = 1.5, batch_of("classification")
    fit = fit_of(network(dropout=True), task_of("classification"), [RDrop(alpha)])
    torch.manual_seed(1)
    loss = fit((inputs, targets))
    torch.manual_seed(1)
    first, second = fit.model(inputs), fit.model(inputs)
    assert not torch.equal(first, second)
    torch.testing.assert_close(loss, by_hand(first, second, targets, alpha), **EXACT)


def test_without_noise_it_is_the_cross_entropy() -> None:
    model, task, batch = network(), task_of("classification"), batch_of("classification")
    plain = task.criterion(model(batch[0]), batch[1])
    for noise in ([], [Dropout(p=0.0)]):
        assert torch.equal(fit_of(model, task, [RDrop(3.0), *noise])(batch), plain)


def test_off_takes_one_pass() -> None:
    batch = batch_of("classification")
    for alpha, passes in ((0.0, 1), (0.5, 2)):
        fit = fit_of(network(dropout=True), task_of("classification"), [RDrop(alpha)])
        inputs_of_calls = recorded_inputs(fit.model)
        fit(batch)
        assert len(inputs_of_calls) == passes


def test_earlier_losses_and_mixed_labels_act_on_both_passes() -> None:
    methods = [RDrop(1.5), Mixup(1.0), LabelSmoothing(0.2)]
    fit, (inputs, targets) = (
        fit_of(network(dropout=True), task_of("classification"), methods),
        batch_of("classification"),
    )
    inputs_of_calls = recorded_inputs(fit.model)
    torch.manual_seed(1)
    loss = fit((inputs, targets))
    torch.manual_seed(1)
    mixed, shares = methods[1].transform_batch((inputs, targets), fit)  # the method reads fit.task only
    assert all(torch.equal(x, mixed) for x in inputs_of_calls)
    first, second = fit.model(mixed), fit.model(mixed)
    torch.testing.assert_close(loss, by_hand(first, second, shares, 1.5, label_smoothing=0.2), **EXACT)


def test_flooding_acts_on_the_loss_of_both_passes() -> None:
    batch, losses = batch_of("classification"), []
    for more in ([], [Flooding(9.0)]):
        torch.manual_seed(1)
        losses.append(fit_of(network(dropout=True), task_of("classification"), [RDrop(0.5), *more])(batch))
    torch.testing.assert_close(losses[1], 18 - losses[0], **EXACT)


def test_batch_norm_counts_the_first_pass_only() -> None:
    fit = fit_of(network(norm="batch"), task_of("classification"), [RDrop(0.5), Dropout(p=0.5)])
    once, batch = copy.deepcopy(fit.model).train(), batch_of("classification")
    torch.manual_seed(1)
    once(batch[0])
    torch.manual_seed(1)
    fit(batch)
    for name, value in once.state_dict().items():
        assert torch.equal(fit.model.state_dict()[name], value), name
    assert all(module.track_running_stats for module in fit.model.modules() if isinstance(module, nn.BatchNorm1d))


def test_noise_that_a_pass_has_in_common_differs_between_passes() -> None:
    batch = batch_of("classification")
    fit = fit_of(network(), task_of("classification"), [RDrop(1e3), DropConnect(p=0.5)])
    assert fit(batch) > 10  # one pass over a doubled batch would have no disagreement


@pytest.mark.slow
def test_disagreement_falls_in_training() -> None:
    batch, apart = batch_of("classification", rows=200), []
    for alpha in (0.0, 5.0):
        fit = train(fit_of(network(), task_of("classification"), [RDrop(alpha), Dropout(p=0.3)]), [batch], 200)
        apart.append(disagreement(fit.model(batch[0]), fit.model(batch[0])))
    assert apart[1] < apart[0] / 4


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        ([nn.Linear(3, 3), nn.ReLU(), nn.Dropout(0.0)], []),
        ([nn.Linear(3, 3), nn.Sequential(nn.Dropout1d(0.1))], ["1.0"]),
        ([nn.AlphaDropout(0.1), nn.RReLU()], ["0", "1"]),
        ([nn.MultiheadAttention(4, 2, dropout=0.1), nn.LSTM(3, 3, 2, dropout=0.2)], ["0", "1"]),
        ([nn.MultiheadAttention(4, 2), nn.LSTM(3, 3)], []),
        ([nn.TransformerEncoderLayer(4, 2, dropout=0.0)], []),
    ],
)
def test_random_layers(layers: list[nn.Module], found: list[str]) -> None:
    assert list(random_layers(nn.Sequential(*layers))) == found


def test_user_layers_are_recognized_by_their_names() -> None:
    class DropPath(nn.Module):
        def __init__(self, drop_prob: float) -> None:
            super().__init__()
            self.drop_prob = drop_prob

    assert random_layers(nn.Sequential(DropPath(0.0), DropPath(0.1))) == {"1": "p=0.1"}


def test_dropout_rates_of_networks_are_found_under_any_name() -> None:
    class DropNet(nn.Linear):
        drop_rate = 0.0

    model = DropNet(2, 2)
    assert random_layers(model) == {}
    model.drop_rate = 0.3
    assert random_layers(model) == {"": "drop_rate=0.3"}


@pytest.mark.slow
def test_without_noise_it_is_refused_before_training(compose_cfg: Any) -> None:
    def build(model: nn.Module, *names: str) -> list[str]:
        cfg = compose_cfg(f"regularizer=[{','.join(names)}]")
        return [method.name for method in build_regularizers(cfg, model, "classification", (6,))]

    for names in (["r_drop"], ["input_noise", "r_drop"]):
        with config_error("regularizer=r_drop: two passes ... add dropout"):
            build(network(), *names)
    assert build(network(dropout=True), "r_drop") == ["r_drop"]
    assert build(network(), "weight_noise", "r_drop") == ["weight_noise", "r_drop"]
