import pytest
import torch

from reglab.regularizers import Orthogonal
from reglab.regularizers.orthogonal import Gram, distance_to_orthogonal
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train

SHAPES = [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3), (12, 1, 3, 3), (4, 2, 3)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


@shapes
def test_zero_for_an_orthogonal_matrix_of_any_shape(double: None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.nn.init.orthogonal_(torch.empty(shape))
    assert distance_to_orthogonal(weight) < 1e-28
    smaller = min(weight.flatten(1).shape)
    torch.testing.assert_close(distance_to_orthogonal(2 * weight), torch.tensor(9.0 * smaller))


@shapes
def test_the_larger_side_differs_by_a_constant(double: None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape)
    matrix = weight.flatten(1)
    sides = [(m @ m.T - torch.eye(len(m))).square().sum() for m in (matrix, matrix.T)]
    torch.testing.assert_close(distance_to_orthogonal(weight), min(sides))
    rows, columns = matrix.shape
    torch.testing.assert_close((sides[0] - sides[1]).abs(), torch.tensor(float(abs(rows - columns))))


@shapes
def test_gradient(double: None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight = torch.randn(shape, requires_grad=True)
    assert torch.autograd.gradcheck(distance_to_orthogonal, weight)
    assert torch.autograd.gradgradcheck(distance_to_orthogonal, weight)


def test_gradient_of_a_product_that_is_not_weighted_symmetrically(double: None) -> None:
    torch.manual_seed(0)
    weight, shares = torch.randn(3, 5, requires_grad=True), torch.randn(3, 3)
    (gradient,) = torch.autograd.grad((Gram.apply(weight) * shares).sum(), weight)
    (expected,) = torch.autograd.grad((weight @ weight.T * shares).sum(), weight)
    torch.testing.assert_close(gradient, expected)


def test_autocast_does_not_round_it() -> None:
    torch.manual_seed(0)
    weight = torch.nn.init.orthogonal_(torch.empty(32, 64))
    with torch.autocast("cpu", torch.bfloat16):
        assert distance_to_orthogonal(weight) < 1e-9


def test_loss_and_reported_penalty_contain_every_layer(double: None) -> None:
    fit = fit_of(network(shape=(2, 8, 8)), task_of("classification"), [Orthogonal(0.3)])
    batch, method = batch_of("classification", shape=(2, 8, 8)), fit.regularizers[0]
    expected = 0.3 * sum(distance_to_orthogonal(p) for n, p in fit.model.named_parameters() if n.endswith("weight"))
    torch.testing.assert_close(method.penalty(method.weights(fit.model)), expected)
    plain = fit.task.criterion(fit.model(batch[0]), batch[1])
    torch.testing.assert_close(fit(batch), plain + expected)


def test_training_makes_rows_orthonormal() -> None:
    fit = fit_of(network(hidden_sizes=[4, 4]), task_of("classification"), [Orthogonal(1.0)])
    weight = train(fit, [batch_of("classification")], 300, lambda p: torch.optim.SGD(p, lr=0.02)).model.hidden_0.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(4), rtol=0, atol=0.1)
