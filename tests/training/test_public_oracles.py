"""Tracked runs compared with reference results: ridge, the lasso, and data without signal."""

import numpy as np
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file
from sklearn.linear_model import ElasticNet, Ridge

from reglab.config.check_run import check
from reglab.training.build import build_data
from reglab.training.run import run
from tests.conftest import Compose
from tests.training.test_run import artifact

LINEAR = (
    "data=diabetes",
    "model=linear",
    "data.batch_size=null",
    "data.val_fraction=0",
    "optimizer=sgd",
    "optimizer.lr=0.15",
    "optimizer.momentum=0.9",
    "trainer.max_epochs=400",
    "trainer.check_val_every_n_epoch=400",
    "trainer.precision=64-true",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    "strengths",
    [{"l2.strength": 0.5}, {"l1.strength": 0.2}, {"elastic_net.l1": 0.2, "elastic_net.l2": 0.3}],
    ids=["ridge", "lasso", "elastic net"],
)
def test_a_full_batch_linear_run_equals_scikit_learn(
    compose_cfg: Compose, store_uri: str, strengths: dict[str, float]
) -> None:
    name = next(iter(strengths)).partition(".")[0]
    cfg = compose_cfg(*LINEAR, f"regularizer={name}", *(f"regularizer.{k}={v}" for k, v in strengths.items()))
    check(cfg)
    result = run(cfg)
    weights = load_file(artifact(MlflowClient(store_uri), result.run_id, "weights/last.safetensors"))
    data = build_data(cfg)
    rows, targets = data.train.inputs.double().numpy(), data.train.targets.double().numpy()
    # The loss of a run is the mean squared error; that of Ridge is the sum, that of ElasticNet half the mean.
    l1, l2 = strengths.get("l1.strength", strengths.get("elastic_net.l1", 0.0)), strengths.get("elastic_net.l2", 0.0)
    reference = (
        Ridge(len(rows) * strengths["l2.strength"] / 2)
        if name == "l2"
        else ElasticNet((l1 + l2) / 2, l1_ratio=l1 / (l1 + l2), tol=1e-12, max_iter=100_000)  # l2 = 0: lasso
    )
    reference.fit(rows, targets)
    coefficients = weights["output.weight"][0]
    np.testing.assert_allclose(coefficients, reference.coef_, atol=1e-6)
    np.testing.assert_allclose(weights["output.bias"][0], reference.intercept_, atol=1e-6)
    assert list(coefficients == 0) == list(reference.coef_ == 0)
    assert result.metrics["model/zero_fraction"] == pytest.approx(np.mean(reference.coef_ == 0))
    if name != "l2":
        assert 0 < (coefficients == 0).sum() < len(coefficients)


@pytest.mark.slow
def test_nothing_is_learnt_from_noise(compose_cfg: Compose, store_uri: str) -> None:
    def mse(*overrides: str) -> float:
        return run(compose_cfg(*overrides, "trainer.check_val_every_n_epoch=1000")).metrics["test/loss"]

    none = mse("experiment=seed_l2", "regularizer=none")
    assert 3 < none < 8
    assert mse("experiment=seed_l2") == pytest.approx(none, rel=0.15)  # the published strength has no effect
    assert mse("experiment=seed_l2", "regularizer.l2.strength=0.6") == pytest.approx(1.0, abs=0.03)
    assert 1.2 < mse("experiment=seed_dropout") < 1.85  # at least 2 without eval mode
