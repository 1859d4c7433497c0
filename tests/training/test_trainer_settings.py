"""Effects of `trainer.*` settings on a run, and runs that do not depend on the environment."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from reglab.schema.errors import ConfigError
from reglab.tracking.queries import get
from reglab.tracking.store import open_store
from reglab.training.build import build_data
from reglab.training.run import RunResult, run
from tests.conftest import Compose
from tests.errors import config_error

WINE = ("data=wine", "data.batch_size=10", "trainer.max_epochs=2")  # 106, 36, 36 rows


@pytest.fixture
def trained(compose_cfg: Compose, store_uri: str) -> Any:
    def train(*overrides: str) -> tuple[RunResult, dict[str, str]]:
        cfg = compose_cfg(*WINE, f"tracking.uri={store_uri}", *overrides)
        result = run(cfg)
        record = get(open_store(store_uri, cfg.tracking.experiment), result.run_id)
        assert record is not None
        return result, dict(record.tags)

    return train


def metrics_without_times(result: RunResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if not name.startswith("time/")}


def test_limits_of_evaluation_count_batches_of_the_batch_size(compose_cfg: Compose) -> None:
    whole = build_data(compose_cfg(*WINE))
    assert (whole.train_rows, whole.val_rows, whole.test_rows) == (106, 36, 36)
    limited = build_data(compose_cfg(*WINE, "trainer.limit_val_batches=2", "trainer.limit_test_batches=.5"))
    assert (limited.train_rows, limited.val_rows, limited.test_rows) == (106, 20, 20)  # .5 of four batches
    assert torch.equal(limited.test.inputs, whole.test.inputs[:20])
    assert limited.parts.test.tolist() == whole.parts.test[:20].tolist()
    assert limited.split_hash == whole.split_hash
    assert sum(len(batch[1]) for batch in limited.test_dataloader()) == 20
    more = build_data(compose_cfg(*WINE, "trainer.limit_val_batches=99", "trainer.limit_test_batches=1.0"))
    assert (more.val_rows, more.test_rows) == (36, 36)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_limit_below_one_batch_is_refused(part: str, compose_cfg: Compose) -> None:
    few = [*WINE, "data.batch_size=6"]
    with pytest.raises(
        ConfigError, match=rf"^trainer.limit_{part}_batches=0.01: leaves none of \d+ .* least "
    ) as refused:
        build_data(compose_cfg(*few, f"trainer.limit_{part}_batches=0.01"))
    least = str(refused.value).rpartition(" ")[2]
    data = build_data(compose_cfg(*few, f"trainer.limit_{part}_batches={least}"))
    assert part == "train" or getattr(data, f"{part}_rows") == 6


@pytest.mark.slow
def test_limits_act_on_training_and_evaluation(trained: Any) -> None:
    plain, tags = trained()
    assert tags["test_rows"] == "36"
    tested, tags = trained("trainer.limit_test_batches=1")
    assert tags["test_rows"] == "10"
    assert tested.metrics["test/loss"] != plain.metrics["test/loss"]
    assert tested.metrics["best/val/loss"] == plain.metrics["best/val/loss"]
    watched, _ = trained("trainer.limit_val_batches=1")
    assert watched.metrics["best/val/loss"] != plain.metrics["best/val/loss"]
    short, _ = trained("trainer.limit_train_batches=.2")
    assert short.metrics["best/step"] <= 4  # two epochs of two batches
    capped, _ = trained("trainer.gradient_clip_val=1e-3")
    assert capped.metrics["test/loss"] != plain.metrics["test/loss"]


@pytest.mark.slow
def test_a_schedule_receives_the_length_of_training(trained: Any) -> None:
    cycle = ["scheduler=cosine", "scheduler._target_=torch.optim.lr_scheduler.OneCycleLR", "~scheduler.eta_min"]
    cycle += ["+scheduler.max_lr=${optimizer.lr}", "+scheduler.cycle_momentum=false"]
    assert trained(*cycle)[0].metrics["test/loss"] != trained()[0].metrics["test/loss"]


@pytest.mark.slow
def test_early_stopping_waits_for_min_epochs(trained: Any) -> None:
    stop = ["regularizer=early_stopping", "regularizer.early_stopping.patience=1", "optimizer.lr=1"]
    without, _ = trained(*stop, "trainer.max_epochs=12")
    with_minimum, _ = trained(*stop, "trainer.max_epochs=12", "+trainer.min_epochs=10")
    assert without.metrics["time/epochs"] < 10 <= with_minimum.metrics["time/epochs"]


@pytest.mark.slow
def test_min_steps_beyond_the_epochs_is_refused(trained: Any) -> None:
    with config_error("trainer.min_steps=23: 22 ... trainer.max_ep"):
        trained("+trainer.min_steps=23")  # two epochs of eleven batches
    with config_error("trainer.min_steps=7: after 6 steps"):
        trained("+trainer.min_steps=7", "+trainer.accumulate_grad_batches=4")  # two epochs of 4 + 4 + 3 batches
    assert trained("+trainer.min_steps=6", "+trainer.accumulate_grad_batches=4")[0].metrics["best/step"] <= 6


CLUSTER = {
    "SLURM_JOB_ID": "7",
    "SLURM_NTASKS": "2",
    "SLURM_JOB_NAME": "work",
    "SLURM_LOCALID": "1",
    "SLURM_PROCID": "1",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "localhost",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "127.0.0.1",
    "PL_GLOBAL_SEED": "99",
    "PL_TRAINER_LIMIT_TRAIN_BATCHES": "1",  # ignored here: only config checks refuse it
}


@pytest.mark.slow
def test_environment_variables_and_flags_do_not_change_metrics(trained: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = trained("regularizer=dropout")
    for name, value in CLUSTER.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MKL_CBWR", "AUTO")
    torch.set_default_dtype(torch.float64)
    torch.backends.cudnn.benchmark = True
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(2)
    try:
        again, _ = trained("regularizer=dropout")
        assert not torch.backends.cudnn.benchmark
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)
    assert metrics_without_times(again) == metrics_without_times(plain)
    assert os.environ["PL_TRAINER_LIMIT_TRAIN_BATCHES"] == "1"


FLAGS = """
import torch
from torch import nn

