from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow import MlflowClient
from torch import Tensor, nn

from reglab.models import MLP
from reglab.regularizers import L2, EarlyStopping, Lookahead, Regularizer
from reglab.training.run import run
from reglab.training.run_caveats import model_caveats, too_short_caveats
from tests.conftest import Compose

_FALLING = "+regularizer.l2.schedule.strength={kind:linear,start:0.1,epochs:2}"


class OwnDropout(MLP):
    """A network that has a dropout layer."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **keys)
        self.add_module("thin", nn.Dropout(0.1))


class NotFinite(MLP):
    """A network that gives NaN for one of 53 rows, which no other part of the data has, in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        outputs = super().forward(x)
        if not self.training and len(outputs) == 53:
            outputs[0] = torch.nan
        return outputs


def test_test_figures_that_are_not_finite_are_reported(compose_cfg: Compose, store_uri: str) -> None:
    keys = ["data=wine", "data.test_fraction=0.3", "model._target_=tests.training.test_run_caveats.NotFinite"]
    tracked = MlflowClient(store_uri).get_run(run(compose_cfg(*keys, "trainer.max_epochs=1")).run_id)
    assert tracked.data.tags["test_rows"] == "53"
    assert "test/loss" not in tracked.data.metrics
    expected = tracked.data.tags["not_finite"]
    assert "test/loss" in expected
    assert "gap/loss" in expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (
            ["regularizer=[l2,weight_decay]"],
            "l2.strength and weight_decay.strength have the same effect, shrunken weights",
        ),
        (
            ["regularizer=[dropout,gaussian_dropout]"],
            "dropout.p and gaussian_dropout.p have the same effect, noisy activations",
        ),
        (
            ["regularizer=dropout", "model._target_=tests.training.test_run_caveats.OwnDropout"],
            "dropout.p and the model's own dropout have the same effect, noisy activations",
        ),
        (
            ["regularizer=l2", "optimizer.weight_decay=0.1"],
            "l2.strength and optimizer.weight_decay have the same effect, shrunken weights",
        ),
        (
            ["regularizer=[l1,elastic_net]"],
            "elastic_net.l1 and l1.strength have the same effect, soft-thresholded weights",
        ),
        (["regularizer=[l1,elastic_net]", "regularizer.elastic_net.l1=0"], None),
        (["regularizer=none", "model._target_=tests.training.test_run_caveats.OwnDropout"], None),
        (["regularizer=none", "optimizer.weight_decay=0.1"], None),
        (
            ["regularizer=gradient_clipping", "trainer.gradient_clip_val=1"],
            "gradient_clipping.max_norm and trainer.gradient_clip_val have the same effect, gradient clipping",
        ),
        (["regularizer=none", "trainer.gradient_clip_val=1"], None),
    ],
)
def test_the_same_effect_set_twice_is_printed_and_tagged(
    compose_cfg: Compose,
    store_uri: str,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    expected: str | None,
) -> None:
    result = run(compose_cfg("trainer=fast", *overrides))
    tags = MlflowClient(store_uri).get_run(result.run_id).data.tags
    assert tags.get("double_counting") == expected
    notes = [row for row in capsys.readouterr().err.splitlines() if "own dropout acts" not in row]
    assert notes == ([f"note: {expected}"] if expected else [])


