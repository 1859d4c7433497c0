import pytest
import torch

from reglab.models import Linear
from reglab.regularizers import L1, GroupLasso, in_order
from reglab.regularizers.group_lasso import group_sum, shrunk_rows
from reglab.regularizers.l1 import soft_threshold
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train


@pytest.mark.parametrize("shape", [(6, 8), (4, 3, 3, 3), (5, 2, 7)])
def test_it_is_the_proximal_operator(double: None, shape: tuple[int, ...]) -> None:
    """x minimizes ½‖x - v‖² + t‖x‖: x - v + t x / ‖x‖ = 0 where x is not 0, and ‖v‖ ≤ t where it is."""
    torch.manual_seed(0)
    weight = torch.randn(shape)
    weight[0] *= 0.01
    weight[1] = 0
    threshold = torch.tensor(0.3)
    t = 0.3 * weight[0].numel() ** 0.5
    shrunk = shrunk_rows(weight, threshold)
    assert torch.equal(shrunk[:2], torch.zeros_like(shrunk[:2]))
    assert weight[0].norm() <= t
    for x, v in zip(shrunk[2:], weight[2:], strict=True):
        torch.testing.assert_close(x - v + t * x / x.norm(), torch.zeros_like(x), rtol=0, atol=1e-14)


def test_with_l1_it_is_the_proximal_operator_of_the_sum(double: None) -> None:
    """x - v + s sign(x) + t x / ‖x‖ = 0 where x is not 0; otherwise the remainder of a row is within s."""
    torch.manual_seed(0)
    weight, lr, s = torch.randn(6, 8), 0.1, 2.0
    methods = in_order([GroupLasso(strength=1.5), L1(strength=s)])
    assert [method.name for method in methods] == ["l1", "group_lasso"]
    weights = {"w": weight}
    for method in methods:
        weights = method.after_step(weights, lr)
    shrunk, t = weights["w"], lr * 1.5 * 8**0.5
    for x, v in zip(shrunk, weight, strict=True):
        rest = x - v + t * x / x.norm()
        on = x != 0
        assert on.any()
        torch.testing.assert_close(rest[on], -lr * s * x[on].sign(), rtol=0, atol=1e-14)
        assert (rest[~on].abs() <= lr * s).all()
    assert (shrunk == 0).sum() > 3


def test_rows_of_one_number_are_soft_thresholded(double: None) -> None:
    torch.manual_seed(0)
    weight, threshold = torch.randn(50, 1), torch.tensor(0.4)
    torch.testing.assert_close(shrunk_rows(weight, threshold), soft_threshold(weight, threshold), rtol=0, atol=1e-15)


def test_zero_returns_the_weights() -> None:
    weight = torch.randn(5, 7)
    weight[0] = 0
    weight[1] = 1e-30  # its squares underflow in float32
    assert torch.equal(shrunk_rows(weight, torch.tensor(0.0)), weight)


def test_a_diverged_row_stays_not_finite() -> None:
    weight = torch.full((2, 2), torch.nan)
    weight[1] = 3.0
    assert shrunk_rows(weight, torch.tensor(1.0)).isnan().tolist() == [[True, True], [False, False]]


@pytest.mark.slow
def test_a_linear_classifier_reaches_the_optimum_with_whole_units_at_zero(double: None) -> None:
    """At the optimum the gradient of a row is -s√g w / ‖w‖, or no longer than s√g where the row is zero."""
    batch, task, strength = batch_of("classification", rows=60), task_of("classification"), 0.12
    torch.manual_seed(0)
    model = Linear((6,), 3)
    train(fit_of(model, task, [GroupLasso(strength)]), [batch], 3000)
    weight = model.output.weight
    gradient, slope = torch.autograd.grad(task.criterion(model(batch[0]), batch[1]), [weight, model.output.bias])
    limit = strength * 6**0.5
    zero = (weight == 0).all(1)
    assert (weight == 0).any(1).equal(zero)
    assert 0 < zero.sum() < 3
    assert (gradient[zero].norm(dim=1) < limit).all()
    pull = limit * weight[~zero] / weight[~zero].norm(dim=1, keepdim=True)
    torch.testing.assert_close(gradient[~zero], -pull, rtol=0, atol=1e-10)
    torch.testing.assert_close(slope, torch.zeros(3), rtol=0, atol=1e-10)


def test_the_reported_penalty_is_that_of_textbooks() -> None:
    model, method = network(shape=(2, 8, 8)), GroupLasso(0.3)
    weights = [p for name, p in model.named_parameters() if name.endswith("weight")]
    expected = sum(w[0].numel() ** 0.5 * row.norm() for w in weights for row in w)
    torch.testing.assert_close(method.penalty(method.weights(model)), 0.3 * expected)
    torch.testing.assert_close(group_sum({"a": torch.ones(2, 3, 3)}), torch.tensor(18.0))


def test_training_sets_whole_units_to_zero() -> None:
    model = train(fit_of(network(), task_of("classification"), [GroupLasso(0.02)]), [batch_of("classification")], 300)
    zero = model.model.hidden_0.weight == 0
    assert zero.all(1).any()
    assert not zero.all()
    assert torch.equal(zero.any(1), zero.all(1))
