"""The sign of life of a running run, by which other hosts tell a living owner from a dead one."""

import math
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from mlflow import MlflowClient

from reglab.tracking import owner
from reglab.tracking.client import impatient

TAG = "heartbeat"
EVERY_S = 30.0
SILENT_S = 300.0  # ten beats: more than a server's restart, or clocks of two hosts that differ a little
_LONGEST = 50  # characters of a tag
_STOP_S = 10.0  # as long as a request waits for an answer


class Heart:
    """Renews a run's tag `heartbeat` from a thread of its own, however long an epoch takes.

    A beat that cannot be sent is left out: that the tracker is away is told by the run itself. After a fork the child
    has no such thread, and owns no run.

    Args:
        client: MLflow's client.
        run_id: the run; it should have a first beat (`now`) from its creation.
        every: seconds between beats.
    """

    def __init__(self, client: MlflowClient, run_id: str, every: float = EVERY_S) -> None:
        self._client = impatient(client)
        self._run_id = run_id
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="reglab-heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No beat begins after this; one under way is waited for (10 s at most: the server may hang)."""
        self._ended.set()
        self._thread.join(_STOP_S)

    def _beat(self) -> None:
        while not self._ended.wait(self._every):
            with suppress(Exception):
                self._client.set_tag(self._run_id, TAG, now())


def now() -> str:
    """A beat: the seconds since the epoch, as text."""
    return f"{time.time():.0f}"


def lost(tags: Mapping[str, str]) -> str | None:
    """Why the owner of a RUNNING run is taken for dead, in one line; None where it lives, or nothing is known.

    Of this host the process itself is asked. Of other hosts and containers the heartbeat tells, where there is one.
    """
    if owner.is_dead(tags.get(owner.TAG)):
        return "its process ended without closing it"
    age = _age(tags)
    if owner.is_elsewhere(tags.get(owner.TAG)) and age is not None and age > SILENT_S:
        return f"no heartbeat for {SILENT_S / 60:.0f} minutes: its process on another host is taken for dead"
    return None


def lives(tags: Mapping[str, str]) -> bool:
    """Whether the owner of a RUNNING run is known to work on it: it beats, and is not gone."""
    age = _age(tags)
    return age is not None and age <= SILENT_S and not owner.is_dead(tags.get(owner.TAG))


def _age(tags: Mapping[str, str]) -> float | None:
    """Return the seconds since the last beat; None if there is none, or its time is not valid."""
    try:
        age = time.time() - float(tags[TAG][:_LONGEST])
    except (KeyError, ValueError, OverflowError):
        return None
    return age if -SILENT_S <= age < math.inf else None


def unknown(tags: Mapping[str, str]) -> str | None:
    """Return why the owner of a RUNNING run cannot be checked, in a few words; None if it can."""
    if not owner.is_readable(tags.get(owner.TAG)):
        return f"its tag {owner.TAG} names no process"
    if owner.is_elsewhere(tags[owner.TAG]) and _age(tags) is None:
        return f"its tag {TAG} is no time of the past"
    return None
