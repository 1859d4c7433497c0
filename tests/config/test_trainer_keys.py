"""Settings of Trainer, optimizer and scheduler, and environment variables: each has an effect or is refused."""

import inspect

import pytest

from reglab.cli import prepare_arguments
from reglab.config.check_run import check
from reglab.config.environment_variables import RECORDED, check_environment, recorded_variables
from reglab.config.library_arguments import REFUSED, TRAINER
from reglab.schema.errors import ConfigError
from tests.errors import check_error, config_error


def refusal(*typed: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        prepare_arguments(list(typed), "train", check)
    return caught.value


def test_every_argument_of_lightnings_trainer_is_declared_once() -> None:
    import pytorch_lightning as pl

    arguments = set(inspect.signature(pl.Trainer).parameters)
    assert arguments == (set(TRAINER) | set(REFUSED)) - {"threads", "progress"}
    assert not set(TRAINER) & set(REFUSED)


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(REFUSED))
@pytest.mark.parametrize("value", ["1", "null", "{}"])
def test_trainer_arguments_that_a_run_does_not_support_are_refused_with_a_remedy(key: str, value: str) -> None:
    error = refusal(f"+trainer.{key}={value}")
    assert (error.key, str(error.where)) == (f"trainer.{key}", f"trainer.{key}={value}")
    assert error.problem
    assert error.remedy


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("trainer.gradient_clip_algorithm=value", "trainer.gradient_clip_algorithm=value: nothing"),
        ("+trainer.min_epochs=30", "trainer.min_epochs=30: trainer.max_epochs=20"),
        ("+trainer.min_steps=30 trainer.max_steps=3", "trainer.min_steps=30: trainer.max_steps=3"),
        ("trainer.deterministic=true +trainer.benchmark=true", "trainer.benchmark=true: is ignored"),
        ("trainer.threads=1000000", "trainer.threads=1000000: from 1 to 1024"),
        ("trainer.limit_test_batches=0", "trainer.limit_test_batches=0: must be"),
        ("trainer.limit_train_batches=1.5", "trainer.limit_train_batches=1.5: must be"),
        ("+optimizer.maximize=true", "optimizer.maximize=true: training minimizes"),
        ("+optimizer.capturable=true", "optimizer.capturable=true: "),
        ("+optimizer.differentiable=1", "optimizer.differentiable=1: "),
        ("optimizer=sgd +optimizer.dampening=.5", "optimizer.dampening=0.5: without momentum"),
        ("optimizer=sgd +optimizer.dampening=x", "optimizer.dampening=x: finite number"),
        ("optimizer=sgd optimizer.nesterov=true", "optimizer.nesterov=true: optimizer.momentum"),
        ("+optimizer.foreach=true +optimizer.fused=true", "optimizer.foreach=true: "),
        ("+scheduler.eta_min=1", "scheduler.eta_min=1: no scheduler is chosen"),
        ("scheduler=cosine +scheduler.last_epoch=3", "scheduler.last_epoch=3: runs start at step 0"),
        (
            "scheduler=cosine scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau ~scheduler.eta_min",
            "scheduler._target_=ReduceLROnPlateau: metric",
        ),
        (
            "scheduler=cosine scheduler._target_=torch.optim.lr_scheduler.OneCycleLR ~scheduler.eta_min "
            "+scheduler.max_lr=.1",
            "scheduler.max_lr=0.1: 0.001 ... ${optimizer.lr}",
        ),
        (
            "scheduler=cosine scheduler._target_=torch.optim.lr_scheduler.OneCycleLR ~scheduler.eta_min "
            "+scheduler.max_lr=${optimizer.lr}",
            "scheduler.cycle_momentum: missing",
        ),
    ],
)
def test_settings_without_effect_are_refused(typed: str, expected: str) -> None:
    check_error(refusal(*typed.split()), expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("PL_TRAINER_MAX_TIME", "00:00:00:01", "unset it"),
        ("PL_TRAINER_LIMIT_TRAIN_BATCHES", "1", "unset it, and set trainer.limit_train_batches"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1", "unset it"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "bf16", "unset it"),
    ],
)
def test_variables_that_change_numbers_are_refused(
    name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    error = refusal("trainer=fast")
    assert str(error.where) == f"{name}={value}"
    assert remedy in error.remedy


def test_several_processes_are_refused_and_a_slurm_allocation_passes() -> None:
    with config_error("WORLD_SIZE=2: one process"):
        check_environment({"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"})
    check_environment({"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "PL_TRAINER_MAX_TIME": ""})
    check_environment({"SLURM_NTASKS": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "work", "SLURM_PROCID": "0"})
    check_environment({"TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "0", "ONEDNN_DEFAULT_FPMATH_MODE": "strict"})


def test_variables_that_change_rounding_are_recorded() -> None:
    recorded = recorded_variables({"MKL_CBWR": "COMPATIBLE", "HOME": "/home/someone", "ATEN_CPU_CAPABILITY": ""})
    assert recorded == {"MKL_CBWR": "COMPATIBLE"}
    assert "LD_PRELOAD" not in RECORDED  # a path on the machine
