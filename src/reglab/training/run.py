"""Config in, trained and tracked run out."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from omegaconf import DictConfig

from reglab.config.identity import config_hash, strategy
from reglab.exits import all_are_errors, exits_are_errors
from reglab.models.own import check_foreseen
from reglab.schema.errors import Changed, InProgress
from reglab.stopping import defer_signals, stop_wins, stoppable
from reglab.streams import note
from reglab.tracking.queries import Record, mark_dead_runs_killed, reusable
from reglab.tracking.run import TrackedRun
from reglab.tracking.store import Store, open_store
from reglab.training import build, describe, files
from reglab.training.callbacks import EpochBar, Strengths, Watch
from reglab.training.effects import effects
from reglab.training.fit import Fit
from reglab.training.initial import init_hash
from reglab.training.notes import double_counting, no_effect, not_averaged, not_finite, too_short
from reglab.training.trainer import make_trainer, set_threads
from reglab.training.trial import check_fit
from reglab.training.weights import trained
from reglab.user_code.importing import unforeseen


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        run_id: of the tracked run.
        strategy: as tagged.
        metrics: the figures of the test and of the tested weights, by their tracked names.
        seconds: wall time, tracking included.
        reused: it was FINISHED before, and nothing was trained.
    """

    run_id: str
    strategy: str
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False


_LIMITED = ("limit_val_batches", "limit_test_batches")  # by the data, whose batches of evaluation are larger


def run(cfg: DictConfig, overrides: Sequence[str] = ()) -> Result:
    """Trains one composed config and tracks it; with `resume` only where no other run of its identity is, or will be.

    Args:
        cfg: a checked config, resolvable.
        overrides: the ones that made it, stored for a rerun.

    Raises:
        ConfigError: what only data or model could show is wrong; the run is FAILED.
        InProgress: with `resume`, another process is training it (on another host with the same server it can slip by
            unseen where both begin at the same moment); no run was opened.
        Diverged: the loss stopped being finite; the run is FAILED.
        Exited: the network's code called ``sys.exit`` or ``os._exit``; the run is FAILED.
        Raised: it raised an exception that is no ``Exception``; the run is FAILED.
        Stopped: SIGINT or SIGTERM; the run is KILLED.

    Every exception that leaves an open run has its id as the attribute ``run_id``.
    """
    began = time.perf_counter()
    store = open_store(cfg.tracking.uri, cfg.tracking.experiment)
    if cfg.tracking.phase == "single":  # a sweep has done it once for all
        mark_dead_runs_killed(store)
    with stoppable(), ExitStack() as stack:
        known = _known(cfg)
        opened = _claimed(store, config_hash(cfg), known, stack) if cfg.resume else _opened(store, known, stack)
        if isinstance(opened, Record):
            return Result(opened.run_id, strategy(cfg), dict(opened.metrics), reused=True)
        set_threads(int(cfg.trainer.threads))
        files.log_recipe(opened, cfg, overrides)
        with stop_wins(), exits_are_errors(), all_are_errors():
            metrics = _train(cfg, opened, known["tags"]["config_hash"])
    return Result(opened.id, strategy(cfg), metrics, time.perf_counter() - began)


def _known(cfg: DictConfig) -> dict[str, Any]:
    """What a run is opened with."""
    return {
        "name": describe.run_name(cfg),
        "tags": describe.tags(cfg),
        "params": describe.params(cfg),
        "parent": cfg.tracking.parent,
    }


def _claimed(store: Store, identity: str, known: Mapping[str, Any], stack: ExitStack) -> TrackedRun | Record:
    """A new run, or the FINISHED one of the same identity: of several processes that ask at once, one gets the run."""
    with store.lock():
        before = reusable(store, identity)
        if before is None:
            return _opened(store, known, stack)
    if before.status != "FINISHED":
        raise InProgress(before.run_id)
    return before


def _opened(store: Store, known: Mapping[str, Any], stack: ExitStack) -> TrackedRun:
    with defer_signals():  # until the stack will close it
        tracked = TrackedRun.open(store, **known)

        def name_it(_kind: object, error: BaseException | None, _trace: object) -> None:
            if error is not None:
                error.run_id = tracked.id  # type: ignore[attr-defined]

        stack.push(name_it)
        return stack.enter_context(tracked)


