"""Caveats of a run: printed as notes and stored as tags."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from torch import Tensor, nn

from reglab.models import MLP
from reglab.regularizers import (
    L1,
    L2,
    SWA,
    Adversarial,
    DropBlock,
    Dropout,
    EarlyStopping,
    ElasticNet,
    GaussianDropout,
    GradientClipping,
    Lookahead,
    MaxNorm,
    Regularizer,
    WeightDecay,
)
from reglab.regularizers._schedules import Schedule, early, late, linear
from reglab.regularizers.swa import LateAverage
from reglab.training.run import run
from reglab.training.run_caveats import (
    averaging_caveats,
    double_counting_caveats,
    model_caveats,
    off_caveats,
    too_short_caveats,
)
from tests.conftest import Compose


class NotFinite(MLP):
    """MLP that returns NaN for one row of a batch of 53 in eval mode; only the test set has 53 rows."""

    def forward(self, x: Tensor) -> Tensor:
        outputs = super().forward(x)
        if not self.training and len(outputs) == 53:
            outputs[0] = torch.nan
        return outputs


def test_test_metrics_that_are_not_finite_are_reported(compose_cfg: Compose, store_uri: str) -> None:
    keys = ["data=wine", "data.test_fraction=0.3", "model._target_=tests.training.test_run_caveats.NotFinite"]
    tracked = MlflowClient(store_uri).get_run(run(compose_cfg(*keys, "trainer.max_epochs=1")).run_id)
    assert tracked.data.tags["test_rows"] == "53"
    assert "test/loss" not in tracked.data.metrics
    expected = tracked.data.tags["not_finite"]
    assert "test/loss" in expected
    assert "gap/loss" in expected


@pytest.mark.parametrize(
    ("methods", "overrides", "effect", "sources"),
    [
        (
            [L2(strength=0.1), WeightDecay(strength=0.1)],
            [],
            "shrunken weights",
            ["l2.strength", "weight_decay.strength"],
        ),
        ([Dropout(p=0.1), GaussianDropout(p=0.1)], [], "noisy activations", ["dropout.p", "gaussian_dropout.p"]),
        (
            [L2(strength=0.1)],
            ["optimizer.weight_decay=0.1"],
            "shrunken weights",
            ["l2.strength", "optimizer.weight_decay"],
        ),
        ([L1(strength=0.1), ElasticNet()], [], "soft-thresholded weights", ["l1.strength", "elastic_net.l1"]),
        ([L1(strength=0.1), ElasticNet(l1=0.0)], [], "", []),
        ([], ["optimizer.weight_decay=0.1"], "", []),
        (
            [GradientClipping(max_norm=1.0)],
            ["trainer.gradient_clip_val=1"],
            "gradient clipping",
            ["gradient_clipping.max_norm", "trainer.gradient_clip_val"],
        ),
        ([], ["trainer.gradient_clip_val=1"], "", []),
    ],
)
def test_the_same_effect_set_twice_is_reported(
    compose_cfg: Compose, methods: list[Regularizer], overrides: list[str], effect: str, sources: list[str]
) -> None:
    caveats = double_counting_caveats(compose_cfg(*overrides), methods, nn.Linear(2, 2))
    assert len(caveats) == bool(effect)
    assert all(word in caveat for caveat in caveats for word in (effect, *sources))


def test_dropout_of_the_model_counts_as_a_source_of_noise(compose_cfg: Compose) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1))
    (caveat,) = double_counting_caveats(compose_cfg(), [Dropout(p=0.1)], model)
    assert "dropout.p and the model's own dropout" in caveat
    assert "noisy activations" in caveat
    assert not double_counting_caveats(compose_cfg(), [], model)


def test_double_counting_is_printed_and_tagged(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(compose_cfg("trainer=fast", "regularizer=[l2,weight_decay]"))
    caveat = MlflowClient(store_uri).get_run(result.run_id).data.tags["double_counting"]
    assert "l2.strength and weight_decay.strength" in caveat
    assert capsys.readouterr().err == f"note: {caveat}\n"


class Loaded(MLP):
    """MLP in eval mode, as after loading, with a dropout layer and a frozen normalization layer."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **{**keys, "norm": "batch"})
        self.add_module("thin", nn.Dropout(0.1))
        next(m for m in self.modules() if isinstance(m, nn.BatchNorm1d)).requires_grad_(False)
        self.eval()


