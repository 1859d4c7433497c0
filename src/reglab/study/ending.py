"""How a sweep and a study end: the parent run is closed whatever happens, the report made, the failures told."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.deadlines import Overdue, waiting
from reglab.execution import workers
from reglab.execution.attempt import Outcome, say
from reglab.schema.errors import ConfigError, StoreLost
from reglab.stopping import Stopped, raise_if_stopped, stop_wins
from reglab.streams import note

if TYPE_CHECKING:
    from reglab.tracking.store import Store


@dataclass
class Parent:
    """The parent run while the work below it is under way.

    Attributes:
        run_id: as soon as it is known.
        status: with which it will be closed.
        lost: the store does not answer any more, so that it cannot be closed: the next start finds it.
    """

    run_id: str = ""
    status: str = "FAILED"
    lost: bool = False


@contextmanager
def closing(store: "Store", name: str, kind: str = "sweep") -> Iterator[Parent]:
    """Closes the parent run of a sweep or study at the end of the block, with the status that the block has set.

    A signal ends the worker processes first, closes their runs, and the parent ends KILLED.

    Raises:
        StoreLost: whatever went wrong, the store does not answer any more.
    """
    from reglab.stopping import defer_signals
    from reglab.tracking import parent, queries
    from reglab.tracking.place import place_error
    from reglab.tracking.run import CLOSE_S

    entered = Parent()
    try:
        with stop_wins():
            yield entered
    except Stopped:
        entered.status = "KILLED"
        with defer_signals(deliver=False):
            workers.end()
            entered.lost = place_error(store.uri) is not None
            if not entered.lost:
                with suppress(Overdue), waiting(limit=CLOSE_S):
                    entered.lost = True
                    queries.mark_dead_runs_killed(store)
                    entered.lost = False
        raise
    except Exception as error:
        gone = place_error(store.uri)
        entered.lost = gone is not None
        if gone is None or isinstance(error, StoreLost):
            raise
        raise StoreLost(gone) from error
    finally:  # a signal can come between entering and knowing it
        if not entered.lost:
            killed = entered.status == "KILLED"
            with suppress(Overdue), waiting(limit=CLOSE_S) if killed else nullcontext():
                entered.lost = killed
                if run_id := entered.run_id or parent.find(store, name, kind):
                    parent.close(store, run_id, entered.status)
                entered.lost = False


def reported(store: "Store", parent_id: str, folder: str | None, **asked: Any) -> bool:
    """Make the closing report (see `publish`); if it cannot be made, print the reason and return False."""
    from reglab.study.publish import publish

    say("making the report ...")
    try:
        publish(store, parent_id, folder=Path(folder) if folder else None, **asked)
    except ConfigError as error:
        raise_if_stopped()  # a signal may have caused it
        note(f"no report: {error} (the runs are kept; correct this and start again)")
        return False
    raise_if_stopped()  # before the parent is closed as FINISHED
    return True


def tell_unfinished(failed: Sequence[Outcome], missing: int, total: int) -> None:
    """Print each run that failed, and how many of `total` were not done."""
    if failed:
        say(f"{len(failed)} of {total} runs failed (traceback: error.txt of the run):")
        for outcome in failed:
            say(f"  {outcome.label}  {outcome.error}  run {outcome.run_id or 'none'}")
    if missing:
        say(f"{missing} of {total} runs were not done")
    if failed or missing:
        say("the same command tries again what is not finished")
