"""Tags, params and metrics that are sent to MLflow: cut to the limits of every store, and sent in batches.

PostgreSQL rejects longer values, SQLite accepts them, and MLflow truncates some without a message. The full longer
value is an artifact of the run.
"""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException

from reglab.tracking.client import without_retries

TAG, PARAM, NAME = 8000, 6000, 250  # characters: MLflow's limits, and the narrowest columns of its databases
FLUSH_S = 2.0  # seconds between two requests, at least
_SEND_SHARE = 0.02  # of the time, at most, for requests that take longer than 1/25 s
_MAX_WAIT_S = 30.0  # seconds between two requests, at most
_RETRY_S = 60.0
_MAX_METRICS = 900  # MLflow accepts 1,000 metrics and tags together in a call,
_MAX_TAGS = 100  # and this many tags
# Errors of a temporarily unavailable store (a restarting server, a locked database): the call is repeated.
_TEMPORARY = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
_CUT = re.compile(r"\.\.\. \(([0-9]+) characters: ((?:tags|params)/[A-Za-z0-9._+-]+\.txt)\)$")
Files = dict[str, str]


def as_text(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as MLflow stores them: strings, without those that are None.

    Characters that no database stores are replaced: U+0000 by U+FFFD, half of a surrogate pair by an escape.

    >>> as_text({"seed": 3, "study": None})
    {'seed': '3'}
    """
    kept = {key: str(value).replace("\0", "\ufffd") for key, value in values.items() if value is not None}
    return {key: value.encode("utf-8", "backslashreplace").decode() for key, value in kept.items()}


def within_limits(values: Mapping[str, object], *, params: bool = False) -> tuple[dict[str, str], Files]:
    """Cut tags or params to `TAG` or `PARAM` characters.

    Args:
        values: values by name; those that are None are left out.
        params: these are params.

    Returns:
        The values, in which a longer one is cut and ends with its length and the path of the full text; and the
        texts of these artifacts by path.
    """
    limit, folder = (PARAM, "params") if params else (TAG, "tags")
    short, files = {}, {}
    for key, value in as_text(values).items():
        if len(value) > limit:
            path = _path(folder, key)
            mark = f"... ({len(value)} characters: {path})"
            files[path] = value
            value = value[: limit - len(mark)] + mark
        short[key] = value
    return short, files


def cut_name(name: str) -> str:
    """Return a run's name of at most `NAME` characters."""
    name = as_text({"": name})[""]
    return name if len(name) <= NAME else f"{name[: NAME - 3]}..."


def artifact_of_cut_tag(key: str, value: str) -> tuple[str, int] | None:
    """Return the path of the artifact with a tag's whole value, and its length; None for a value that was not cut."""
    match = _CUT.search(value)
    path = _path("tags", key)
    return (path, int(match[1])) if match is not None and match[2] == path else None


def json_object(text: str | None) -> dict[str, Any]:
    """Return a JSON object that was read from a store; empty if the text is not one."""
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _path(folder: str, key: str) -> str:
    return f"{folder}/{re.sub(r'[^A-Za-z0-9._+-]+', '-', key)[:100].strip('.-') or 'value'}.txt"


def now_ms() -> int:
    """Return the time as MLflow stores it: milliseconds since the epoch."""
    return int(time.time() * 1000)


class Buffer:
    """Metrics and tags of one run, sent together: when something is added two seconds or more after the last request.

    After slow requests it waits longer, up to half a minute, so that they take at most 2 % of the time.

    Args:
        client: MLflow's client.
        run_id: the run.
        write: writes a text to a path of the run's artifacts.
    """

    def __init__(self, client: MlflowClient, run_id: str, write: Callable[[str, str], None]) -> None:
        self._client = client
        self._write = write
        self._run_id = run_id
        self._metrics: list[Metric] = []
        self._tags: dict[str, str] = {}
        self._due = time.monotonic() + FLUSH_S

    def add_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Add metrics with the present time; values that are not finite are left out (they break the UI's pages)."""
        now = now_ms()
        for key, value in metrics.items():
            number = float(value)
            if math.isfinite(number):
                self._metrics.append(Metric(key, number, now, step))
        self._send_if_due()

    def add_tags(self, tags: Mapping[str, object]) -> None:
        """Add tags; None means no tag. Tags too long for a database are cut, and the full text is written to a file."""
        short, files = within_limits(tags)
        for path, text in files.items():
            self._write(text, path)
        self._tags |= short
        self._send_if_due()

    def send(self) -> None:
        """Send everything now. What could not be sent is kept."""
        self._send(self._client)

    def _send(self, client: MlflowClient) -> None:
        began = time.monotonic()
        while self._metrics or self._tags:
            metrics, names = self._metrics[:_MAX_METRICS], list(self._tags)[:_MAX_TAGS]
            client.log_batch(self._run_id, metrics, tags=[RunTag(name, self._tags[name]) for name in names])
            del self._metrics[: len(metrics)]
            for name in names:
                del self._tags[name]
        now = time.monotonic()
        self._due = now + min(max(FLUSH_S, (now - began) / _SEND_SHARE), _MAX_WAIT_S)

    def _send_if_due(self) -> None:
        if time.monotonic() < self._due:
            return
        try:
            self._send(without_retries(self._client))  # training does not wait for it
        except MlflowException as error:
            if error.error_code not in _TEMPORARY:
                raise
            self._due = time.monotonic() + _RETRY_S
