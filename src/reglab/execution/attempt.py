"""One run of a sweep, wherever it is placed: its outcome, and the line that tells of it."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from omegaconf import DictConfig

from reglab.config.identity import config_hash
from reglab.config.selection import tidy
from reglab.own_code import described
from reglab.schema.errors import Changed, ConfigError, InProgress, StoreLost, is_out_of_memory
from reglab.stopping import Stopped, exit_at_once
from reglab.streams import write_line
from reglab.tracking.place import place_error
from reglab.wording import shorten


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        config_hash: the job's identity.
        label: what tells it from its siblings.
        run_id: of its tracked run, here or in another process; None where it failed before one was opened.
        error: the first line of what went wrong; None where the run is FINISHED.
        metrics: figures by tracked name; of a run in another process only the one it is judged by and its time.
        seconds: wall time.
        reused: another process has finished it since the sweep began.
        in_progress: another process is training it: what will come of it is not known yet.
        out_of_memory: it failed for lack of memory, which other runs beside it may have taken.
    """

    config_hash: str
    label: str
    run_id: str | None = None
    error: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    reused: bool = False
    in_progress: bool = False
    out_of_memory: bool = False


class FirstFailure(BaseException):
    """With fail_fast=true: a run failed, and the others are not wanted any more. Not an Exception, so that every
    launcher lets it through."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class NoStore(BaseException):
    """The tracking store is gone, so that no further run could be kept either. Passes launchers like `FirstFailure`."""


def attempt(cfg: DictConfig, overrides: Sequence[str], identity: str, label: str) -> Outcome:
    """Trains one config; an error becomes part of the outcome, a signal passes through.

    Raises:
        NoStore: it failed, and the store does not answer.
    """
    from reglab.training.run import run

    began = time.perf_counter()
    try:
        if config_hash(cfg) != identity:
            raise Changed
        result = run(cfg, overrides)
    except InProgress as other:
        return Outcome(identity, label, other.by, in_progress=True)
    except Exception as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            import traceback

            traceback.print_exc()
        if isinstance(error, StoreLost):
            raise NoStore(error.cause) from error
        if (gone := place_error(cfg.tracking.uri)) is not None:
            raise NoStore(str(gone)) from gone
        run_id, memory, seconds = getattr(error, "run_id", None), is_out_of_memory(error), time.perf_counter() - began
        line = first_line(error) if not memory else f"out of memory ({shorten(first_line(error), 200)}); {_SMALLER}"
        return Outcome(identity, label, run_id, line, seconds=seconds, out_of_memory=memory)
    return Outcome(identity, label, result.run_id, None, dict(result.metrics), result.seconds, result.reused)


_SMALLER = "use a smaller data.batch_size or model, or fewer workers"


def first_line(error: BaseException) -> str:
    """Return the error in one line.

    Messages that were not written for users are preceded by the exception's type, and by the line of the user's code
    that raised it.
    """
    if isinstance(error, ConfigError):
        return (str(error).strip().splitlines() or [""])[0][:1000]
    return described(error)[:1000]


@dataclass(frozen=True)
class Place:
    """What a Hydra launcher runs in its worker. All it needs travels with it.

    Attributes:
        jobs: number, label and overrides of every job, by identity.
        total: number of jobs that the sweep declares.
        pid: of the process that launches.
        metric: what the line of a run shows; None for the usual one.
        fail_fast: the first failure ends all.
        again: a run that is out of memory is trained again by itself.
    """

    jobs: Mapping[str, tuple[int, str, tuple[str, ...]]]
    total: int
    pid: int
    metric: str | None
    fail_fast: bool
    again: bool = False

    def __call__(self, cfg: DictConfig) -> Outcome:
        """Trains the config that the launcher composed, and tells."""
        tidy(cfg)
        identity = config_hash(cfg)
        if identity not in self.jobs:
            raise Changed
        number, label, overrides = self.jobs[identity]
        try:
            outcome = attempt(cfg, overrides, identity, label)
        except Stopped as stop:
            if os.getpid() != self.pid:  # its run is closed; a worker that was told to stop takes no further job
                exit_at_once(stop.exit_code)
            raise
        say(line(outcome, number, self.total, self.metric))
        wanted = {k: v for k, v in outcome.metrics.items() if k in (self.metric, "time/train_s")}
        outcome = replace(outcome, metrics=wanted)  # the tracker knows them all; see reglab.execution.returned
        if outcome.error and self.fail_fast and not (outcome.out_of_memory and self.again):
            raise FirstFailure(outcome)
        return outcome


def line(outcome: Outcome, place: int, total: int, metric: str | None) -> str:
    """``[ 7/80] dropout+max_norm seed=3  test/accuracy 0.8123  1.9 s``."""
    head = f"[{place:{len(str(total))}}/{total}] {outcome.label}"
    if outcome.in_progress:
        return f"{head}  another process is training it: waited for at the end"
    took = "by another process" if outcome.reused else f"{outcome.seconds:.1f} s"
    return f"{head}  {_figure(outcome, metric)}  {took}"


def _figure(outcome: Outcome, metric: str | None) -> str:
    if outcome.error:
        return f"FAILED: {outcome.error}"
    wanted = [metric] if metric else []
    for name in [*wanted, "test/accuracy", "test/rmse", "best/val/accuracy", "best/val/rmse", "test/loss"]:
        if name in outcome.metrics:
            return f"{name} {outcome.metrics[name]:.4f}"
    return "done"


def say(text: str) -> None:
    """One line for the person at the terminal, in one write, so that lines of several processes do not mix."""
    write_line(text)
