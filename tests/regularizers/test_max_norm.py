import pytest
import torch

from reglab.regularizers import MaxNorm
from reglab.regularizers.max_norm import capped_rows
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (6, 2, 5)])
def test_it_equals_renorm_of_torch_and_is_idempotent(double: None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    weight, limit = torch.randn(shape) * 2, torch.tensor(2.5)
    weight[0] = 0
    weight[1] *= 0.01
    once = capped_rows(weight, limit)
    torch.testing.assert_close(once, torch.renorm(weight, 2, 0, 2.5), rtol=1e-12, atol=0)
    assert torch.equal(once[:2], weight[:2])
    assert torch.equal(capped_rows(once, limit), once)


def test_infinity_returns_the_weights() -> None:
    weight = torch.randn(5, 7)
    weight[0] = 0
    assert torch.equal(capped_rows(weight, torch.tensor(torch.inf)), weight)
    assert torch.equal(capped_rows(torch.zeros(2, 2), torch.tensor(1.0)), torch.zeros(2, 2))


def test_a_diverged_row_stays_not_finite() -> None:
    weight = torch.full((2, 2), torch.nan)
    weight[1] = 3.0
    capped = capped_rows(weight, torch.tensor(1.0))
    assert capped[0].isnan().all()
    torch.testing.assert_close(capped[1].norm(), torch.tensor(1.0))


def test_no_unit_is_longer_after_training() -> None:
    batches = [batch_of("classification")]
    free = train(fit_of(network(), task_of("classification")), batches, 100).model
    held = train(fit_of(network(), task_of("classification"), [MaxNorm(0.7)]), batches, 100).model
    longest = [max(float(w.detach().norm(dim=1).max()) for w in m.parameters() if w.ndim == 2) for m in (free, held)]
    assert longest[0] > 1
    assert longest[1] == pytest.approx(0.7, abs=1e-6)
