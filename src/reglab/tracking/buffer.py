"""Metrics and tags on their way to MLflow: collected, and sent in batches."""

import math
import time
from collections.abc import Callable, Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag
from mlflow.exceptions import MlflowException

from reglab.tracking.client import impatient
from reglab.tracking.owner import now_ms
from reglab.tracking.values import fitted

FLUSH_S = 2.0
_RETRY_S = 60.0
_MAX_METRICS = 900  # MLflow takes 1,000 metrics and tags together in a call,
_MAX_TAGS = 100  # and this many tags
# The store is away for a while (a server restarting, a database locked): nothing is lost, it is tried again.
_PASSING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


class Buffer:
    """Collects metrics and tags of one run; whoever adds something after two seconds pays for sending it.

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

    def add(self, metrics: Mapping[str, float], step: int) -> None:
        """Adds metrics with the present time; values that are not finite are left out (they break the UI's pages)."""
        now = now_ms()
        for key, value in metrics.items():
            number = float(value)
            if math.isfinite(number):
                self._metrics.append(Metric(key, number, now, step))
        self._send_if_due()

    def tag(self, tags: Mapping[str, object]) -> None:
        """Adds tags; None means no tag. Those too long for a database are cut, and written whole to a file."""
        short, files = fitted(tags)
        for path, text in files.items():
            self._write(text, path)
        self._tags |= short
        self._send_if_due()

    def send(self) -> None:
        """Sends everything now. What could not be sent is kept."""
        self._send(self._client)

    def _send(self, client: MlflowClient) -> None:
        while self._metrics or self._tags:
            metrics, names = self._metrics[:_MAX_METRICS], list(self._tags)[:_MAX_TAGS]
            client.log_batch(self._run_id, metrics, tags=[RunTag(name, self._tags[name]) for name in names])
            del self._metrics[: len(metrics)]
            for name in names:
                del self._tags[name]
        self._due = time.monotonic() + FLUSH_S

    def _send_if_due(self) -> None:
        if time.monotonic() < self._due:
            return
        try:
            self._send(impatient(self._client))  # training does not wait for it
        except MlflowException as error:
            if error.error_code not in _PASSING:
                raise
            self._due = time.monotonic() + _RETRY_S
