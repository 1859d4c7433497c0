"""Schedules of strengths over epochs."""

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

from reglab.regularizers._schedules import early, late, linear, schedule
from reglab.training.run import run
from tests.conftest import Compose
from tests.training.test_run import artifact

SMALL = ("model.hidden_sizes=[16]", "trainer.max_epochs=4", "data.train_size=200")


def test_values_by_epoch() -> None:
    assert [linear(0.5, 0.1, 5)(epoch) for epoch in range(1, 8)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.5, 0.5])
    assert [early(0.5, 0.0, 2)(epoch) for epoch in range(1, 5)] == [0.5, 0.5, 0.0, 0.0]
    assert [late(0.5, 9.0, 3)(epoch) for epoch in range(1, 5)] == [9.0, 9.0, 0.5, 0.5]
    assert schedule(0.5, 0.0, {"kind": "late", "since": 2})(1) == 0.0
    assert schedule(0.0, None, {"kind": "linear", "start": 1.0, "epochs": 2})(2) == 0.0
    assert schedule(0.5, None, {"kind": "constant"})(9) == 0.5
    rounded = schedule(7.0, 1.0, {"kind": "linear", "start": 1.0, "epochs": 5}, whole=True)
    assert [rounded(epoch) for epoch in range(1, 7)] == [1.0, 2.0, 4.0, 6.0, 7.0, 7.0]


@pytest.mark.slow
def test_runs_under_a_schedule(compose_cfg: Compose, store_uri: str) -> None:
    client = MlflowClient(store_uri)

    def last(*overrides: str) -> tuple[dict[str, torch.Tensor], list[float]]:
        result = run(compose_cfg(*SMALL, *overrides))
        tracked = [m.value for m in client.get_metric_history(result.run_id, "strength/dropout.p")]
        return load_file(artifact(client, result.run_id, "weights/last.safetensors")), tracked

    def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
        return all(torch.equal(first[name], second[name]) for name in first)

    key = "+regularizer.dropout.schedule.p"
    none, _ = last("regularizer=none")
    always, tracked = last("regularizer=dropout")
    assert tracked == []
    never, tracked = last("regularizer=dropout", f"{key}={{kind:late,since:5}}")
    assert tracked == [0, 0, 0, 0]
    assert equal(never, none)
    to_the_end, tracked = last("regularizer=dropout", f"{key}={{kind:early,until:4}}")
    assert tracked == [0.5, 0.5, 0.5, 0.5]
    assert equal(to_the_end, always)
    half, tracked = last("regularizer=dropout", f"{key}={{kind:early,until:2}}")
    assert tracked == [0.5, 0.5, 0, 0]
    assert not equal(half, always)
    assert not equal(half, none)
    _, tracked = last("regularizer=dropout", "regularizer.dropout.p=0.6", f"{key}={{kind:linear,start:0,epochs:3}}")
    assert tracked == pytest.approx([0, 0.3, 0.6, 0.6])


@pytest.mark.slow
def test_a_strength_that_ends_off_acts_until_then(compose_cfg: Compose, store_uri: str) -> None:
    def weights(*overrides: str) -> torch.Tensor:
        result = run(compose_cfg(*SMALL, "regularizer=dropout", "regularizer.dropout.p=0", *overrides))
        return load_file(artifact(MlflowClient(store_uri), result.run_id, "weights/last.safetensors"))["output.weight"]

    plain = weights()
    faded = weights("+regularizer.dropout.schedule.input_p={kind:linear,start:0.5,epochs:3}")  # down to 0
    assert not torch.equal(faded, plain)
