"""A task kind is added by its declaration and its class: counts with a Poisson likelihood."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.data.base import TensorData
from reglab.data.source import Source
from reglab.data.tables.tabular import Roles, TableOrigin, table_source
from reglab.data.tables.target import encode_target
from reglab.schema import compatibility
from reglab.schema.errors import Setting
from reglab.schema.metrics import METRICS, Metric
from reglab.schema.task_kinds import NUMBER_TARGETS, NUMERIC_INPUTS, TASK_KINDS, TaskKind
from reglab.tasks import Task, task_of

COUNTS = TaskKind(
    "counts",
    frozenset({NUMERIC_INPUTS, NUMBER_TARGETS}),
    task=f"{__name__}.PoissonCounts",
    metric="deviance",
    choose_by="deviance",
    outputs="the expected count",
)


class PoissonCounts(Task):
    about: ClassVar[TaskKind] = COUNTS

    @classmethod
    def from_data(cls, data: Any, **options: Any) -> "PoissonCounts":
        return cls()

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.poisson_nll_loss(outputs, targets)

    def predictions(self, outputs: Tensor) -> Tensor:
        return outputs.exp()

    def deviance(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 2 * (torch.xlogy(targets, targets / outputs.exp()) - targets + outputs.exp()).mean()


class CountData(TensorData):
    kind = "counts"

    def load(self) -> Source:
        generator = torch.Generator().manual_seed(0)
        return Source(torch.randn(60, 3, generator=generator), torch.arange(60.0) % 7)


@pytest.fixture(autouse=True)
def counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TASK_KINDS, "counts", COUNTS)
    monkeypatch.setitem(METRICS, "deviance", Metric("deviance", "min", ("counts",), every_epoch=True))


def test_a_data_set_of_the_kind_has_its_task_and_targets() -> None:
    data = CountData(name="shots", seed=0, split_seed=0)
    data.setup()
    assert data.kind == "counts"
    assert (data.target_mean, data.target_scale) == (0.0, 1.0)
    assert sorted(torch.cat([data.train.targets, data.val.targets, data.test.targets]).tolist()) == sorted(
        (torch.arange(60.0) % 7).tolist()
    )
    task = task_of(data)
    assert isinstance(task, PoissonCounts)
    outputs = data.test.targets.clamp_min(1e-9).log()
    metrics = task.metrics(outputs, data.test.targets, full=True)
    assert float(metrics["deviance"]) == pytest.approx(0, abs=1e-6)
    assert "rmse" not in metrics
    assert compatibility.task_kind({"_target_": "reglab.data.Csv", "kind": "counts", "target": "y"}) == "counts"


def test_a_table_with_the_kind_keeps_its_numbers() -> None:
    column = pd.Series([0, 1, 2, 3, 4, 5] * 6, name="y")
    assert encode_target(column).kind == "classification"  # few different integers
    target = encode_target(column, "counts")
    assert target.kind == "counts"
    assert target.names == ()
    assert np.array_equal(target.values, column)
    roles = Roles("y", "counts", True, (), None, None)
    table = pd.DataFrame({"x": np.random.default_rng(0).normal(size=36), "y": column})
    source = table_source(table, roles, TableOrigin(Setting("data.path", "a.csv")))
    assert source.task_kind(None) == "counts"
    assert not source.standardize_target  # targets of the kind are not scaled
