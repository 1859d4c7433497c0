"""The progress of sweeps and studies as tables: of those in the tracker, and of a study before it runs (dry run)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import pluralize
from reglab.streams import note, show_table, write_line
from reglab.study.progress import PHASES, ArmProgress, Progress
from reglab.tracking import liveness, parent, queries
from reglab.tracking.run import PARENT_TAG
from reglab.tracking.store import Store
from reglab.tracking.values import cut_name

if TYPE_CHECKING:
    from rich.table import Table

_MAX_NOTES = 5
_STARTUP_S = 10.0  # imports of a worker process
STATES = ("done", "running", "failed", "diverged", "missing")


@dataclass
class ArmStatus:
    """Numbers of runs of one strategy on one task in one phase.

    Attributes:
        name: name of the sweep or study.
        task: name of the task.
        strategy: value of the tag `strategy`.
        phase: ``sweep``, ``tune`` or ``confirm``.
        states: number of runs by state, one of `STATES`.
    """

    name: str
    task: str
    strategy: str
    phase: str
    states: Counter[str] = field(default_factory=Counter)


def print_status(store: Store, name: str | None) -> None:
    """Print tables and a line for each sweep and study of the store's experiment, or for one of them.

    Args:
        store: store in which the runs are tracked.
        name: name of a sweep or study; None: all.

    Raises:
        ConfigError: there is none.
    """
    queries.mark_dead_runs_killed(store)
    for line in run_notes(store):
        note(line)
    arms, undeclared = experiment_status(store)
    if not arms:
        raise ConfigError(
            Setting("tracking.experiment", store.experiment), "contains no sweep or study", "make one: make compare"
        )
    names = list(dict.fromkeys(arm.name for arm in arms))
    if name is not None and name not in names:
        raise ConfigError(Setting("name", name), f"no such sweep or study{did_you_mean(str(name), names)}")
    shown = [arm for arm in arms if name in (None, arm.name)]
    for table in status_tables(shown):
        show_table(table)
    for line in summary_lines(shown):
        write_line(line)
    for parent_name, count in undeclared.items():
        if count and name in (None, parent_name):
            write_line(
                f"{parent_name}: {pluralize(count, 'more run')} of earlier starts, with other settings, code, seeds or "
                "trials, not counted here"
            )


def experiment_status(store: Store) -> tuple[list[ArmStatus], dict[str, int]]:
    """Return the status of all arms of an experiment, the newest sweep or study last, and undeclared runs.

    Undeclared runs are counted by name of the sweep or study. An earlier start declared them, under another setting,
    with other code, or for other seeds or trials.
    """
    runs = queries.runs(store)
    states = _states(runs)
    arms: list[ArmStatus] = []
    undeclared: Counter[str] = Counter()
    for record in runs:
        if record.tags.get("phase") == "parent":
            name = cut_name(record.tags.get("study") or record.tags.get("sweep") or record.run_id)
            declared = parent.declared(store, record.run_id)
            jobs = declared if "study" in record.tags else parent.jobs_to_report(declared)
            arms += _arms_of_parent(name, jobs, states)
            children = [child.tags for child in runs if child.tags.get(PARENT_TAG) == record.run_id]
            tracked = {tags.get("config_hash") for tags in children if "rerun_of" not in tags}
            undeclared[name] += len(tracked - {None} - {job["config_hash"] for job in jobs})
    return arms, undeclared


def run_notes(store: Store) -> Iterator[str]:
    """Yield a line if the store is read-only, and for each RUNNING run whose process cannot be checked."""
    if store.read_only:
        yield f"{store.location.display_uri} is read-only: runs whose process has ended are not marked KILLED"
    running = queries.runs(store, status="RUNNING")
    unknown = [(record.run_id, reason) for record in running if (reason := liveness.unknown_owner(record.tags))]
    for run_id, reason in unknown[:_MAX_NOTES]:
        yield f"run {run_id} is RUNNING, and {reason}: not changed"
    if len(unknown) > _MAX_NOTES:
        yield f"{len(unknown) - _MAX_NOTES} more such runs"


def status_tables(arms: Sequence[ArmStatus]) -> Iterator["Table"]:
    """Yield a table for each task of each sweep and study: strategies by phase."""
    for name, task in dict.fromkeys((arm.name, arm.task) for arm in arms):
        arms_of_task = [arm for arm in arms if (arm.name, arm.task) == (name, task)]
        phases = list(dict.fromkeys(arm.phase for arm in arms_of_task))
        table = _table(f"{name}: {task}")
        for column in ("strategy", *phases):
            table.add_column(column, overflow="fold")
        for strategy in dict.fromkeys(arm.strategy for arm in arms_of_task):
            states = {arm.phase: arm.states for arm in arms_of_task if arm.strategy == strategy}
            failed = any(counts["failed"] + counts["diverged"] for counts in states.values())
            cells = [_format_states(states[phase]) if phase in states else "" for phase in phases]
            table.add_row(strategy, *cells, style="red" if failed else "")
        yield table


def summary_lines(arms: Sequence[ArmStatus]) -> Iterator[str]:
    """Yield a line for each sweep and study: ``quick: 18 of 18 done``."""
    for name in dict.fromkeys(arm.name for arm in arms):
        total: Counter[str] = Counter()
        for arm in arms:
            if arm.name == name:
                total += arm.states
        yield f"{name}: {_format_states(total)}"


def study_tables(progress: Progress) -> Iterator["Table"]:
    """Yield a table for each task of a study: the search space of each strategy, and its runs by phase."""
    for task in dict.fromkeys(arm_progress.arm.task_name for arm_progress in progress.arms):
        table = _table(task)
        for column in ("strategy", "searched"):
            table.add_column(column, overflow="fold")
        for column in ("tuning", "confirmation", "done"):
            table.add_column(column, justify="right")
        for arm_progress in progress.arms:
            if arm_progress.arm.task_name == task:
                expected = arm_progress.expected(progress.study)
                searched = (
                    ", ".join(dimension.key.removeprefix("regularizer.") for dimension in arm_progress.arm.space)
                    or "nothing"
                )
                counts = [*(expected[phase] for phase in PHASES), _done(arm_progress, progress)]
                table.add_row(arm_progress.arm.strategy, searched, *map(str, counts))
        yield table


def remaining_runs(progress: Progress) -> int:
    """Return the number of remaining runs, including those that are not known yet."""
    return sum(_remaining(arm_progress, progress) for arm_progress in progress.arms)


def remaining_seconds(progress: Progress, workers: int) -> float | None:
    """Estimate the seconds of the remaining runs from tracked runs of the arm, or else of its data set and model.

    Args:
        progress: progress with the tracked results.
        workers: number of processes.

    Returns:
        None if an arm has no such run.
    """
    by_data_and_model: dict[str, list[float]] = {}
    for result in progress.results.values():
        by_data_and_model.setdefault(result.data_and_model, []).append(result.wall_seconds)
    total = 0.0
    for arm_progress in progress.arms:
        tracked = [
            progress.results[job.config_hash] for job in arm_progress.jobs if job.config_hash in progress.results
        ]
        seconds = [result.wall_seconds for result in tracked] or by_data_and_model.get(
            arm_progress.arm.data_and_model, []
        )
        if remaining := _remaining(arm_progress, progress):
            if not seconds:
                return None
            total += remaining * fmean(seconds)
    return total / workers + (_STARTUP_S if total else 0.0)


def _remaining(arm_progress: ArmProgress, progress: Progress) -> int:
    return sum(arm_progress.expected(progress.study).values()) - _done(arm_progress, progress)


def _done(arm_progress: ArmProgress, progress: Progress) -> int:
    return sum(job.config_hash in progress.results for job in arm_progress.jobs)


def _arms_of_parent(name: str, jobs: Sequence[dict[str, Any]], states: dict[str, str]) -> list[ArmStatus]:
    arms: dict[tuple[str, str, str], ArmStatus] = {}
    for job in jobs:
        task, phase = str(job.get("task") or job.get("data") or ""), str(job.get("phase") or "sweep")
        key = (task, str(job.get("strategy")), phase)
        state = states.get(job["config_hash"], "missing") if job["config_hash"] else "missing"
        arms.setdefault(key, ArmStatus(name, *key)).states[state] += 1
    return list(arms.values())


def _states(records: Sequence[queries.Record]) -> dict[str, str]:
    """Return the state of each identity: done if a run is FINISHED, otherwise that of the newest run.

    KILLED runs are missing: they are still to be done.
    """
    states: dict[str, str] = {}
    for record in records:
        identity = record.tags.get("config_hash")
        if identity is None or "rerun_of" in record.tags or states.get(identity) == "done":
            continue
        failed = "diverged" if record.tags.get("diverged") == "true" else "failed"
        by_status = {"FINISHED": "done", "RUNNING": "running", "FAILED": failed}
        states[identity] = by_status.get(record.status, "missing")
    return states


def _format_states(states: Counter[str]) -> str:
    """Return ``3 of 6 done, 1 running, 1 diverged, 1 missing``."""
    rest = "".join(f", {states[state]} {state}" for state in STATES[1:] if states[state])
    return f"{states['done']} of {states.total()} done{rest}"


def _table(title: str) -> "Table":
    # Imported here because rich takes a tenth of a second, and status is also read without a table.
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
