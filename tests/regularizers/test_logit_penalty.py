import math

import pytest
import torch
from torch.nn import functional as F

from reglab.regularizers import LogitPenalty
from reglab.regularizers.logit_penalty import squared_log_z
from tests.regularizers.steps import batch_of, fit_of, network, task_of

pytestmark = pytest.mark.usefixtures("double")


def test_it_is_the_squared_logarithm_of_the_sum() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(6, 4)
    exact = logits.exp().sum(1).log() ** 2
    torch.testing.assert_close(squared_log_z(logits), exact.mean(), rtol=1e-13, atol=0)
    torch.testing.assert_close(squared_log_z(torch.zeros(2, 3, 8)), torch.tensor(math.log(8) ** 2))
    torch.testing.assert_close(squared_log_z(logits.log_softmax(1)), torch.tensor(0.0))
    assert torch.autograd.gradcheck(squared_log_z, logits.requires_grad_())


def test_it_is_added_to_the_loss() -> None:
    fit = fit_of(network(), task_of("classification"), [LogitPenalty(0.1)])
    inputs, targets = batch_of("classification")
    outputs = fit.model(inputs)
    exact = F.cross_entropy(outputs, targets) + 0.1 * (outputs.logsumexp(1) ** 2).mean()
    torch.testing.assert_close(fit((inputs, targets)), exact, rtol=1e-13, atol=0)


def test_it_shifts_all_logits_equally() -> None:
    """Over free logits, the minimum of cross entropy plus penalty has the softmax of the cross entropy alone."""
    shares = torch.tensor([[0.2, 0.3, 0.5]])
    logits = shares.log() + 4
    logits.requires_grad_()
    for _ in range(300):
        loss = F.cross_entropy(logits, shares) + 0.5 * squared_log_z(logits)
        logits.data -= 0.5 * torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(logits.detach(), shares.log(), rtol=1e-6, atol=1e-8)


def test_large_logits_and_bfloat16() -> None:
    logits = torch.tensor([[1000.0, 0.0]], requires_grad=True)
    penalty = squared_log_z(logits)
    assert torch.equal(penalty, torch.tensor(1e6))
    torch.testing.assert_close(torch.autograd.grad(penalty, logits)[0], torch.tensor([[2000.0, 0.0]]))
    low = squared_log_z(torch.tensor([[7.0, 5.0]], dtype=torch.bfloat16)).double()
    torch.testing.assert_close(low, squared_log_z(torch.tensor([[7.0, 5.0]])), rtol=1e-6, atol=0)