def test_dropout_of_the_model_and_modules_in_eval_mode_are_reported(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(
        compose_cfg("trainer=fast", "regularizer=none", "model._target_=tests.training.test_run_caveats.Loaded")
    )
    dropout_caveat, frozen_caveat = MlflowClient(store_uri).get_run(result.run_id).data.tags["remark"].split("; ")
    assert dropout_caveat.endswith(": thin (p=0.1)")
    assert "eval mode" in frozen_caveat
    assert "norm" in frozen_caveat
    assert capsys.readouterr().err == f"note: {dropout_caveat}\nnote: {frozen_caveat}\n"


def test_a_caveat_of_a_method_is_printed_and_tagged(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(compose_cfg("trainer=fast", "regularizer=alpha_dropout"))
    expected = MlflowClient(store_uri).get_run(result.run_id).data.tags["remark"]
    assert expected.startswith("regularizer=alpha_dropout: ")
    assert "SELU" in expected
    assert capsys.readouterr().err == f"note: {expected}\n"


def test_a_caveat_on_the_data_is_printed_and_tagged(
    tmp_path: Path, compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{row + 1},{row * row % 11},{'xy'[row % 2]}\n" for row in range(40))
    (tmp_path / "t.csv").write_text(f"id,x,y\n{rows}")
    result = run(compose_cfg("trainer=fast", "data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y"))
    expected = MlflowClient(store_uri).get_run(result.run_id).data.tags["data_remark"]
    assert expected.startswith("column 'id': whole numbers")
    assert f"note: {expected}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("method", "off"),
    [
        (L2(strength=0.0), "strength=0"),
        (MaxNorm(max_norm=math.inf), "max_norm=inf"),
        (ElasticNet(l1=0.0), None),
        (Lookahead(alpha=1.0), "alpha=1"),
        (Lookahead(k=1), None),
        (DropBlock(p=0.0), "p=0"),
        (DropBlock(block_size=1), None),
        (Adversarial(epsilon=0.0, steps=3), "epsilon=0"),
    ],
)
def test_a_method_at_its_off_value_is_reported(method: Regularizer, off: str | None) -> None:
    expected = [f"{method.name}: no effect, because {off} is off"] if off else []
    assert off_caveats([Dropout(p=0.5), method], {}, epochs=1) == expected


@pytest.mark.parametrize(
    ("strength", "schedule", "epochs", "off"),
    [
        (0.0, linear(0.0, start=0.1, epochs=2), 1, False),
        (0.1, late(0.1, off=0.0, since=5), 1, True),
        (0.1, late(0.1, off=0.0, since=1), 1, False),
        (0.1, late(0.1, off=0.0, since=2), 2, False),
        (0.1, early(0.1, off=0.0, until=1), 1, False),
        (0.1, linear(0.1, start=0.0, epochs=3), 1, True),
    ],
)
def test_a_schedule_that_is_off_in_every_epoch_is_reported(
    strength: float, schedule: Schedule, epochs: int, off: bool
) -> None:
    method = L2(strength=strength)
    caveats = off_caveats([method], {(method, "strength"): schedule}, epochs)
    assert len(caveats) == off
    assert all("strength=0 " in caveat and f"trainer.max_epochs={epochs}" in caveat for caveat in caveats)


def test_a_method_without_effect_is_printed_and_tagged(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    late = "+regularizer.l2.schedule.strength={kind:late,since:5}"
    result = run(compose_cfg("trainer=fast", "regularizer=[l2,dropout]", late))
    caveat = MlflowClient(store_uri).get_run(result.run_id).data.tags["no_effect"]
    assert caveat.startswith("l2: no effect")
    assert "trainer.max_epochs=1" in caveat
    assert capsys.readouterr().err == f"note: {caveat}\n"


@pytest.mark.parametrize(
    ("steps", "first", "tested", "words"),
    [
        (0, 0, 3, ["after step 3,", "never began"]),
        (25, 76, 75, ["after step 75,", "began after step 75"]),
        (25, 76, 76, None),
        (1, 4, 4, None),
    ],
)
def test_tested_weights_from_before_the_averaging_are_reported(
    steps: int, first: int, tested: int, words: list[str] | None
) -> None:
    average = LateAverage(SWA())
    average.steps, average.first = steps, first
    caveats = averaging_caveats([EarlyStopping(), average], tested)
    assert len(caveats) == (words is not None)
    assert all(word in caveat for caveat in caveats for word in words or [])


def test_an_average_that_never_began_is_printed_and_tagged(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(compose_cfg("regularizer=swa", "data.batch_size=null", "trainer.max_epochs=1"))
    caveat = MlflowClient(store_uri).get_run(result.run_id).data.tags["not_averaged"]
    assert "never began" in caveat
    assert capsys.readouterr().err == f"note: {caveat}\n"


@pytest.mark.slow
@pytest.mark.parametrize("val_fraction", [0, 0.2])
def test_an_average_in_the_last_epochs_is_tested(compose_cfg: Compose, store_uri: str, val_fraction: float) -> None:
    keys = ("data.batch_size=null", "trainer.max_epochs=4", f"data.val_fraction={val_fraction}")
    tags = MlflowClient(store_uri).get_run(run(compose_cfg("regularizer=swa", *keys)).run_id).data.tags
    assert "not_averaged" not in tags


@pytest.mark.slow
def test_best_weights_from_before_the_averaging_are_tagged(compose_cfg: Compose, store_uri: str) -> None:
    keys = ("data.train_size=20", "data.label_noise=0.5", "data.batch_size=null", "trainer.max_epochs=100")
    tracked = MlflowClient(store_uri).get_run(run(compose_cfg("regularizer=swa", "optimizer.lr=0.02", *keys)).run_id)
    best = tracked.data.metrics["best/step"]
    assert 0 < best < 75
    caveat = tracked.data.tags["not_averaged"]
    assert f"after step {best:.0f}," in caveat
    assert caveat.endswith("began after step 75")


@pytest.mark.parametrize(
    ("method", "steps", "evaluations", "acts"),
    [
        (Lookahead(alpha=0.5, k=6), 5, 1, False),
        (Lookahead(alpha=0.5, k=5), 5, 1, True),
        (Lookahead(alpha=1.0, k=6), 5, 1, True),  # at its off value, which another caveat reports
        (EarlyStopping(patience=3), 99, 4, False),
        (EarlyStopping(patience=3), 99, 5, True),
        (L2(strength=1.0), 1, 1, True),
    ],
)
def test_a_method_that_acts_after_the_end_of_training_is_reported(
    method: Regularizer, steps: int, evaluations: int, acts: bool
) -> None:
    assert bool(too_short_caveats([method], steps, evaluations)) is not acts


def test_a_missing_effect_is_tagged_before_training(compose_cfg: Compose, store_uri: str) -> None:
    result = run(compose_cfg("trainer=fast", "regularizer=lookahead", "regularizer.lookahead.k=1000"))
    tags = MlflowClient(store_uri).get_run(result.run_id).data.tags
    assert tags["no_effect"].startswith("lookahead: no effect")
    assert "at most 17 steps" in tags["no_effect"]


def test_layers_in_a_plain_list_are_named() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(2, 2)
            self.layers = [nn.Linear(2, 2), self.last]
            self.known = {"last": self.last, "act": nn.ReLU()}

    (note,) = model_caveats(Net())
    assert "layers; register them with nn.ModuleList" in note
    assert "known" not in note
