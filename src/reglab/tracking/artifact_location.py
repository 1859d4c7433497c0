"""Locations of artifacts that a store names: check that they may be used, and find their local folders.

A location that a store names is untrusted. A folder elsewhere would be accessed with the user's permissions, a
bucket or another server with the user's credentials. So artifacts are accepted only behind the server itself, or
below the artifact root of the store's own database.
"""

import contextlib
import os
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from reglab.schema.errors import ConfigError, Setting
from reglab.tracking.location import StoreLocation


def local_folder(location: StoreLocation, artifact_uri: str, where: Setting | str = "") -> Path | None:
    """Return the folder of artifacts that a store names; None for those behind a server.

    In a SQLite store that was moved, a folder at the former location is searched for beside the database.

    Args:
        location: the store.
        artifact_uri: location of the artifacts of a run, a model or an experiment.
        where: the run or model, for messages; empty for the experiment.

    Raises:
        ConfigError: the location is elsewhere; with the remedy.
    """
    if not location.is_database:
        _check_served(location, artifact_uri)
        return None
    folder = _path_of(artifact_uri)
    roots = _artifact_roots(location)
    if folder is not None and not any(_is_below(folder, root) for root in roots):
        moved_roots = roots if location.database is not None else []
        candidates = [(_folder_in_moved_store(folder, root), root) for root in moved_roots]
        folder = next((moved for moved, root in candidates if moved is not None and _is_below(moved, root)), None)
    if folder is not None:
        return folder
    if location.database is None:
        remedy = "read it through the tracking server of that folder (tracking.uri=http://HOST:PORT)"
    elif _path_of(artifact_uri) is None:
        remedy = "read it through its tracking server (tracking.uri=http://HOST:PORT)"
    else:
        remedy = "put its folder beside the database"
    problem = f"artifacts are at {artifact_uri[:200]}, outside {roots[0]}; nothing there is read or written"
    if not where:
        raise location.error(f"the experiment's {problem}", f"{remedy}, or use a new tracking.experiment")
    raise ConfigError(where, f"its {problem}", f"{remedy}, or give another run (tracking.uri={location.display_uri})")


def mlflow_folder(location: StoreLocation, artifact_uri: str, where: Setting | str) -> Path | None:
    """Return the same as `local_folder` for what MLflow itself reads and writes, which does not look up moved folders.

    Raises:
        ConfigError: the location is elsewhere, also in a store that was moved.
    """
    folder = local_folder(location, artifact_uri, where)
    if folder is not None and folder != _path_of(artifact_uri):
        raise ConfigError(
            where,
            f"the store was moved, and its models would be stored at its former location ({artifact_uri[:200]})",
            f"move it back, or train in a new tracking.experiment (tracking.uri={location.display_uri})",
        )
    return folder


def _check_served(location: StoreLocation, artifact_uri: str) -> None:
    served = False
    with contextlib.suppress(ValueError):  # not a URI
        parts, server = urlsplit(artifact_uri), urlsplit(location.uri)
        served = parts.scheme == "mlflow-artifacts" and parts.hostname in (None, server.hostname)
        served = served and ".." not in PurePosixPath(unquote(parts.path)).parts
    if not served:
        raise location.error(
            f"the server does not serve its artifacts ({artifact_uri[:200]}), and locations that it names "
            "are not written to",
            "start it with --serve-artifacts and --artifacts-destination, and use a new tracking.experiment",
        )


def _path_of(artifact_uri: str) -> Path | None:
    """Return the path of a location on this machine; None for another location."""
    try:
        parts = urlsplit(artifact_uri)
    except ValueError:
        return None
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    path = unquote(parts.path) if parts.scheme else artifact_uri
    return None if not path or "\0" in path or ".." in PurePosixPath(path).parts else Path(path)


def _artifact_roots(location: StoreLocation) -> list[Path]:
    """Return the folders below which a database keeps artifacts, reglab's first; plain clients of MLflow use mlruns.

    A SQLite file that is named by a link has them beside the link or beside the file.
    """
    assert location.artifact_root is not None
    default_root = Path(location.artifact_root)
    if location.database is None:
        return [default_root]
    folders = dict.fromkeys((default_root.parent, location.database.resolve().parent))
    return [folder / name for folder in folders for name in (default_root.name, "mlruns")]


def _is_below(folder: Path, root: Path) -> bool:
    return folder.is_absolute() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))


def _folder_in_moved_store(folder: Path, root: Path) -> Path | None:
    """Return the folder of the same name below the root of a moved store; None if the root is missing or differs."""
    names = folder.parts
    if root.name not in names or not root.is_dir():
        return None
    last = len(names) - 1 - names[::-1].index(root.name)
    return root.joinpath(*names[last + 1 :])
