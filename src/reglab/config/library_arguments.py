"""Arguments of Lightning's Trainer and of torch's optimizers and schedulers that are refused, and why.

Every argument of the Trainer is in `REFUSED` or in `reglab.schema.keys.TRAINER`.
"""

from collections.abc import Mapping
from typing import Any

from reglab.schema.constraints import Real
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.keys import TRAINER
from reglab.schema.text import format_value

_ONE_DEVICE = "a run trains on one device in one process; leave it out (workers=N trains N runs of a sweep at once)"
_TRACKED = "MLflow stores metrics, weights and configs; leave it out"
_SMALL_DATA = "the data is in memory and is loaded once; leave it out"
REFUSED: dict[str, str] = {
    **dict.fromkeys(
        ("devices", "num_nodes", "strategy", "use_distributed_sampler", "sync_batchnorm", "plugins"), _ONE_DEVICE
    ),
    **dict.fromkeys(
        (
            "logger",
            "log_every_n_steps",
            "default_root_dir",
            "enable_checkpointing",
            "enable_autolog_hparams",
            "model_registry",
        ),
        _TRACKED,
    ),
    "callbacks": "the strategy's regularizers are the callbacks; choose them by regularizer=NAME",
    "enable_progress_bar": "use trainer.progress",
    "enable_model_summary": "the size of the model is tracked as model/parameters; leave it out",
    "num_sanity_val_steps": "the model is checked on the data before training; leave it out",
    "fast_dev_run": "use trainer=fast",
    "overfit_batches": "use data.train_size=ROWS, which trains on a few rows",
    "limit_predict_batches": "a run has no prediction stage; use trainer.limit_test_batches",
    "val_check_interval": "runs are evaluated after whole epochs; use trainer.check_val_every_n_epoch",
    "max_time": "the result would depend on the machine's speed; use trainer.max_epochs or trainer.max_steps",
    "reload_dataloaders_every_n_epochs": _SMALL_DATA,
    "profiler": "use a profiler of the whole process, as in python -m cProfile pipelines/train.py",
    "barebones": "it disables the evaluations that select the best weights; leave it out",
}
"""Arguments of Lightning's Trainer that a run does not take, with the remedy."""


def check_trainer(trainer: Mapping[str, Any]) -> None:
    """Refuse values that do not fit, and those that would be ignored.

    Raises:
        ConfigError: names the key, the value and the remedy.
    """
    for key in trainer:
        if key in REFUSED:
            raise ConfigError(Setting(f"trainer.{key}", trainer[key]), "not a setting of a run", REFUSED[key])
        if key in TRAINER:
            TRAINER[key].check(f"trainer.{key}", trainer[key])
    if trainer.get("gradient_clip_algorithm", "norm") != "norm" and trainer.get("gradient_clip_val") is None:
        raise ConfigError(
            Setting("trainer.gradient_clip_algorithm", trainer["gradient_clip_algorithm"]),
            "nothing is clipped",
            "set trainer.gradient_clip_val",
        )
    for least, most in (("min_epochs", "max_epochs"), ("min_steps", "max_steps")):
        low, high = trainer.get(least), trainer.get(most)
        if low is not None and high not in (None, -1) and low > high:
            raise ConfigError(
                Setting(f"trainer.{least}", low), f"training ends with trainer.{most}={high}", f"raise trainer.{most}"
            )
    if trainer.get("deterministic") and trainer.get("benchmark"):
        raise ConfigError(
            Setting("trainer.benchmark", True), "is ignored with trainer.deterministic=true", "choose one of them"
        )


_REFUSED_OPTIMIZER = {
    "maximize": "training minimizes the loss",
    "capturable": "is for CUDA graphs, which are not used",
    "differentiable": "is for gradients through optimizer steps, which are not used",
}


def check_optimizer(optimizer: Mapping[str, Any]) -> None:
    """Refuse arguments of torch's optimizers that would be ignored, or that would not train.

    Raises:
        ConfigError: names the key, the value and the remedy.
    """
    for key, why in _REFUSED_OPTIMIZER.items():
        if optimizer.get(key) not in (False, None):
            raise ConfigError(Setting(f"optimizer.{key}", optimizer[key]), why, "leave it out")
    if "dampening" in optimizer:
        Real().check("optimizer.dampening", optimizer["dampening"])
    momentum, dampening = optimizer.get("momentum") or 0, optimizer.get("dampening") or 0
    if dampening and not momentum:
        raise ConfigError(
            Setting("optimizer.dampening", dampening), "has no effect without momentum", "set momentum, too"
        )
    if optimizer.get("nesterov") and (not momentum or dampening):
        raise ConfigError(Setting("optimizer.nesterov", True), "needs optimizer.momentum above 0, and no dampening")
    if optimizer.get("foreach") and optimizer.get("fused"):
        raise ConfigError(
            Setting("optimizer.foreach", True), "cannot be combined with optimizer.fused=true", "leave one of them out"
        )


_OWN_RATES = ("OneCycleLR", "CyclicLR")  # torch's schedulers that replace the optimizer's settings


def check_scheduler(scheduler: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
    """Refuse keys that no scheduler reads, and schedulers that replace the optimizer's or need more than the step.

    Raises:
        ConfigError: names the key, the value and the remedy.
    """
    target = scheduler.get("_target_")
    if target is None:
        for key in scheduler:
            if key not in ("name", "_target_"):
                raise ConfigError(
                    Setting(f"scheduler.{key}", scheduler[key]), "no scheduler is chosen", "add scheduler=cosine"
                )
        return
    if scheduler.get("last_epoch", -1) != -1:
        raise ConfigError(
            Setting("scheduler.last_epoch", scheduler["last_epoch"]), "runs start at step 0", "leave it out"
        )
    if str(target).endswith(".ReduceLROnPlateau"):
        raise ConfigError(
            Setting("scheduler._target_", "ReduceLROnPlateau"),
            "needs a metric at each step",
            "use a scheduler that depends on the step only, such as scheduler=cosine",
        )
    name = str(target).rpartition(".")[2]
    if name in _OWN_RATES and scheduler.get("max_lr") != optimizer.get("lr"):
        raise ConfigError(
            Setting("scheduler.max_lr", scheduler.get("max_lr")),
            f"{name} uses it instead of optimizer.lr={format_value(optimizer.get('lr'))}",
            "set scheduler.max_lr=${optimizer.lr}",
        )
    if name in _OWN_RATES and "cycle_momentum" not in scheduler:
        raise ConfigError(
            "scheduler.cycle_momentum",
            f"missing; by default {name} replaces the optimizer's momentum",
            "set it, as in +scheduler.cycle_momentum=false",
        )
