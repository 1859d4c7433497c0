import pytest
import torch
from torch.nn import functional as F

from reglab.regularizers import LabelSmoothing
from tests.regularizers.steps import batch_of, fit_of, network, task_of

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.9])
def test_it_equals_torch(epsilon: float) -> None:
    fit = fit_of(network(), task_of("classification"), [LabelSmoothing(epsilon)])
    inputs, targets = batch_of("classification")
    exact = F.cross_entropy(fit.model(inputs), targets, label_smoothing=epsilon)
    loss = fit((inputs, targets))
    torch.testing.assert_close(loss, exact, rtol=1e-13, atol=0)
    parameters = list(fit.model.parameters())
    for a, b in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(exact, parameters), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-14)


def test_soft_targets() -> None:
    fit = fit_of(network(), task_of("classification"), [LabelSmoothing(0.2)])
    inputs, _ = batch_of("classification")
    shares = torch.rand(len(inputs), 3).softmax(1)
    log_p = fit.model(inputs).log_softmax(1)
    exact = -((0.8 * shares + 0.2 / 3) * log_p).sum(1).mean()
    torch.testing.assert_close(fit((inputs, shares)), exact, rtol=1e-13, atol=0)
