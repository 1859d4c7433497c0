"""Train and track one run from its config."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from reglab.config.identity import config_hash, strategy
from reglab.exits import all_are_errors, exits_are_errors
from reglab.models.own import check_known_imports
from reglab.schema.errors import InProgress, PlanOutdated
from reglab.stopping import defer_signals, prefer_stopped, stoppable
from reglab.streams import note
from reglab.tracking.queries import Record, mark_dead_runs_killed, reusable
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from reglab.training import build, run_record
from reglab.training.callbacks import EpochBar, EvaluationReporter, ScheduledStrengths
from reglab.training.effect_guard import check_effects_on_data
from reglab.training.fit import Fit
from reglab.training.initial_weights import init_hash
from reglab.training.model_data_checks import check_fit
from reglab.training.run_caveats import (
    averaging_caveats,
    double_counting_caveats,
    non_finite_caveats,
    off_caveats,
    too_short_caveats,
)
from reglab.training.trainer import make_trainer, max_steps_and_evaluations, set_threads
from reglab.training.weights import trainable_state, weight_metrics
from reglab.user_code.importing import unknown_imports


@dataclass(frozen=True)
class RunResult:
    """Result of a run.

    Attributes:
        run_id: id of the tracked run.
        strategy: value of the tag `strategy`.
        metrics: test metrics and metrics of the tested weights, by tracked name.
        seconds: wall time, including tracking.
        reused: the run was FINISHED before, and nothing was trained.
    """

    run_id: str
    strategy: str
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False


_DATA_LIMITS = ("limit_val_batches", "limit_test_batches")  # applied by the data, whose evaluation batches are larger


def run(cfg: DictConfig, overrides: Sequence[str] = ()) -> RunResult:
    """Train one composed config and track it; with `resume`, reuse a FINISHED run with the same config hash.

    Args:
        cfg: a checked config, resolvable.
        overrides: overrides of the config, stored for a rerun.

    Raises:
        ConfigError: an error that only data or model show; the run is FAILED.
        InProgress: with `resume`, another process is training the config; no run was opened. Two hosts that start at
            the same moment with one server may both train it.
        Diverged: the loss is not finite; the run is FAILED.
        ExitCalled: the network's code called ``sys.exit`` or ``os._exit``; the run is FAILED.
        NonExceptionRaised: the network's code raised an exception that is not an ``Exception``; the run is FAILED.
        Stopped: SIGINT or SIGTERM; the run is KILLED.

    Exceptions raised while a run is open have its id as the attribute ``run_id``.
    """
    started = time.perf_counter()
    store = open_store(cfg.tracking.uri, cfg.tracking.experiment)
    if cfg.tracking.phase == "single":  # a sweep calls it once for all its runs
        mark_dead_runs_killed(store)
    with stoppable(), ExitStack() as stack:
        fields = _run_fields(cfg)
        opened = _reuse_or_open(store, config_hash(cfg), fields, stack) if cfg.resume else _open(store, fields, stack)
        if isinstance(opened, Record):
            return RunResult(opened.run_id, strategy(cfg), dict(opened.metrics), reused=True)
        set_threads(int(cfg.trainer.threads))
        run_record.log_recipe(opened, cfg, overrides)
        with prefer_stopped(), exits_are_errors(), all_are_errors():
            metrics = _train(cfg, opened, fields["tags"]["config_hash"])
    return RunResult(opened.id, strategy(cfg), metrics, time.perf_counter() - started)


def _run_fields(cfg: DictConfig) -> dict[str, Any]:
    """Return the arguments of `TrackedRun.open`."""
    return {
        "name": run_record.run_name(cfg),
        "tags": run_record.tags(cfg),
        "params": run_record.params(cfg),
        "parent": cfg.tracking.parent,
    }


def _reuse_or_open(store: Store, identity: str, fields: Mapping[str, Any], stack: ExitStack) -> TrackedRun | Record:
    """Return a new run, or the FINISHED run with the same config hash; of concurrent processes one opens a run.

    Raises:
        InProgress: another process is training the config.
    """
    with store.lock():
        existing = reusable(store, identity)
        if existing is None:
            return _open(store, fields, stack)
    if existing.status != "FINISHED":
        raise InProgress(existing.run_id)
    return existing


def _open(store: Store, fields: Mapping[str, Any], stack: ExitStack) -> TrackedRun:
    with defer_signals():  # until the stack is responsible for closing it
        tracked = TrackedRun.open(store, **fields)

        def add_run_id(_kind: object, error: BaseException | None, _trace: object) -> None:
            if error is not None:
                error.run_id = tracked.id  # type: ignore[attr-defined]

        stack.push(add_run_id)
        return stack.enter_context(tracked)


def _train(cfg: DictConfig, tracked: TrackedRun, identity: str) -> dict[str, float]:
    """Build, train and test a run; return its final metrics."""
    data = build.build_data(cfg)
    model = build.build_model(cfg, data)
    check_fit(cfg, model, data)
    if config_hash(cfg) != identity:
        raise PlanOutdated
    if "target" in cfg.model:
        check_known_imports(cfg.model.target)
    tracked.set_tags(
        {
            "task": data.kind,
            "rows": str(data.rows),
            "test_rows": str(data.test_rows),
            "split_hash": data.split_hash,
            "order_hash": data.order_hash,
            "init_hash": init_hash(model),
        }
    )
    for path, text in data.files().items():
        tracked.log_text(text, path)
    # A sweep or study prints the notes of the data once for all runs.
    _record(tracked, "data_remark", data.notes, show=cfg.tracking.phase == "single")
    regularizers, caveats = build.build_with_caveats(cfg, model, data)
    if changed := set_threads(int(cfg.trainer.threads)):  # at import or in a constructor: later runs would differ
        caveats.append(f"the code of data or model sets {', '.join(changed)} for the whole process; it was reset")
    show = not cfg.tracking.get("study")  # a study prints caveats once for all runs of an arm
    fit = Fit(model, build.build_task(cfg, data), regularizers)
    schedules = build.build_schedules(cfg, fit.regularizers)  # type: ignore[arg-type]
    _record(tracked, "double_counting", double_counting_caveats(cfg, fit.regularizers, model), show=show)  # type: ignore[arg-type]
    ineffective = off_caveats(fit.regularizers, schedules, cfg.trainer.max_epochs)  # type: ignore[arg-type]
    steps, evaluations = max_steps_and_evaluations(cfg, len(data.train_dataloader()))
    ineffective += too_short_caveats(fit.regularizers, steps, evaluations)  # type: ignore[arg-type]
    _record(tracked, "no_effect", ineffective, show=show)
    parts = ("val", "train") if data.val_rows else ("train",)
    regularizer_callbacks = [callback for r in fit.regularizers for callback in r.callbacks()]  # type: ignore[operator]
    module = build.build_module(cfg, fit, parts)
    reporter = EvaluationReporter(tracked.log_metrics)
    bar = [EpochBar(run_record.run_name(cfg))] if cfg.trainer.progress else []
    settings = {key: value for key, value in build.to_plain_dict(cfg.trainer).items() if key not in _DATA_LIMITS}
    trainer = make_trainer(settings, [ScheduledStrengths(schedules), reporter, *regularizer_callbacks, *bar])
    data.move_to(trainer.strategy.root_device)
    fit.to(trainer.strategy.root_device)
    caveats += check_effects_on_data(fit, data)
    _record(tracked, "remark", caveats, show=show)

    validation = data.val_dataloader() or [data.train_eval_dataloader()]
    trainer.fit(module, train_dataloaders=data.train_dataloader(), val_dataloaders=validation)
    if module.evaluated_step != trainer.global_step:  # max_steps ended inside an epoch, or between evaluations
        trainer.validate(module, validation, verbose=False)
    last = {name: tensor.clone() for name, tensor in trainable_state(model).items()}
    module.restore_best()

    metrics = {f"best/{name}": value for name, value in module.best_metrics.items() if name.startswith("val/")}
    if module.best is not None:
        metrics["best/step"] = float(module.best_step)
    tested = module.best_step if module.best is not None else trainer.global_step
    _record(tracked, "not_averaged", averaging_caveats(regularizer_callbacks, tested), show=show)
    loaders = {"test": data.test_dataloader(), "train": data.train_eval_dataloader()} if data.test_rows else {}
    if module.best is not None:
        loaders["val"] = data.val_dataloader()[0]
    if loaders:
        module.tested_parts = tuple(loaders)
        trainer.test(module, list(loaders.values()), verbose=False)
        metrics |= module.metrics
    metrics |= {"time/train_s": reporter.train_s, "time/step_ms": reporter.step_ms, "time/epochs": reporter.epochs}
    batch = trainer.precision_plugin.convert_input(next(iter(data.train_eval_dataloader())))
    metrics |= weight_metrics(model, fit.task, batch)
    _record(tracked, "not_finite", non_finite_caveats(metrics), show=show)
    tracked.log_metrics(metrics, trainer.current_epoch)
    unknown_code = [
        f"{name} was imported by a computed name: its code is not part of this run's identity"
        for name in (unknown_imports() if "target" in cfg.model else ())
    ]
    _record(tracked, "unknown_code", unknown_code, show=show)
    weight_names = {"both": ("best", "last"), "best": ("best",), "none": ()}[cfg.tracking.weights]
    run_record.log_weights(
        tracked, {name: {"best": trainable_state(model), "last": last}[name] for name in weight_names}
    )
    return metrics


def _record(tracked: TrackedRun, tag: str, messages: Sequence[str], *, show: bool) -> None:
    """Set a tag to the messages, if there are any, and print each if `show`."""
    if messages:
        tracked.set_tags({tag: "; ".join(messages)})
    if show:
        for message in messages:
            note(f"note: {message}")
