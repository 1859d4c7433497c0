import pytest
import torch
from sklearn.metrics import mean_squared_error, r2_score

from reglab.tasks import Regression


def test_metrics_equal_scikit_learn_in_the_units_of_the_target() -> None:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(50, generator=generator, dtype=torch.float64) * 7 + 3
    predicted = targets + torch.randn(50, generator=generator, dtype=torch.float64)
    scale = targets.std(correction=0)
    metrics = Regression(scale.item()).metrics((predicted - 3) / scale, ((targets - 3) / scale).float(), full=True)
    assert metrics["rmse"].item() == pytest.approx(mean_squared_error(targets, predicted) ** 0.5, rel=1e-6)
    assert metrics["r2"].item() == pytest.approx(r2_score(targets, predicted), rel=1e-6)
    assert metrics["loss"].item() == pytest.approx(mean_squared_error(targets, predicted) / scale.item() ** 2, rel=1e-6)


def test_one_row_has_no_r2() -> None:
    assert set(Regression().metrics(torch.ones(1), torch.zeros(1), full=True)) == {"loss", "rmse", "mae"}