def _train(cfg: DictConfig, tracked: TrackedRun, identity: str) -> dict[str, float]:
    data = build.build_data(cfg)
    model = build.build_model(cfg, data)
    check_fit(cfg, model, data)
    if config_hash(cfg) != identity:
        raise Changed
    if "target" in cfg.model:
        check_foreseen(cfg.model.target)
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
    # A sweep or study has printed what concerns the data once for all runs.
    _note(tracked, "data_remark", data.notes, aloud=cfg.tracking.phase == "single")
    regularizers, remarks = build.remarked(cfg, model, data)
    if changed := set_threads(int(cfg.trainer.threads)):  # at import or in a constructor: the next run would differ
        remarks.append(f"the code of data or model sets {', '.join(changed)} for the whole process; it was set back")
    aloud = not cfg.tracking.get("study")  # a study has told it once for all runs of a kind
    fit = Fit(model, build.build_task(cfg, data), regularizers)
    schedules = build.build_schedules(cfg, fit.regularizers)  # type: ignore[arg-type]
    _note(tracked, "double_counting", double_counting(cfg, fit.regularizers, model), aloud=aloud)  # type: ignore[arg-type]
    idle = no_effect(fit.regularizers, schedules, cfg.trainer.max_epochs)  # type: ignore[arg-type]
    steps, evaluations = describe.longest(cfg, len(data.train_dataloader()))
    idle += too_short(fit.regularizers, steps, evaluations)  # type: ignore[arg-type]
    _note(tracked, "no_effect", idle, aloud=aloud)
    parts = ("val", "train") if data.val_rows else ("train",)
    methods = [callback for r in fit.regularizers for callback in r.callbacks()]  # type: ignore[operator]
    module = build.build_module(cfg, fit, parts)
    watch = Watch(tracked.log_metrics)
    bar = [EpochBar(describe.run_name(cfg))] if cfg.trainer.progress else []
    settings = {key: value for key, value in build.plain(cfg.trainer).items() if key not in _LIMITED}
    trainer = make_trainer(settings, [Strengths(schedules), watch, *methods, *bar])
    data.place(trainer.strategy.root_device)
    fit.to(trainer.strategy.root_device)
    remarks += build.check_effects(fit, data)
    _note(tracked, "remark", remarks, aloud=aloud)

    watched = data.val_dataloader() or [data.train_eval_dataloader()]
    trainer.fit(module, train_dataloaders=data.train_dataloader(), val_dataloaders=watched)
    if module.evaluated_step != trainer.global_step:  # max_steps ended inside an epoch, or between evaluations
        trainer.validate(module, watched, verbose=False)
    last = {name: tensor.clone() for name, tensor in trained(model).items()}
    module.restore_best()

    metrics = {f"best/{name}": value for name, value in module.best_figures.items() if name.startswith("val/")}
    if module.best is not None:
        metrics["best/step"] = float(module.best_step)
    tested = module.best_step if module.best is not None else trainer.global_step
    _note(tracked, "not_averaged", not_averaged(methods, tested), aloud=aloud)
    loaders = {"test": data.test_dataloader(), "train": data.train_eval_dataloader()} if data.test_rows else {}
    if module.best is not None:
        loaders["val"] = data.val_dataloader()[0]
    if loaders:
        module.tested_parts = tuple(loaders)
        trainer.test(module, list(loaders.values()), verbose=False)
        metrics |= module.figures
    metrics |= {"time/train_s": watch.train_s, "time/step_ms": watch.step_ms, "time/epochs": watch.epochs}
    batch = trainer.precision_plugin.convert_input(next(iter(data.train_eval_dataloader())))
    metrics |= effects(model, fit.task, batch)
    _note(tracked, "not_finite", not_finite(metrics), aloud=aloud)
    tracked.log_metrics(metrics, trainer.current_epoch)
    late = [
        f"{name} was imported by a computed name: its code is not part of this run's identity"
        for name in (unforeseen() if "target" in cfg.model else ())
    ]
    _note(tracked, "unknown_code", late, aloud=aloud)
    kept = {"both": ("best", "last"), "best": ("best",), "none": ()}[cfg.tracking.weights]
    files.log_weights(tracked, {name: {"best": trained(model), "last": last}[name] for name in kept})
    return metrics


def _note(tracked: TrackedRun, tag: str, sentences: Sequence[str], *, aloud: bool) -> None:
    if sentences:
        tracked.set_tags({tag: "; ".join(sentences)})
    if aloud:
        for sentence in sentences:
            note(f"note: {sentence}")
