"""One attempt at a run: errors become outcomes; a lost store and runs of other processes are recognized."""

import pytest
from omegaconf import DictConfig

from reglab.config.identity import config_hash
from reglab.execution import attempt as attempts
from reglab.execution.attempt import FirstFailure, Outcome, StoreUnavailable, WorkerTask, attempt, error_line, run_line
from reglab.schema.errors import ConfigError, InProgress, Setting, StoreLost
from reglab.training import run as training
from tests.conftest import Compose


def attempt_that_raises(cfg: DictConfig, error: Exception, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr(training, "run", run)
    return attempt(cfg, [], config_hash(cfg), "none seed=0")


@pytest.mark.slow
def test_an_error_becomes_part_of_the_outcome(compose_cfg: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    error = ConfigError(Setting("data.batch_size", 4), "is too large")
    error.run_id = "abc"  # type: ignore[attr-defined]  # set by a tracked run
    outcome = attempt_that_raises(compose_cfg(), error, monkeypatch)
    assert (outcome.error, outcome.run_id) == ("data.batch_size=4: is too large", "abc")
    assert not outcome.out_of_memory
    assert not outcome.in_progress


def test_lack_of_memory_is_marked(compose_cfg: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = attempt_that_raises(compose_cfg(), MemoryError("16 GiB"), monkeypatch)
    assert outcome.out_of_memory
    assert outcome.error is not None
    assert "data.batch_size" in outcome.error


def test_a_run_of_another_process_is_in_progress(compose_cfg: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = attempt_that_raises(compose_cfg(), InProgress("other"), monkeypatch)
    assert (outcome.in_progress, outcome.run_id, outcome.error) == (True, "other", None)


def test_a_lost_store_ends_all_runs(compose_cfg: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreUnavailable) as lost:
        attempt_that_raises(compose_cfg(), StoreLost("refused"), monkeypatch)
    assert lost.value.cause == "refused"


def test_a_changed_config_is_not_trained(compose_cfg: Compose) -> None:
    outcome = attempt(compose_cfg(), [], "another identity", "none seed=0")
    assert outcome.error is not None
    assert "changed" in outcome.error


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (Outcome("h", "none", error="broken", seconds=2.0), "FAILED: broken  2.0 s"),
        (Outcome("h", "none", metrics={"test/loss": 0.5, "test/rmse": 1.5}), "test/rmse 1.5000  0.0 s"),
        (Outcome("h", "none", metrics={"test/loss": 0.5}, reused=True), "test/loss 0.5000  by another process"),
        (Outcome("h", "none", in_progress=True), "another process is training it; its result is awaited at the end"),
        (Outcome("h", "none"), "done  0.0 s"),
    ],
)
def test_the_line_of_a_run(outcome: Outcome, end: str) -> None:
    line = run_line(outcome, 3, 120, None)
    assert line.startswith("[  3/120] none  ")
    assert line.endswith(end)


@pytest.mark.parametrize(("out_of_memory", "retried"), [(False, False), (True, False), (True, True)])
def test_fail_fast_ends_at_the_first_failure_that_is_not_retried(
    compose_cfg: Compose, monkeypatch: pytest.MonkeyPatch, out_of_memory: bool, retried: bool
) -> None:
    cfg = compose_cfg()
    failed = Outcome(config_hash(cfg), "none", error="broken", out_of_memory=out_of_memory)
    monkeypatch.setattr(attempts, "attempt", lambda *_: failed)
    task = WorkerTask({failed.config_hash: (1, "none", ())}, 1, 0, None, fail_fast=True, retry_memory=retried)
    if retried:
        assert task(cfg).out_of_memory
    else:
        with pytest.raises(FirstFailure) as failure:
            task(cfg)
        assert failure.value.outcome.error == "broken"


def test_a_worker_returns_only_the_metrics_that_a_sweep_needs(
    compose_cfg: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = compose_cfg()
    metrics = {"test/loss": 0.5, "test/accuracy": 0.9, "time/train_s": 1.0}
    done = Outcome(config_hash(cfg), "none", "abc", metrics=metrics)
    monkeypatch.setattr(attempts, "attempt", lambda *_: done)
    task = WorkerTask({done.config_hash: (1, "none", ())}, 1, 0, "test/loss", fail_fast=False)
    assert task(cfg).metrics == {"test/loss": 0.5, "time/train_s": 1.0}


def test_a_long_message_is_cut() -> None:
    assert len(error_line(ConfigError("", "x " * 900))) <= 1000
    assert error_line(ValueError("a\nb")).startswith("ValueError: a")
