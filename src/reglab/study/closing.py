"""The end of a sweep or study: its parent run is closed, the report made, failures listed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.deadlines import Overdue, waiting
from reglab.execution import workers
from reglab.execution.attempt import Outcome
from reglab.garbage import import_libraries
from reglab.schema.errors import ConfigError, StoreLost
from reglab.stopping import Stopped, defer_signals, prefer_stopped, raise_if_stopped
from reglab.streams import note, write_line

if TYPE_CHECKING:
    from reglab.tracking.store import Store


@dataclass
class ParentRun:
    """The parent run of a sweep or study in progress.

    Attributes:
        name: name of the sweep or study.
        kind: ``sweep`` or ``study``.
        run_id: id of the run; empty until it is known.
        status: status that it gets when it is closed.
        store_lost: the store does not answer any more, so that the run cannot be closed; the next start does it.
    """

    name: str
    kind: str
    run_id: str = ""
    status: str = "FAILED"
    store_lost: bool = False


@contextmanager
def closing(store: "Store", run: ParentRun) -> Iterator[None]:
    """Close the parent run that the block opens, at the end of the block, with the status that the block has set.

    After a signal the worker processes are ended and their runs closed before the parent run, which ends KILLED.

    Raises:
        StoreLost: in place of another exception, if the store does not answer any more.
    """
    from reglab.tracking import parent, queries
    from reglab.tracking.location import location_error
    from reglab.tracking.run import CLOSE_S

    try:
        with prefer_stopped():
            yield
    except Stopped:
        run.status = "KILLED"
        with defer_signals(deliver=False):
            workers.end_descendants()
            run.store_lost = location_error(store.uri) is not None
            if not run.store_lost:
                with suppress(Overdue), waiting(limit=CLOSE_S):
                    run.store_lost = True
                    queries.mark_dead_runs_killed(store)
                    run.store_lost = False
        raise
    except Exception as error:
        cause = location_error(store.uri)
        run.store_lost = cause is not None
        if cause is None or isinstance(error, StoreLost):
            raise
        raise StoreLost(cause) from error
    finally:
        if not run.store_lost:
            killed = run.status == "KILLED"
            with suppress(Overdue), waiting(limit=CLOSE_S) if killed else nullcontext():
                run.store_lost = killed
                # A signal can arrive after the parent run was opened and before its id was assigned.
                if run_id := run.run_id or parent.find_parent(store, run.name, run.kind):
                    parent.close_parent(store, run_id, run.status)
                run.store_lost = False


def make_closing_report(store: "Store", parent_id: str, folder: str | None, **question: Any) -> bool:
    """Make the closing report; print the reason and return False if it cannot be made.

    Args:
        store: store in which the runs are tracked.
        parent_id: the parent run.
        folder: folder of the report; None: the default.
        question: `metric`, `direction` and other arguments of `publish`.
    """
    # Imported here because they load SciPy and matplotlib.
    import_libraries("reglab.study.publish")
    from reglab.study.publish import publish

    write_line("making the report ...")
    try:
        publish(store, parent_id, folder=Path(folder) if folder else None, **question)
    except ConfigError as error:
        raise_if_stopped()  # a signal may be the cause
        note(f"no report: {error} (the runs are stored; correct this and start again)")
        return False
    raise_if_stopped()  # before the parent is closed as FINISHED
    return True


def print_unfinished(failed: Sequence[Outcome], missing: int, total: int) -> None:
    """Print each failed run, and how many of `total` runs were not done."""
    if failed:
        write_line(f"{len(failed)} of {total} runs failed (traceback: error.txt of the run):")
        for outcome in failed:
            write_line(f"  {outcome.label}  {outcome.error}  run {outcome.run_id or 'none'}")
    if missing:
        write_line(f"{missing} of {total} runs were not trained")
    if failed or missing:
        write_line("run the same command again to retry unfinished runs")
