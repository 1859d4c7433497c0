import itertools

import pytest
import torch

from reglab.regularizers import DropConnect
from reglab.regularizers.dropout import zero_and_rescale
from tests.regularizers.swaps import weights_in_pass

pytestmark = pytest.mark.usefixtures("double")


def test_the_mean_weights_and_the_expected_loss_of_a_linear_model() -> None:
    """E[W m / (1 - p)] = W, and E[loss] = SSE + p / (1 - p) Σⱼ (XᵀX)ⱼⱼ wⱼ², by enumerating all masks."""
    torch.manual_seed(0)
    inputs, targets, weights, p = torch.randn(7, 4), torch.randn(7), torch.randn(4), torch.tensor(0.3)
    mean, loss = torch.zeros(4), torch.zeros(())
    for mask in itertools.product([0.0, 0.999], repeat=4):  # below p: dropped
        kept = sum(draw > 0 for draw in mask)
        probability = (1 - p) ** kept * p ** (4 - kept)
        changed = zero_and_rescale(weights, torch.tensor(mask), p)
        mean += probability * changed
        loss += probability * (inputs @ changed - targets).square().sum()
    torch.testing.assert_close(mean, weights, rtol=1e-14, atol=0)
    ridge = p / (1 - p) * ((inputs.T @ inputs).diagonal() * weights**2).sum()
    torch.testing.assert_close(loss, (inputs @ weights - targets).square().sum() + ridge, rtol=1e-13, atol=0)


def test_the_share_of_dropped_connections_in_training() -> None:
    weights = weights_in_pass(DropConnect(0.3))
    p = DropConnect(0.3).p.double()
    assert set(weights.unique().tolist()) == {0.0, float(0.5 / (1 - p))}
    assert abs((weights == 0).double().mean() - 0.3) < 5 * (0.3 * 0.7 / weights.numel()) ** 0.5
