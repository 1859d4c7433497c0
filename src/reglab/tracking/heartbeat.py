"""The heartbeat of a running run, by which other hosts distinguish a living owner from a dead one."""

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
_AHEAD_S = 60.0  # a beat further in the future is not valid: clocks of two hosts differ less
_LONGEST = 50  # characters of a tag
_STOP_S = 10.0  # as long as a request waits for an answer


class Heart:
    """Renews a run's tag `heartbeat` from a thread of its own, however long an epoch takes.

    A beat that cannot be sent is skipped: the run itself reports that the store does not answer. A forked child process
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
    """Return in one line why the owner of a RUNNING run is considered dead; None if it lives, or nothing is known.

    On this host the process itself is checked, on other hosts and in other containers its heartbeat, if it has one.
    """
    if owner.is_dead(tags.get(owner.TAG)):
        return "its process ended without closing it"
    silent = age(tags)
    if owner.is_elsewhere(tags.get(owner.TAG)) and silent is not None and silent > SILENT_S:
        return f"no heartbeat for {SILENT_S / 60:.0f} minutes: its process on another host is taken for dead"
    return None


def lives(tags: Mapping[str, str]) -> bool:
    """Return whether the owner of a RUNNING run works on it, as far as is known: it sends beats and has not ended.

    False if the owner tag cannot be read: every run of reglab has one, and without it an ended owner goes unnoticed.
    """
    silent, who = age(tags), tags.get(owner.TAG)
    return silent is not None and silent <= SILENT_S and owner.is_readable(who) and not owner.is_dead(who)


def age(tags: Mapping[str, str]) -> float | None:
    """Return the seconds since the last beat, at least -60; None if there is none, or its time is not valid."""
    try:
        seconds = time.time() - float(tags[TAG][:_LONGEST])
    except (KeyError, ValueError, OverflowError):
        return None
    return seconds if -_AHEAD_S <= seconds < math.inf else None


def not_waited_for(tags: Mapping[str, str]) -> str:
    """Return the reason, in a few words, not to wait for a RUNNING run for which `lives` is False."""
    if reason := lost(tags) or unknown(tags):
        return reason
    silent = age(tags)
    return "it has no valid heartbeat" if silent is None else f"its process has sent no heartbeat for {silent:.0f} s"


def unknown(tags: Mapping[str, str]) -> str | None:
    """Return why the owner of a RUNNING run cannot be checked, in a few words; None if it can."""
    if not owner.is_readable(tags.get(owner.TAG)):
        return f"its tag {owner.TAG} names no process"
    if owner.is_elsewhere(tags[owner.TAG]) and age(tags) is None:
        return f"its tag {TAG} is not a valid time"
    return None
