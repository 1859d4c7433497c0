"""Files of a run: written straight into its folder where that is local, through MLflow otherwise."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from reglab.tracking.store import Store


class Artifacts:
    """The artifacts of one run.

    Args:
        client: MLflow's client.
        uri: tracking URI. Behind a server even a local-looking folder is the server's, not ours.
        run_id: the run.
        artifact_uri: `run.info.artifact_uri`.
    """

    def __init__(self, client: MlflowClient, uri: str, run_id: str, artifact_uri: str) -> None:
        self._client = client
        self._run_id = run_id
        parts = urlsplit(artifact_uri)
        local = not uri.startswith(("http", "databricks")) and parts.scheme in ("", "file")
        path = unquote(parts.path) if parts.scheme else artifact_uri
        self.dir: Path | None = Path(path) if local else None

    def write_text(self, text: str, path: str) -> None:
        """Writes `text` to `path` (relative, with `/`); a file there is replaced as a whole."""
        _check_relative(path)
        if self.dir is None:
            self._client.log_text(self._run_id, text, path)
            return
        target = self.dir / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(target)

    @contextmanager
    def folder(self, path: str) -> Iterator[Path]:
        """A local folder to write into; what it holds at the end of the block is at `path` of the run."""
        _check_relative(path)
        if self.dir is not None:
            target = self.dir / path
            target.mkdir(parents=True, exist_ok=True)
            yield target
            return
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
            self._client.log_artifacts(self._run_id, temporary, path)

    def read_text(self, path: str) -> str | None:
        """The text at `path`, None where there is none."""
        with self.file(path) as file:
            return file.read_text(encoding="utf-8") if file is not None else None

    @contextmanager
    def file(self, path: str) -> Iterator[Path | None]:
        """The artifact at `path` as a local file, there within the block; None where the run has none."""
        _check_relative(path)
        if self.dir is not None:
            yield self.dir / path if (self.dir / path).is_file() else None
            return
        with tempfile.TemporaryDirectory() as temporary:
            yield self._downloaded(path, temporary)

    def _downloaded(self, path: str, folder: str) -> Path | None:
        parent = str(PurePosixPath(path).parent)
        try:
            names = [f.path for f in self._client.list_artifacts(self._run_id, None if parent == "." else parent)]
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return Path(self._client.download_artifacts(self._run_id, path, folder)) if path in names else None


def of(store: Store, run_id: str) -> Artifacts:
    """The artifacts of an existing run."""
    return Artifacts(store.client, store.uri, run_id, store.client.get_run(run_id).info.artifact_uri)


def _check_relative(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"artifact path {path!r}: give a relative path without '..'")
