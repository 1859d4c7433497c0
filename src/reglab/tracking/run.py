"""One tracked run: opened before anything else happens, and always ended in the right status."""

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
from reglab.own_code import described
from reglab.schema.errors import ConfigError, Diverged, StoreLost, is_out_of_memory
from reglab.stopping import Stopped, at_once
from reglab.tracking import heartbeat, owner
from reglab.tracking.artifacts import Artifacts
from reglab.tracking.buffer import Buffer
from reglab.tracking.closing import CLOSE_S, signals_held
from reglab.tracking.store import Store
from reglab.tracking.uri import Place, unusable
from reglab.tracking.values import cut_name, fitted

PARENT_TAG = "mlflow.parentRunId"
OUT_OF_MEMORY = "out_of_memory"  # a run that failed for lack of memory
_PARAMS_PER_CALL = 100
_log = logging.getLogger(__name__)


class TrackedRun:
    """A context manager around one MLflow run. The block's outcome is the run's status:

    nothing raised: FINISHED; `Stopped`, KeyboardInterrupt, SystemExit: KILLED; `Diverged`: FAILED with the tags
    `diverged` and `diverged_step`; a lack of memory: FAILED with the tag `out_of_memory`; anything else: FAILED. A
    FAILED run has `error.txt` (one line, then the traceback) and the line as tag `error`. Signals wait until the run is
    closed. Until then it has a heartbeat.
    Where the store has gone, whatever the block raised becomes `StoreLost`, and the run stays RUNNING until the next
    start finds it; as it does where a second signal ends the process at once, unless there is time to mark it KILLED.
    """

    def __init__(self, store: Store, run_id: str, artifact_uri: str, beat_s: float = heartbeat.EVERY_S) -> None:
        self.id = run_id
        self._store = store
        self._artifacts = Artifacts(store.client, store.uri, run_id, artifact_uri)
        self._buffer = Buffer(store.client, run_id, self._artifacts.write_text)
        self.status = "RUNNING"
        self._gone: StoreLost | None = None
        self._heart = heartbeat.Heart(store.client, run_id, beat_s)
        self._while_open = ExitStack()
        self._while_open.enter_context(at_once(lambda: store.client.set_terminated(run_id, "KILLED")))

    @classmethod
    def open(
        cls,
        store: Store,
        *,
        name: str,
        tags: Mapping[str, object],
        params: Mapping[str, object],
        parent: str | None = None,
        beat_s: float = heartbeat.EVERY_S,
    ) -> "TrackedRun":
        """Creates the run with everything that is known before it starts.

        Args:
            store: where.
            name: shown in the UI; longer ones are cut at 250 characters.
            tags: searchable; None leaves a tag out.
            params: the few that people filter on; they can never change. Long tags and params: see `values.fitted`.
            parent: id of the sweep's or study's run.
            beat_s: seconds between heartbeats.
        """
        given, files = fitted({**standard_tags(), **tags, PARENT_TAG: parent or None})
        kept, more = fitted(params, params=True)
        run: TrackedRun | None = None
        try:
            with signals_held():
                info = store.create_run(given, cut_name(name))
                try:
                    run = cls(store, info.run_id, info.artifact_uri, beat_s)
                except ConfigError:  # a place of artifacts that is not used
                    store.client.set_terminated(info.run_id, "FAILED")
                    raise
                entries = [Param(key, value) for key, value in kept.items()]
                for start in range(0, len(entries), _PARAMS_PER_CALL):
                    store.client.log_batch(info.run_id, params=entries[start : start + _PARAMS_PER_CALL])
                for path, text in {**files, **more}.items():
                    run.log_text(text, path)
        except BaseException as error:
            if run is not None:
                run.__exit__(type(error), error, error.__traceback__)
            raise
        return run

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Buffers metrics; sent after two seconds at the latest call, and at the end. Not finite: left out."""
        self._buffer.add(metrics, step)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Buffers tags like metrics; None leaves a tag out."""
        self._buffer.tag(tags)

    def log_text(self, text: str, path: str) -> None:
        """Writes an artifact."""
        self._artifacts.write_text(text, path)

    def folder(self, path: str) -> AbstractContextManager[Path]:
        """A local folder to write files into, which are then at `path` of the run."""
        return self._artifacts.folder(path)

    def __enter__(self) -> "TrackedRun":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StoreLost):  # each further call would wait as long
            self._while_open.close()
            self._heart.stop()
            return
        stopped = isinstance(error, (Stopped, KeyboardInterrupt, SystemExit, GeneratorExit))
        # A signal that comes at once after the first changes nothing; a store that hangs gets a limit.
        limit = waiting(limit=CLOSE_S) if stopped else nullcontext()
        with self._while_open, signals_held(deliver=not stopped), limit:
            problem = self._close("FINISHED" if error is None else "KILLED" if stopped else "FAILED", error)
        if problem is None:
            return
        gone = self._gone.cause if self._gone is not None else unusable(self._store.uri)
        if gone is not None and not stopped:  # then that is what went wrong, whatever the error says
            raise StoreLost(gone) from (error or (self._gone and self._gone.__cause__))
        line = f"run {self.id} could not be closed properly: {gone or problem}"
        if error is None:
            raise Place(self._store.uri, None).error(line)
        _log.error("%s", line)

    def _close(self, status: str, error: BaseException | None) -> str | None:
        """Sends what is buffered, then the status; returns what went wrong on the way, in one line."""
        problems: list[str] = []
        lost = False

        def attempt(step: Callable[[], object]) -> None:
            nonlocal lost
            if lost:  # each further call would try again for seconds, with signals held
                return
            try:
                step()
            except (MlflowException, OSError, Overdue, StoreLost) as failure:
                problems.append(failure.cause if isinstance(failure, StoreLost) else _one_line(failure))
                # The request itself failed, and not its answer.
                lost = isinstance(failure, Overdue | StoreLost) or isinstance(failure.__context__, OSError)
                self._gone = self._gone or (failure if isinstance(failure, StoreLost) else None)

        attempt(self._heart.stop)
        if status == "FAILED" and error is not None:
            line = _one_line(error)
            diverged = {"diverged": "true", "diverged_step": error.step} if isinstance(error, Diverged) else {}
            report = redact(f"{line}\n\n{''.join(traceback.format_exception(error))}")
            memory = {OUT_OF_MEMORY: "true"} if is_out_of_memory(error) else {}
            attempt(lambda: self._buffer.tag({"error": line, **diverged, **memory}))
            attempt(lambda: self._artifacts.write_text(report, "error.txt"))
        attempt(self._buffer.send)
        if problems and status == "FINISHED":
            status = "FAILED"  # FINISHED promises that nothing is missing
        attempt(lambda: self._store.client.set_terminated(self.id, status))
        self.status = status
        return problems[0] if problems else None


def standard_tags() -> dict[str, str]:
    """Tags of every run: its owner with a first heartbeat, and who runs what as MLflow shows it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # containers run under ids without a name
        user = "unknown"
    shown = {"mlflow.user": user, "mlflow.source.name": "reglab", "mlflow.source.type": "LOCAL"}
    return {owner.TAG: owner.me(), heartbeat.TAG: heartbeat.now(), **shown}


def _one_line(error: BaseException) -> str:
    """The error's type and first line, at most 500 characters, behind the line of a user's own code that raised it."""
    return redact(described(error))[:500]
