"""One tracked run: opened before anything else happens, and always closed with the correct status."""

import getpass
import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType

from mlflow.entities import Param
from mlflow.exceptions import MlflowException

from reglab.deadlines import Overdue, waiting
from reglab.masking import redact
from reglab.schema.errors import ConfigError, Diverged, StoreLost, is_out_of_memory
from reglab.stopping import Stopped, before_exit_at_once, defer_signals
from reglab.tracking.artifacts import Artifacts
from reglab.tracking.client import without_retries
from reglab.tracking.liveness import BEAT_EVERY_S, HEARTBEAT_TAG, OWNER_TAG, Heartbeat, beat, this_process
from reglab.tracking.location import location_error
from reglab.tracking.store import Store
from reglab.tracking.values import Buffer, cut_name, within_limits
from reglab.user_code.importing import describe_error

PARENT_TAG = "mlflow.parentRunId"
OUT_OF_MEMORY = "out_of_memory"  # tag of a run that failed for lack of memory
CLOSE_S = 10.0  # limit for closing a run after a signal
_PARAMS_PER_CALL = 100
_log = logging.getLogger(__name__)


class TrackedRun:
    """A context manager around one MLflow run, with a heartbeat. The outcome of the block is the run's status.

    - nothing raised: FINISHED
    - `Stopped`, KeyboardInterrupt, SystemExit: KILLED
    - `Diverged`: FAILED, with the tags `diverged` and `diverged_step`
    - out of memory: FAILED, with the tag `out_of_memory`
    - anything else: FAILED

    A FAILED run has `error.txt` (one line, then the traceback) and the line as tag `error`. Signals are deferred until
    the run is closed. If the store is gone, the error of the block becomes `StoreLost`, and the run stays RUNNING until
    the next start finds it. The same holds if a second signal ends the process before the run is marked KILLED.

    Args:
        store: the store.
        run_id: the run, which was created before; see `open`.
        artifact_uri: artifact URI of the run.
        beat_s: seconds between heartbeats.
    """

    def __init__(self, store: Store, run_id: str, artifact_uri: str, beat_s: float = BEAT_EVERY_S) -> None:
        self.id = run_id
        self._store = store
        self._artifacts = Artifacts(store.client, store.uri, run_id, artifact_uri)
        self._buffer = Buffer(store.client, run_id, self._artifacts.write_text)
        self.status = "RUNNING"
        self._store_lost: StoreLost | None = None
        self._heartbeat = Heartbeat(without_retries(store.client), run_id, beat_s)
        self._while_open = ExitStack()
        self._while_open.enter_context(before_exit_at_once(lambda: store.client.set_terminated(run_id, "KILLED")))

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        parent: str | None = None,
        beat_s: float = BEAT_EVERY_S,
    ) -> "TrackedRun":
        """Create the run with everything that is known before it starts.

        Args:
            store: the store.
            name: shown in the UI; longer ones are cut at 250 characters.
            tags: searchable; None leaves a tag out.
            params: those that users filter by; they cannot be changed. Long ones are cut, see `values.within_limits`.
            parent: id of the sweep's or study's run.
            beat_s: seconds between heartbeats.
        """
        short_tags, tag_texts = within_limits({**standard_tags(), **tags, PARENT_TAG: parent or None})
        short_params, param_texts = within_limits(params, params=True)
        run: TrackedRun | None = None
        try:
            with defer_signals():
                info = store.create_run(short_tags, cut_name(name))
                try:
                    run = cls(store, info.run_id, info.artifact_uri, beat_s)
                except ConfigError:  # a location of artifacts that is not accepted
                    store.client.set_terminated(info.run_id, "FAILED")
                    raise
                entries = [Param(key, value) for key, value in short_params.items()]
                for start in range(0, len(entries), _PARAMS_PER_CALL):
                    store.client.log_batch(info.run_id, params=entries[start : start + _PARAMS_PER_CALL])
                for path, text in {**tag_texts, **param_texts}.items():
                    run.log_text(text, path)
        except BaseException as error:
            if run is not None:
                run.__exit__(type(error), error, error.__traceback__)
            raise
        return run

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Buffer metrics; see `Buffer` for when they are sent. Values that are not finite are left out."""
        self._buffer.add_metrics(metrics, step)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Buffer tags like metrics; None leaves a tag out."""
        self._buffer.add_tags(tags)

    def log_text(self, text: str, path: str) -> None:
        """Write an artifact."""
        self._artifacts.write_text(text, path)

    def folder(self, path: str) -> AbstractContextManager[Path]:
        """Return a local folder to write files into, which are then at `path` of the run."""
        return self._artifacts.folder(path)

    def __enter__(self) -> "TrackedRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreLost):  # each further call would wait as long
            self._while_open.close()
            self._heartbeat.stop()
            return
        stopped = isinstance(error, (Stopped, KeyboardInterrupt, SystemExit, GeneratorExit))
        # A signal that comes at once after the first changes nothing; a store that hangs gets a limit.
        limit = waiting(limit=CLOSE_S) if stopped else nullcontext()
        with self._while_open, defer_signals(deliver=not stopped), limit:
            problem = self._close("FINISHED" if error is None else "KILLED" if stopped else "FAILED", error)
        if problem is None:
            return
        cause = self._store_lost.cause if self._store_lost is not None else location_error(self._store.uri)
        if cause is not None and not stopped:  # the cause of the exception of the block
            raise StoreLost(cause) from (error or (self._store_lost and self._store_lost.__cause__))
        line = f"run {self.id} could not be closed properly: {cause or problem}"
        if error is None:
            raise self._store.location.error(line)
        _log.error("%s", line)

    def _close(self, status: str, error: BaseException | None) -> str | None:
        """Send buffered values, then the status; return the first problem in one line, None if there is none."""
        problems: list[str] = []
        lost = False

        def attempt(step: Callable[[], object]) -> None:
            nonlocal lost
            if lost:  # each further call would retry for seconds, with signals deferred
                return
            try:
                step()
            except (MlflowException, OSError, Overdue, StoreLost) as failure:
                problems.append(failure.cause if isinstance(failure, StoreLost) else _one_line(failure))
                # The request itself failed, rather than its response.
                lost = isinstance(failure, Overdue | StoreLost) or isinstance(failure.__context__, OSError)
                self._store_lost = self._store_lost or (failure if isinstance(failure, StoreLost) else None)

        attempt(self._heartbeat.stop)
        if status == "FAILED" and error is not None:
            line = _one_line(error)
            diverged = {"diverged": "true", "diverged_step": error.step} if isinstance(error, Diverged) else {}
            report = redact(f"{line}\n\n{''.join(traceback.format_exception(error))}")
            memory = {OUT_OF_MEMORY: "true"} if is_out_of_memory(error) else {}
            attempt(lambda: self._buffer.add_tags({"error": line, **diverged, **memory}))
            attempt(lambda: self._artifacts.write_text(report, "error.txt"))
        attempt(self._buffer.send)
        if problems and status == "FINISHED":
            status = "FAILED"  # a FINISHED run must be complete
        attempt(lambda: self._store.client.set_terminated(self.id, status))
        self.status = status
        return problems[0] if problems else None


def standard_tags() -> dict[str, str]:
    """Return the tags of every run: its owner with a first heartbeat, and MLflow's own on user and source."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # containers run under ids without a name
        user = "unknown"
    source = {"mlflow.user": user, "mlflow.source.name": "reglab", "mlflow.source.type": "LOCAL"}
    return {OWNER_TAG: this_process(), HEARTBEAT_TAG: beat(), **source}


def _one_line(error: BaseException) -> str:
    """Return an error in one line of at most 500 characters: line of user code, type and first line of the message."""
    return redact(describe_error(error))[:500]
