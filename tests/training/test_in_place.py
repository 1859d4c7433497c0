"""In-place operations of a network or a regularizer do not change the data set or its batches."""

from collections.abc import Callable

import pytest
import torch
from mlflow import MlflowClient
from torch import Tensor

from reglab.data.batches import Batches
from reglab.regularizers import SAM, Adversarial, Jacobian, RDrop, Regularizer
from reglab.schema.errors import ConfigError
from reglab.tasks import Classification
from reglab.training.build import build_data, build_model
from reglab.training.run import run
from reglab.training.weights import weight_metrics
from tests.conftest import Compose
from tests.regularizers.steps import fit_of, same_state, train
from tests.regularizers.test_table import Row, every

METHODS: dict[str, Callable[[], list[Regularizer]]] = {
    "none": list,
    "two passes a step": lambda: [SAM(0.05)],
    "two passes a loss": lambda: [RDrop(0.5)],
    "gradients of inputs": lambda: [Jacobian(0.1)],
    "passes before the loss": lambda: [Adversarial(0.1, 2)],
}


def shifting_overrides(in_place: str, *more: str) -> list[str]:
    return [
        "model=torch",
        "model.target=tests.training.networks.Shifting",
        f"model.args={{in_place:{in_place}}}",
        *more,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("in_place", ["both", "training", "evaluation"])
def test_a_network_that_changes_its_inputs_in_place_trains_as_one_that_does_not(
    compose_cfg: Compose, in_place: str, name: str
) -> None:
    results = []
    for mode in ("''", in_place):
        cfg = compose_cfg(*shifting_overrides(mode, "data=wine", "data.batch_size=null"))
        data = build_data(cfg)
        before = [part.inputs.clone() for part in (data.train, data.val, data.test)]
        fit = fit_of(build_model(cfg, data), Classification(3), METHODS[name]())
        batch = next(iter(data.train_dataloader()))  # the full batch, which is not copied
        train(fit, [batch], 3)
        metrics = weight_metrics(fit.model, fit.task, batch)
        with torch.no_grad():
            outputs = [
                fit.model.eval()(inputs) for loader in data.val_dataloader() for inputs, _ in loader for _ in "ab"
            ]
        assert torch.equal(outputs[0], outputs[1])
        for part, inputs in zip((data.train, data.val, data.test), before, strict=True):
            assert torch.equal(part.inputs, inputs)
        results.append((fit.model, metrics, outputs))
    assert same_state(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert all(torch.equal(a, b) for a, b in zip(results[0][2], results[1][2], strict=True))


@pytest.mark.slow
def test_runs_track_the_same_metrics(compose_cfg: Compose) -> None:
    tracked = []
    for mode in ("''", "both"):
        cfg = compose_cfg(
            *shifting_overrides(mode, "data=wine", "data.batch_size=null", "regularizer=l2", "trainer.max_epochs=3")
        )
        metrics = MlflowClient(cfg.tracking.uri).get_run(run(cfg).run_id).data.metrics
        tracked.append({name: value for name, value in metrics.items() if not name.startswith("time/")})
    assert tracked[0] == tracked[1]


@pytest.mark.parametrize("size", [None, 4])
def test_a_loader_refuses_rows_that_were_changed_in_place(size: int | None) -> None:
    loader = Batches(torch.ones(10, 2), torch.zeros(10), size)
    assert len(list(loader)) == len(loader)
    batches = iter(loader)
    next(batches)[0].sub_(1)
    with pytest.raises(ConfigError, match="changes its batch in place"):
        list(batches)
    with pytest.raises(ConfigError, match="changes its batch in place"):
        next(iter(loader))


def test_shuffled_batches_are_copies() -> None:
    loader = Batches(torch.ones(10, 2), torch.zeros(10), 4, seed=0)
    for inputs, targets in loader:
        inputs -= 1
        targets += 1
    assert loader.inputs.eq(1).all()


@every
def test_no_regularizer_changes_its_batch_in_place(row: Row) -> None:
    fit = row.fit(row.others)
    for batch in row.batches():
        before: list[Tensor] = [part.clone() for part in batch]
        versions = [part._version for part in batch]
        train(fit, [batch], 2)
        assert all(torch.equal(part, old) for part, old in zip(batch, before, strict=True))
        assert [part._version for part in batch] == versions
