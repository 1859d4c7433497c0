"""How far the sweeps and studies of an experiment have come, from the tracker alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.streams import note, show_table, write_line
from reglab.tracking import liveness, parent, queries
from reglab.tracking.run import PARENT_TAG
from reglab.tracking.store import Store
from reglab.tracking.values import cut_name
from reglab.wording import pluralize

if TYPE_CHECKING:
    from rich.table import Table

_SHOWN = 5
STATES = ("done", "running", "failed", "diverged", "missing")


@dataclass
class Cell:
    """Runs of one strategy on one task in one phase, counted by state.

    Attributes:
        name: of the sweep or study.
        task: in words.
        strategy: as tagged.
        phase: ``sweep``, ``tune`` or ``confirm``.
        states: how many are done, running, failed, diverged and missing.
    """

    name: str
    task: str
    strategy: str
    phase: str
    states: Counter[str] = field(default_factory=Counter)


def cells(store: Store) -> list[Cell]:
    """A row for each cell of every sweep and study of the store's experiment, the newest last."""
    return overview(store)[0]


def overview(store: Store) -> tuple[list[Cell], dict[str, int]]:
    """Return `cells`, and by sweep or study how many configurations it has tracked and does not declare any more.

    An earlier start declared these: under another setting or with other code, or for other seeds or trials.
    """
    every = queries.runs(store)
    newest = _states(every)
    found: list[Cell] = []
    undeclared: Counter[str] = Counter()
    for record in every:
        if record.tags.get("phase") == "parent":
            name = cut_name(record.tags.get("study") or record.tags.get("sweep") or record.run_id)
            declared = parent.declared(store, record.run_id)
            jobs = declared if "study" in record.tags else parent.jobs_to_report(declared)
            found += _of_parent(name, jobs, newest)
            own = [child.tags for child in every if child.tags.get(PARENT_TAG) == record.run_id]
            tracked = {tags.get("config_hash") for tags in own if "rerun_of" not in tags}
            undeclared[name] += len(tracked - {None} - {job["config_hash"] for job in jobs})
    return found, undeclared


def notes(store: Store) -> Iterator[str]:
    """Yield a line if the store is read-only, and for each RUNNING run whose process cannot be checked."""
    if store.read_only:
        yield f"{store.place.display_uri} is read-only: runs whose process has ended are not marked KILLED"
    running = queries.runs(store, status="RUNNING")
    unknown = [(record.run_id, why) for record in running if (why := liveness.unknown_owner(record.tags))]
    for run_id, why in unknown[:_SHOWN]:
        yield f"run {run_id} is RUNNING, and {why}: not changed"
    if len(unknown) > _SHOWN:
        yield f"{len(unknown) - _SHOWN} more such runs"


def _of_parent(name: str, jobs: Sequence[dict[str, Any]], newest: dict[str, str]) -> list[Cell]:
    cells: dict[tuple[str, str, str], Cell] = {}
    for job in jobs:
        task, phase = str(job.get("task") or job.get("data") or ""), str(job.get("phase") or "sweep")
        key = (task, str(job.get("strategy")), phase)
        state = newest.get(job["config_hash"], "missing") if job["config_hash"] else "missing"
        cells.setdefault(key, Cell(name, *key)).states[state] += 1
    return list(cells.values())


def _states(records: Sequence[queries.Record]) -> dict[str, str]:
    """By identity: done where any run is FINISHED, else what became of the newest; KILLED ones are still to be done."""
    told: dict[str, str] = {}
    for record in records:
        identity = record.tags.get("config_hash")
        if identity is None or "rerun_of" in record.tags or told.get(identity) == "done":
            continue
        diverged = record.tags.get("diverged") == "true"
        states = {"FINISHED": "done", "RUNNING": "running", "FAILED": "diverged" if diverged else "failed"}
        told[identity] = states.get(record.status, "missing")
    return told


def tables(cells: Sequence[Cell]) -> Iterator["Table"]:
    """One for each task of each sweep and study: a row for each strategy, its runs by phase and state."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    for name, task in dict.fromkeys((cell.name, cell.task) for cell in cells):
        own = [cell for cell in cells if (cell.name, cell.task) == (name, task)]
        phases = list(dict.fromkeys(cell.phase for cell in own))
        shown = Table(title=f"{name}: {task}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in ("strategy", *phases):
            shown.add_column(column, overflow="fold")
        for strategy in dict.fromkeys(cell.strategy for cell in own):
            states = {cell.phase: cell.states for cell in own if cell.strategy == strategy}
            failed = any(state["failed"] + state["diverged"] for state in states.values())
            counts = [_told(states[phase]) if phase in states else "" for phase in phases]
            shown.add_row(strategy, *counts, style="red" if failed else "")
        yield shown


def _told(states: Counter[str]) -> str:
    """``3 of 6 done, 1 running, 1 diverged, 1 missing``."""
    rest = "".join(f", {states[state]} {state}" for state in STATES[1:] if states[state])
    return f"{states['done']} of {states.total()} done{rest}"


def summary(cells: Sequence[Cell]) -> Iterator[str]:
    """A line for each sweep and study: ``quick: 18 of 18 done``."""
    for name in dict.fromkeys(cell.name for cell in cells):
        total: Counter[str] = Counter()
        for cell in cells:
            if cell.name == name:
                total += cell.states
        yield f"{name}: {_told(total)}"


def show(store: Store, name: str | None) -> None:
    """Print the tables and lines of all sweeps and studies, or of the one of that name.

    Raises:
        ConfigError: there is none.
    """
    queries.mark_dead_runs_killed(store)
    for sentence in notes(store):
        note(sentence)
    found, undeclared = overview(store)
    if not found:
        raise ConfigError(
            Setting("tracking.experiment", store.experiment), "no sweep or study there", "make one: make compare"
        )
    names = list(dict.fromkeys(cell.name for cell in found))
    if name is not None and name not in names:
        raise ConfigError(Setting("name", name), f"no such sweep or study{did_you_mean(str(name), names)}")
    shown = [cell for cell in found if name in (None, cell.name)]
    for table in tables(shown):
        show_table(table)
    for line in summary(shown):
        write_line(line)
    for one, number in undeclared.items():
        if number and name in (None, one):
            write_line(
                f"{one}: {pluralize(number, 'more run')} of earlier starts, with other settings, code, seeds or "
                "trials: "
                "not counted"
            )
