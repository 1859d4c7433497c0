import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from reglab.models import Linear
from reglab.regularizers import L2, ActivityL1, Adversarial, Dropout, InputNoise, Jacobian, Mixup, Regularizer
from reglab.regularizers.jacobian import squared_jacobian
from reglab.schema.errors import ConfigError
from tests.regularizers.steps import CLASSES, FEATURES, batch_of, fit_of, network, task_of, train

pytestmark = pytest.mark.usefixtures("double")
EXACT: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-14}


def exact(model: nn.Module, inputs: Tensor, params: dict[str, Tensor] | None = None) -> Tensor:
    """Return the mean over rows of ‖J‖²_F, from the full Jacobian of each row."""
    params = dict(model.named_parameters()) if params is None else params
    rows = vmap(jacrev(lambda row: functional_call(model, params, (row[None],))[0]))(inputs)
    return rows.square().sum() / len(inputs)


def estimate(model: nn.Module, inputs: Tensor, draws: Tensor) -> Tensor:
    inputs = inputs.detach().requires_grad_()
    return squared_jacobian(model(inputs), inputs, draws)


class Body(nn.Module):
    """Network with a body without gradients and a trained head."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.act, self.head = nn.Linear(FEATURES, 8), nn.ReLU(), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            hidden = self.act(self.body(x))
        return self.head(hidden)


@pytest.mark.parametrize("method", [Jacobian(0.1), Adversarial(0.1), ActivityL1(0.1)], ids=lambda method: method.name)
def test_a_body_without_gradients_is_refused_by_name(method: Regularizer) -> None:
    fit = fit_of(Body(), task_of("classification"), [method])
    with pytest.raises(ConfigError, match=rf"^regularizer={method.name}: .*torch\.no_grad"):
        fit(batch_of("classification"))


NETS = [
    pytest.param({"activation": "tanh"}, (6,), id="mlp"),
    pytest.param({"activation": "relu"}, (2, 8, 8), id="cnn"),
    pytest.param({"activation": "gelu", "residual": True, "norm": "layer"}, (2, 8, 8), id="residual"),
]


@pytest.mark.parametrize(("options", "shape"), NETS)
def test_the_mean_over_orthogonal_directions_is_the_exact_norm(options: dict[str, Any], shape: tuple[int, ...]) -> None:
    """Compare value and gradients, with a different orthogonal basis of directions per row."""
    model, (inputs, _) = network(shape=shape, **options), batch_of("classification", rows=5, shape=shape)
    bases = torch.linalg.qr(torch.randn(5, 3, 3))[0]
    estimated = torch.stack([estimate(model, inputs, (i + 1) * bases[:, i]) for i in range(3)]).mean()
    expected = exact(model, inputs)
    torch.testing.assert_close(estimated, expected, **EXACT)
    parameters = list(model.parameters())
    slopes = [torch.autograd.grad(value, parameters, materialize_grads=True) for value in (estimated, expected)]
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def test_random_directions_have_that_mean() -> None:
    model, (inputs, _), repeats = network(activation="tanh"), batch_of("classification", rows=4), 20_000
    torch.manual_seed(1)
    many = inputs.repeat(repeats, 1).requires_grad_()
    estimated = squared_jacobian(model(many), many, torch.randn(len(many), 3))
    torch.testing.assert_close(estimated, exact(model, inputs), rtol=0.02, atol=0)


def test_one_output_has_no_scatter() -> None:
    model, (inputs, _) = network("regression", activation="tanh"), batch_of("regression")
    for seed in range(3):
        torch.manual_seed(seed)
        torch.testing.assert_close(estimate(model, inputs, torch.randn(24)), exact(model, inputs), **EXACT)


def test_on_a_linear_regression_it_is_l2() -> None:
    fits = [fit_of(Linear((6,), 1), task_of("regression"), [method]) for method in (Jacobian(0.5), L2(0.5))]
    fits[1].model.load_state_dict(fits[0].model.state_dict())
    for fit in fits:
        train(fit, [batch_of("regression")], 50)
    for a, b in zip(fits[0].model.parameters(), fits[1].model.parameters(), strict=True):
        torch.testing.assert_close(a, b, **EXACT)


def test_the_class_equals_the_function_with_the_masks_of_the_pass() -> None:
    strength, (inputs, targets) = 0.5, batch_of("classification")
    fit = fit_of(network(), task_of("classification"), [Jacobian(strength), Dropout(p=0.3, input_p=0.2)])
    torch.manual_seed(1)
    loss = fit((inputs, targets))
    torch.manual_seed(1)
    inputs.requires_grad_()
    outputs = fit.model(inputs)
    penalty = strength / 2 * squared_jacobian(outputs, inputs, torch.randn(24, 3))
    torch.testing.assert_close(loss, fit.task.criterion(outputs, targets) + penalty, **EXACT)


def test_the_jacobian_is_taken_at_the_inputs_of_the_model() -> None:
    """The Jacobian is taken at the mixed and noisy inputs of the model, not at those of the batch."""
    model, batch, model_inputs = network("regression", activation="tanh"), batch_of("regression"), []
    model.register_forward_pre_hook(lambda module, inputs: model_inputs.append(inputs[0].detach()))
    losses = []
    for method in (Jacobian(0.0), Jacobian(2.0)):
        torch.manual_seed(1)
        losses.append(fit_of(model, task_of("regression"), [method, Mixup(1.0), InputNoise(0.5)])(batch))
    assert torch.equal(*model_inputs)
    torch.testing.assert_close(losses[1] - losses[0], exact(model, model_inputs[0]), **EXACT)
    assert not torch.isclose(exact(model, batch[0]), exact(model, model_inputs[0]))


def test_the_batch_does_not_change() -> None:
    batch = batch_of("classification")
    fit_of(network(), task_of("classification"), [Jacobian(0.1)])(batch).backward()
    assert not batch[0].requires_grad
    assert batch[0].grad is None


def test_with_batch_norm_it_is_the_jacobian_of_the_batch() -> None:
    """The mean over all signs of directions includes derivatives with respect to inputs of other rows."""
    model = network("regression", norm="batch", activation="tanh", hidden_sizes=[5])
    inputs = torch.randn(4, 6)
    signs = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=4)))
    estimated = torch.stack([estimate(model, inputs, sign) for sign in signs]).mean()
    model.norm_0.track_running_stats = False  # jacrev cannot update it
    jacobian = jacrev(lambda x: functional_call(model, dict(model.named_parameters()), (x,)))(inputs)
    assert jacobian.shape == (4, 4, 6)
    torch.testing.assert_close(estimated, jacobian.square().sum() / 4, **EXACT)


@pytest.mark.slow
def test_a_network_becomes_flatter() -> None:
    batch, slopes = batch_of("classification", rows=100), []
    for strength in (0.0, 0.5):
        model = network(activation="tanh")
        train(fit_of(model, task_of("classification"), [Jacobian(strength)]), [batch], 200)
        slopes.append(exact(model, batch[0]))
    assert slopes[1] < slopes[0] / 4
