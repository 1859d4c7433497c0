import pytest
import torch
from torch.nn import functional as F

from reglab.regularizers import Focal
from reglab.regularizers.focal import focal_excess
from tests.regularizers.steps import batch_of, fit_of, network, task_of

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_it_is_the_weighted_cross_entropy(gamma: float) -> None:
    fit = fit_of(network(), task_of("classification"), [Focal(gamma)])
    inputs, targets = batch_of("classification")
    p = fit.model(inputs).softmax(1).gather(1, targets[:, None])[:, 0]
    exact = ((1 - p) ** gamma * -p.log()).mean()
    loss = fit((inputs, targets))
    torch.testing.assert_close(loss, exact, rtol=1e-12, atol=0)
    parameters = list(fit.model.parameters())
    for a, b in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(exact, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_mixed_labels_have_the_mixed_focal_losses() -> None:
    torch.manual_seed(0)
    logits, gamma, share = 3 * torch.randn(20, 4), torch.tensor(2.0), torch.tensor(0.3)
    first, second = torch.randint(4, (2, 20))
    soft = share * F.one_hot(first, 4) + (1 - share) * F.one_hot(second, 4)
    exact = share * focal_excess(logits, first, gamma) + (1 - share) * focal_excess(logits, second, gamma)
    torch.testing.assert_close(focal_excess(logits, soft, gamma), exact, rtol=1e-12, atol=0)


@pytest.mark.parametrize("soft", [False, True], ids=["numbers", "shares"])
@pytest.mark.parametrize("gamma", [0.0, 1e-3, 0.5, 1.0, 5.0])
def test_a_certain_output_has_a_gradient(gamma: float, soft: bool) -> None:
    """For gamma < 1 the derivative of (1 - p)^gamma is infinite at p = 1."""
    logits = torch.tensor([[200.0, 0.0, 0.0], [200.0, 0.0, 0.0], [17.0, 0.0, 0.0]], dtype=torch.float32)
    logits.requires_grad_()
    targets = torch.tensor([0, 1, 0])
    labels = F.one_hot(targets, 3).float() if soft else targets
    (gradient,) = torch.autograd.grad(
        F.cross_entropy(logits, labels) + focal_excess(logits, labels, torch.tensor(gamma)), logits
    )
    assert gradient.isfinite().all()
    torch.testing.assert_close(gradient[1], torch.tensor([1.0, -1.0, 0.0], dtype=torch.float32) / 3)


@pytest.mark.parametrize("soft", [False, True], ids=["numbers", "shares"])
def test_gamma_0_adds_exactly_nothing(soft: bool) -> None:
    logits = torch.tensor([[200.0, 0.0, 0.0], [1.0, 2.0, -3.0]], requires_grad=True)
    targets = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]) if soft else torch.tensor([0, 2])
    excess = focal_excess(logits, targets, torch.tensor(0.0))
    assert excess == 0
    assert (torch.autograd.grad(excess, logits)[0] == 0).all()


def test_bfloat16_outputs_keep_the_digits_of_1_minus_p() -> None:
    logits, targets, gamma = torch.tensor([[7.0, 0.0]]), torch.tensor([0]), torch.tensor(1.0)
    low = focal_excess(logits.to(torch.bfloat16), targets, gamma).double()
    torch.testing.assert_close(low, focal_excess(logits, targets, gamma), rtol=1e-4, atol=0)
