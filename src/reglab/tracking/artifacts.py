"""Files of a run: written directly into its folder if that is local, otherwise through MLflow."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import yaml
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from reglab.filesystem import draft_folder, write_whole
from reglab.schema.errors import ConfigError, Setting
from reglab.tracking.artifact_location import local_folder
from reglab.tracking.location import parse_location
from reglab.tracking.store import Store

_Kind = TypeVar("_Kind", dict, list)
LARGEST = 64 * 2**20  # bytes of a text that is read


class Artifacts:
    """The artifacts of one run.

    Args:
        client: MLflow's client.
        uri: tracking URI. A server's folder is not used even if it is on this machine.
        run_id: the run.
        artifact_uri: `run.info.artifact_uri`.

    Raises:
        ConfigError: the run's artifacts are outside the store, see `artifact_location.local_folder`.
    """

    def __init__(self, client: MlflowClient, uri: str, run_id: str, artifact_uri: str) -> None:
        self._client = client
        self._run_id = run_id
        self.dir = local_folder(parse_location(uri), artifact_uri, Setting("run_id", run_id))

    def write_text(self, text: str, path: str) -> None:
        """Write `text` to `path` (relative, with `/`); a file there is replaced as a whole."""
        _check_relative(path)
        if self.dir is None:
            self._client.log_text(self._run_id, text, path)
            return
        target = self._local(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, text)

    @contextmanager
    def folder(self, path: str) -> Iterator[Path]:
        """Provide a local folder; at the end of the block its files are logged at `path` of the run.

        Files of the same name are replaced as a whole. If the block raises, nothing is logged.
        """
        _check_relative(path)
        if self.dir is not None:
            target = self._local(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft_folder(target) as draft:
                yield draft
                target.mkdir(exist_ok=True)
                for file in sorted(draft.iterdir()):
                    os.replace(file, target / file.name)
            return
        with tempfile.TemporaryDirectory() as temporary:
            yield Path(temporary)
            self._client.log_artifacts(self._run_id, temporary, path)

    def read_text(self, path: str) -> str | None:
        """Return the text at `path`, None if there is none.

        Raises:
            ConfigError: it is not text in UTF-8, or larger than `LARGEST` bytes.
        """
        with self.file(path) as file:
            if file is not None and (size := file.stat().st_size) > LARGEST:
                raise self.damaged_error(
                    path, f"{size / 2**20:.0f} MiB, more than the limit of {LARGEST / 2**20:.0f} MiB"
                )
            try:
                return file.read_text(encoding="utf-8") if file is not None else None
            except UnicodeDecodeError as error:
                raise self.damaged_error(path, error) from error

    def read_json(self, path: str, kind: type[_Kind]) -> _Kind | None:
        """Return the value of the JSON file at `path`, None if there is none.

        Raises:
            ConfigError: not JSON, or not of type `kind` (dict or list).
        """
        return self._read(path, kind, json.loads)

    def read_yaml(self, path: str, kind: type[_Kind]) -> _Kind | None:
        """Return the value of the YAML file at `path`, as `read_json` does."""
        return self._read(path, kind, yaml.safe_load)

    def _read(self, path: str, kind: type[_Kind], parse: Callable[[str], Any]) -> _Kind | None:
        text = self.read_text(path)
        if text is None:
            return None
        try:
            value = parse(text)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            raise self.damaged_error(path, error) from error
        if not isinstance(value, kind):
            raise self.damaged_error(path, f"is not a {kind.__name__}")
        return value

    def damaged_error(self, path: str, problem: object) -> ConfigError:
        """Return the error for a file of the run that cannot be read."""
        reason = next((line for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
        return ConfigError(
            Setting("run_id", self._run_id), f"{path} is damaged ({reason})", "restore the file, or give another run"
        )

    @contextmanager
    def file(self, path: str) -> Iterator[Path | None]:
        """Provide the artifact at `path` as a local file inside the block; None if the run has none."""
        _check_relative(path)
        if self.dir is not None:
            local = self._local(path)
            yield local if local.is_file() else None
            return
        with tempfile.TemporaryDirectory() as temporary:
            yield self._download(path, temporary)

    def _local(self, path: str) -> Path:
        """Return the path on this machine; refuse one that a link leads out of the run's folder."""
        assert self.dir is not None
        local = self.dir / path
        if not Path(os.path.realpath(local)).is_relative_to(os.path.realpath(self.dir)):
            raise self.damaged_error(path, "a link leads out of the run's folder")
        return local

    def _download(self, path: str, folder: str) -> Path | None:
        parent = str(PurePosixPath(path).parent)
        try:
            names = [f.path for f in self._client.list_artifacts(self._run_id, None if parent == "." else parent)]
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return Path(self._client.download_artifacts(self._run_id, path, folder)) if path in names else None


def of_run(store: Store, run_id: str) -> Artifacts:
    """Return the artifacts of an existing run."""
    return Artifacts(store.client, store.uri, run_id, store.client.get_run(run_id).info.artifact_uri)


def _check_relative(path: str) -> None:
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"artifact path {path!r}: give a relative path without '..'")
