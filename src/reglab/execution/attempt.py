"""Train one run of a sweep in any process, and describe its outcome in a line."""

import os
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from omegaconf import DictConfig

from reglab.config.identity import config_hash
from reglab.config.selection import remove_stray_strengths
from reglab.schema.errors import ConfigError, InProgress, PlanOutdated, StoreLost, is_out_of_memory
from reglab.schema.metrics import HEADLINES, base_name
from reglab.stopping import Stopped, exit_at_once
from reglab.streams import write_line
from reglab.tracking.location import location_error
from reglab.user_code.importing import describe_error
from reglab.wording import shorten

_MAX_LINE = 1000
# The first of these that a run has is printed with it.
_SHOWN_METRICS = (*HEADLINES, *(f"best/val/{base_name(name)}" for name in HEADLINES), "test/loss")
_MEMORY_REMEDY = "use a smaller data.batch_size or model, or fewer workers"


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Attributes:
        config_hash: the job's identity.
        label: label of the job.
        run_id: id of its tracked run, here or in another process; None if it failed before one was opened.
        error: first line of the error; None if the run is FINISHED.
        metrics: metrics by tracked name; for a run in a worker process, only those that the sweep needs.
        seconds: wall time.
        reused: another process has finished the run since the sweep began.
        in_progress: another process is training the run.
        out_of_memory: it failed for lack of memory, part of which runs in other workers may have used.
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
    """A run failed in a sweep with fail_fast=true. Not an `Exception`, which launchers catch.

    Args:
        outcome: outcome of the failed run.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class StoreUnavailable(BaseException):
    """The tracking store does not answer: no further run can be tracked. Not an `Exception`, which launchers catch.

    Args:
        cause: message of the store's error.
    """

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


def attempt(cfg: DictConfig, overrides: Sequence[str], identity: str, label: str) -> Outcome:
    """Train one config, and return an error as part of the outcome.

    Args:
        cfg: config of the run.
        overrides: overrides from which the config was composed.
        identity: `config_hash` of the run when the sweep was planned.
        label: label of the job.

    Raises:
        StoreUnavailable: the run failed, and the store does not answer.
        Stopped: by a signal.
    """
    # Imported here because it loads torch and MLflow.
    from reglab.training.run import run

    began = time.perf_counter()
    try:
        if config_hash(cfg) != identity:
            raise PlanOutdated
        result = run(cfg, overrides)
    except InProgress as other:
        return Outcome(identity, label, other.by, in_progress=True)
    except Exception as error:
        seconds = time.perf_counter() - began
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            traceback.print_exc()
        if isinstance(error, StoreLost):
            raise StoreUnavailable(error.cause) from error
        if (store_error := location_error(cfg.tracking.uri)) is not None:
            raise StoreUnavailable(str(store_error)) from store_error
        line, out_of_memory = error_line(error), is_out_of_memory(error)
        if out_of_memory:
            line = f"out of memory ({shorten(line, 200)}); {_MEMORY_REMEDY}"
        run_id = getattr(error, "run_id", None)
        return Outcome(identity, label, run_id, line, seconds=seconds, out_of_memory=out_of_memory)
    return Outcome(identity, label, result.run_id, None, dict(result.metrics), result.seconds, result.reused)


def error_line(error: BaseException) -> str:
    """Return an error in one line.

    The exception's type and the line of the user's code that raised it come first, unless the message was written for
    users.
    """
    if isinstance(error, ConfigError):
        return (str(error).strip().splitlines() or [""])[0][:_MAX_LINE]
    return describe_error(error)[:_MAX_LINE]


@dataclass(frozen=True)
class WorkerTask:
    """The function that a Hydra launcher calls in a worker with the config of each job; pickled with its fields.

    Attributes:
        jobs: number, label and overrides of every job, by identity.
        total: number of jobs of the sweep.
        pid: id of the launching process.
        metric: metric that is printed with each run; None: the default one.
        fail_fast: whether to raise an error at the first failure.
        retry_memory: whether runs that exceeded the memory are trained again later, and are not failures yet.
    """

    jobs: Mapping[str, tuple[int, str, tuple[str, ...]]]
    total: int
    pid: int
    metric: str | None
    fail_fast: bool
    retry_memory: bool = False

    def __call__(self, cfg: DictConfig) -> Outcome:
        """Train the config, and print a line about the run.

        Raises:
            FirstFailure: the run failed, and `fail_fast` is set.
        """
        remove_stray_strengths(cfg)
        identity = config_hash(cfg)
        if identity not in self.jobs:
            raise PlanOutdated
        number, label, overrides = self.jobs[identity]
        try:
            outcome = attempt(cfg, overrides, identity, label)
        except Stopped as stop:
            if os.getpid() != self.pid:  # the run is closed; a worker must not take another job
                exit_at_once(stop.exit_code)
            raise
        write_line(run_line(outcome, number, self.total, self.metric))
        needed = {k: v for k, v in outcome.metrics.items() if k in (self.metric, "time/train_s")}
        outcome = replace(outcome, metrics=needed)  # the result must be small: see `launchers.KeepOutcomeOnly`
        if outcome.error and self.fail_fast and not (outcome.out_of_memory and self.retry_memory):
            raise FirstFailure(outcome)
        return outcome


def run_line(outcome: Outcome, number: int, total: int, metric: str | None) -> str:
    """Return the line about a run: ``[ 7/80] dropout+max_norm seed=3  test/accuracy 0.8123  1.9 s``.

    >>> outcome = Outcome("hash", "none seed=0", metrics={"test/accuracy": 0.8123}, seconds=1.9)
    >>> run_line(outcome, 7, 80, None)
    '[ 7/80] none seed=0  test/accuracy 0.8123  1.9 s'
    """
    head = f"[{number:{len(str(total))}}/{total}] {outcome.label}"
    if outcome.in_progress:
        return f"{head}  another process is training it; its result is awaited at the end"
    time_spent = "by another process" if outcome.reused else f"{outcome.seconds:.1f} s"
    return f"{head}  {_result(outcome, metric)}  {time_spent}"


def _result(outcome: Outcome, metric: str | None) -> str:
    if outcome.error:
        return f"FAILED: {outcome.error}"
    for name in [*([metric] if metric else []), *_SHOWN_METRICS]:
        if name in outcome.metrics:
            return f"{name} {outcome.metrics[name]:.4f}"
    return "done"