torch.set_float32_matmul_precision("medium")
torch.set_num_threads(2)

class Net(nn.Sequential):
    def __init__(self, input_shape, outputs):
        super().__init__(nn.Linear(input_shape[0], outputs))
"""


@pytest.mark.slow
def test_process_flags_set_by_a_user_module_are_restored_and_reported(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sets_flags.py").write_text(FLAGS)
    monkeypatch.chdir(tmp_path)
    first, tags = trained("model=torch", "model.target=sets_flags.Net")
    assert "matrix products, the number of threads" in tags["remark"]
    assert (torch.get_float32_matmul_precision(), torch.get_num_threads()) == ("highest", 1)
    again, tags = trained("model=torch", "model.target=sets_flags.Net")  # imported once
    assert "remark" not in tags
    assert metrics_without_times(again) == metrics_without_times(first)


CHECKPOINTED = """
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

class Net(nn.Module):
    def __init__(self, input_shape, outputs, saves_memory=False, reentrant=False):
        super().__init__()
        self.first, self.last = nn.Linear(input_shape[0], 8), nn.Linear(8, outputs)
        self.block = nn.Sequential(nn.Tanh(), nn.Linear(8, 8), nn.Tanh())
        self.saves_memory, self.reentrant = saves_memory, reentrant

    def forward(self, x):
        h = self.first(x)
        if self.saves_memory:
            return self.last(checkpoint(self.block, h, use_reentrant=self.reentrant))
        return self.last(self.block(h))
"""


@pytest.mark.slow
def test_a_network_with_activation_checkpointing_gives_the_same_run(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saves_memory.py").write_text(CHECKPOINTED)
    monkeypatch.chdir(tmp_path)
    own = ["model=torch", "model.target=saves_memory.Net", "regularizer=[drop_connect,dropout]"]
    plain, _ = trained(*own)
    for reentrant in ("true", "false"):
        again, _ = trained(*own, f"model.args={{saves_memory:true,reentrant:{reentrant}}}")
        assert metrics_without_times(again) == pytest.approx(metrics_without_times(plain), rel=1e-5)