class Loaded(MLP):
    """A network with dropout of its own, in eval mode as loaded ones are, a part of which is frozen there."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        super().__init__(*args, **{**keys, "norm": "batch"})
        self.add_module("thin", nn.Dropout(0.1))
        next(m for m in self.modules() if isinstance(m, nn.BatchNorm1d)).requires_grad_(False)
        self.eval()


def test_dropout_of_the_model_and_what_stays_in_eval_mode_are_reported(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(
        compose_cfg("trainer=fast", "regularizer=none", "model._target_=tests.training.test_run_caveats.Loaded")
    )
    own, frozen = MlflowClient(store_uri).get_run(result.run_id).data.tags["remark"].split("; ")
    assert own.endswith(": thin (p=0.1)")
    assert "eval mode" in frozen
    assert "norm" in frozen
    assert capsys.readouterr().err == f"note: {own}\nnote: {frozen}\n"


def test_a_caveat_of_a_method_is_printed_and_tagged(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(compose_cfg("trainer=fast", "regularizer=alpha_dropout"))
    expected = MlflowClient(store_uri).get_run(result.run_id).data.tags["remark"]
    assert expected.startswith("regularizer=alpha_dropout: is for SELU, and this model has ReLU; set ")
    assert capsys.readouterr().err == f"note: {expected}\n"


def test_a_caveat_on_the_data_is_printed_and_tagged(
    tmp_path: Path, compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{row + 1},{row * row % 11},{'xy'[row % 2]}\n" for row in range(40))
    (tmp_path / "t.csv").write_text(f"id,x,y\n{rows}")
    result = run(compose_cfg("trainer=fast", "data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=y"))
    expected = MlflowClient(store_uri).get_run(result.run_id).data.tags["data_remark"]
    assert expected.startswith("column 'id': whole numbers that rise or fall with the rows' order")
    assert f"note: {expected}\n" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["regularizer=[l2,dropout]", "regularizer.l2.strength=0"], "l2: no effect, because strength=0 is off"),
        (
            ["regularizer=max_norm", "regularizer.max_norm.max_norm=inf"],
            "max_norm: no effect, because max_norm=inf is off",
        ),
        (["regularizer=elastic_net", "regularizer.elastic_net.l1=0"], None),
        (["regularizer=lookahead", "regularizer.lookahead.alpha=1"], "lookahead: no effect, because alpha=1 is off"),
        (["regularizer=lookahead", "regularizer.lookahead.k=1"], None),
        (
            ["regularizer=drop_block", "model=cnn", "regularizer.drop_block.p=0"],
            "drop_block: no effect, because p=0 is off",
        ),
        (["regularizer=drop_block", "model=cnn", "regularizer.drop_block.block_size=1"], None),
        (
            ["regularizer=adversarial", "regularizer.adversarial.epsilon=0", "regularizer.adversarial.steps=3"],
            "adversarial: no effect, because epsilon=0 is off",
        ),
        (
            ["regularizer=l2", "regularizer.l2.strength=0", _FALLING],
            None,
        ),
        (
            ["regularizer=l2", "+regularizer.l2.schedule.strength={kind:late,since:5}"],
            "l2: no effect, because strength=0 is off in every epoch (trainer.max_epochs=1)",
        ),
        (["regularizer=l2", "+regularizer.l2.schedule.strength={kind:late,since:1}"], None),
        (["regularizer=l2", "+regularizer.l2.schedule.strength={kind:late,since:2}", "trainer.max_epochs=2"], None),
        (["regularizer=l2", "+regularizer.l2.schedule.strength={kind:early,until:1}"], None),
        (
            ["regularizer=l2", "+regularizer.l2.schedule.strength={kind:linear,start:0,epochs:3}"],
            "l2: no effect, because strength=0 is off in every epoch (trainer.max_epochs=1)",
        ),
    ],
)
def test_a_strategy_without_effect_is_printed_and_tagged(
    compose_cfg: Compose,
    store_uri: str,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    expected: str | None,
) -> None:
    result = run(compose_cfg("trainer=fast", *overrides))
    tags = MlflowClient(store_uri).get_run(result.run_id).data.tags
    assert tags.get("no_effect") == expected
    assert (f"note: {expected}\n" if expected else "") == capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["trainer.max_epochs=1"], "swa: the tested weights are those after step 1, and the averaging never began"),
        (["trainer.max_epochs=4"], None),
        (["trainer.max_epochs=4", "data.val_fraction=0"], None),
    ],
)
def test_weights_that_are_no_mean_are_printed_and_tagged(
    compose_cfg: Compose, store_uri: str, capsys: pytest.CaptureFixture[str], overrides: list[str], expected: str | None
) -> None:
    result = run(compose_cfg("regularizer=swa", "data.batch_size=null", *overrides))
    tags = MlflowClient(store_uri).get_run(result.run_id).data.tags
    assert tags.get("not_averaged") == expected
    assert (f"note: {expected}\n" if expected else "") == capsys.readouterr().err


@pytest.mark.slow
def test_the_best_weights_of_an_overfitted_run_are_from_before_the_mean(compose_cfg: Compose, store_uri: str) -> None:
    keys = ("data.train_size=20", "data.label_noise=0.5", "data.batch_size=null", "trainer.max_epochs=100")
    run_of = MlflowClient(store_uri).get_run(run(compose_cfg("regularizer=swa", "optimizer.lr=0.02", *keys)).run_id)
    best = run_of.data.metrics["best/step"]
    assert 0 < best < 75
    expected = f"swa: the tested weights are those after step {best:.0f}, and the averaging began after step 75"
    assert run_of.data.tags["not_averaged"] == expected


@pytest.mark.parametrize(
    ("method", "steps", "evaluations", "acts"),
    [
        (Lookahead(alpha=0.5, k=6), 5, 1, False),
        (Lookahead(alpha=0.5, k=5), 5, 1, True),
        (Lookahead(alpha=1.0, k=6), 5, 1, True),  # off, which another note reports
        (EarlyStopping(patience=3), 99, 4, False),
        (EarlyStopping(patience=3), 99, 5, True),
        (L2(strength=1.0), 1, 1, True),
    ],
)
def test_a_method_that_acts_after_the_end_of_training_is_reported(
    method: Regularizer, steps: int, evaluations: int, acts: bool
) -> None:
    assert bool(too_short_caveats([method], steps, evaluations)) is not acts


def test_it_is_tagged_before_training(compose_cfg: Compose, store_uri: str) -> None:
    result = run(compose_cfg("trainer=fast", "regularizer=lookahead", "regularizer.lookahead.k=1000"))
    tags = MlflowClient(store_uri).get_run(result.run_id).data.tags
    assert tags["no_effect"].startswith("lookahead: no effect, because training ends before it acts")


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
