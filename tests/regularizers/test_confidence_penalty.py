import math

import pytest
import torch
from torch.distributions import Categorical
from torch.nn import functional as F

from reglab.regularizers import ConfidencePenalty
from reglab.regularizers.confidence_penalty import mean_entropy
from tests.regularizers.steps import batch_of, fit_of, network, task_of

pytestmark = pytest.mark.usefixtures("double")


def test_it_is_the_entropy_in_nats() -> None:
    torch.manual_seed(0)
    logits = 3 * torch.randn(7, 5, 4)
    torch.testing.assert_close(mean_entropy(logits), Categorical(logits=logits).entropy().mean(), rtol=1e-13, atol=0)
    torch.testing.assert_close(mean_entropy(torch.full((3, 8), 5.0)), torch.tensor(math.log(8)))
    assert torch.autograd.gradcheck(mean_entropy, logits[0].requires_grad_())


@pytest.mark.parametrize("targets", ["numbers", "shares"])
def test_it_is_subtracted_from_the_loss(targets: str) -> None:
    fit = fit_of(network(), task_of("classification"), [ConfidencePenalty(0.3)])
    inputs, labels = batch_of("classification")
    if targets == "shares":
        labels = torch.rand(len(inputs), 3).softmax(1)
    outputs = fit.model(inputs)
    exact = F.cross_entropy(outputs, labels) - 0.3 * Categorical(logits=outputs).entropy().mean()
    torch.testing.assert_close(fit((inputs, labels)), exact, rtol=1e-13, atol=0)


def test_an_output_of_probability_0_has_a_gradient() -> None:
    logits = torch.tensor([[0.0, -1e4, 3.0]], dtype=torch.float32, requires_grad=True)
    (gradient,) = torch.autograd.grad(mean_entropy(logits), logits)
    assert gradient.isfinite().all()
    assert gradient[0, 1] == 0
    assert gradient[0, 2] < 0, "surer is less entropy"


def test_bfloat16_outputs_keep_the_digits() -> None:
    logits = torch.tensor([[0.0, 7.0], [0.5, -6.0]])
    low = logits.to(torch.bfloat16)
    assert torch.equal(low.double(), logits)
    torch.testing.assert_close(mean_entropy(low).double(), mean_entropy(logits), rtol=1e-5, atol=0)
