"""Weight metrics of a trained model, compared with values computed by hand."""

import copy

import pytest
import torch
from torch import nn

from reglab.models import MLP
from reglab.regularizers._autograd import euclidean_norm, half_squares
from reglab.tasks import Classification, Regression
from reglab.training.weights import sharpness, weight_metrics


@pytest.mark.filterwarnings("error")
def test_norms_and_zero_fraction_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.Flatten(-2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        model[2].weight.copy_(torch.tensor([[0.0, 2.0]]))
    metrics = weight_metrics(model, Regression(), (torch.randn(5, 2), torch.randn(5)))
    assert metrics["model/norm/0.weight"] == 5.0
    assert metrics["model/norm/2.weight"] == 2.0
    assert metrics["model/zero_fraction"] == 0.5
    assert metrics["model/parameters"] == 4 + 2 + 2 + 1


def test_sharpness_of_a_quadratic_is_exact(double: None) -> None:
    """The mean squared error of a linear model is quadratic: L(w + d) - L(w) = g·d + d'Hd/2, with d along g."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 1, bias=False), nn.Flatten(-2))
    inputs, targets = torch.randn(7, 3), torch.randn(7)
    weights = model[0].weight.detach()[0]
    gradient = 2 / 7 * inputs.T @ (inputs @ weights - targets)
    step = 0.1 * gradient / gradient.norm()
    rise = gradient @ step + step @ (2 / 7 * inputs.T @ inputs) @ step / 2
    assert sharpness(model, Regression(), (inputs, targets), rho=0.1) == pytest.approx(rise.item(), rel=1e-10)


def test_weight_metrics_do_not_change_the_model() -> None:
    torch.manual_seed(0)
    model = MLP((6,), 3, [8], norm="batch").train()
    model.norm_0.eval()  # another mode than that of the model
    before = copy.deepcopy(model.state_dict())
    batch = torch.randn(9, 6), torch.randint(3, (9,))
    first = weight_metrics(model, Classification(3), batch)
    assert weight_metrics(model, Classification(3), batch) == first
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert not model.norm_0.training
    assert all(p.grad is None for p in model.parameters())


def test_a_flat_loss_has_no_sharpness() -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Flatten(-2))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.fill_(1.0)
    assert sharpness(model, Regression(), (torch.zeros(4, 2), torch.ones(4))) == 0.0


@pytest.mark.parametrize("shape", [(10_000, 1000), (1000, 10_000), (1000, 100, 100)], ids=str)
def test_sums_over_ten_million_weights_are_exact(shape: tuple[int, ...]) -> None:
    weight = torch.full(shape, 0.01)
    exact = 10_000_000 * float(weight.flatten()[0].double()) ** 2
    assert float(euclidean_norm(weight)) == pytest.approx(exact**0.5, rel=1e-4)
    assert float(half_squares({"weight": weight})) == pytest.approx(exact / 2, rel=1e-4)


def test_sharpness_with_large_targets() -> None:
    """The loss is about 1e10, so that its change is below the resolution of float32."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(-2))
    inputs, targets = torch.randn(7, 3), torch.randn(7) + 1e5
    exact = sharpness(copy.deepcopy(model).double(), Regression(), (inputs.double(), targets.double()))
    assert sharpness(model, Regression(), (inputs, targets)) == pytest.approx(exact, rel=1e-3)


class Filter(nn.Module):
    """Network with a complex first parameter, real inputs and real outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.gains, self.last = nn.Parameter(torch.ones(3, dtype=torch.cfloat)), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.last(torch.fft.irfft(torch.fft.rfft(x) * self.gains, n=4)).squeeze(-1)
        return outputs


def test_the_dtype_of_inputs_does_not_depend_on_the_first_parameter() -> None:
    torch.manual_seed(0)
    batch = torch.randn(8, 4), torch.randn(8)
    plain = nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))  # the same function, without gradients of the gains
    model = Filter()
    plain[0].load_state_dict(model.last.state_dict())
    model.gains.requires_grad_(False)
    assert sharpness(model, Regression(), batch) == pytest.approx(sharpness(plain, Regression(), batch), rel=1e-4)
    model.gains.requires_grad_(True)
    assert sharpness(model, Regression(), batch) > 0
