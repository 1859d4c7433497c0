"""Where runs are kept: a tracking URI found, made absolute and checked in milliseconds, without MLflow."""

import contextlib
import errno
import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from reglab.masking import mask_uri, remember
from reglab.paths import PROJECT, special_kind
from reglab.schema.errors import ConfigError, Setting

DATABASES = ("postgresql", "mysql", "mssql")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_FREE_BYTES = 2**20
_HEADER_BYTES = 100  # of a sqlite database


@dataclass(frozen=True)
class Place:
    """A tracking store.

    Args:
        uri: what MLflow is given; a sqlite path in it is absolute.
        artifact_root: absolute folder of the artifacts, None where the server decides.
        source: the setting that the URI came from, for messages.
    """

    uri: str
    artifact_root: str | None
    source: str = "tracking.uri"

    @property
    def database(self) -> Path | None:
        """The sqlite file, None for other stores."""
        return _sqlite_path(self.uri) if self.uri.startswith("sqlite") else None

    @property
    def is_database(self) -> bool:
        """Whether this process opens the database itself; servers have one of their own."""
        return self.artifact_root is not None

    @property
    def is_postgresql(self) -> bool:
        """Whether it is a PostgreSQL database that this process opens itself."""
        return self.uri.startswith(("postgresql:", "postgresql+"))

    @property
    def shown(self) -> str:
        """The URI without its password."""
        return mask_uri(self.uri)

    def damaged(self, problem: object) -> ConfigError:
        """Return the error for a damaged sqlite database."""
        remedy = "restore a copy, or name another"
        if self.database and _has_log(self.database):  # it fits another state if only the file was replaced
            remedy = f"if the file alone was replaced, move {self.database.name}-wal away too; else {remedy}"
        return self.error(f"the database is damaged ({problem}); {remedy}")

    def error(self, problem: str) -> ConfigError:
        """One line that names the key, the URI (without its password) and the problem."""
        came_from = "" if self.source == "tracking.uri" else f" (from {self.source})"
        return ConfigError(Setting("tracking.uri", f"{self.shown}{came_from}"), problem)


def resolve(uri: str | None, *, writes: bool = True) -> Place:
    """The store to use, checked: explicit `uri`, else MLFLOW_TRACKING_URI, else the project's own database.

    Args:
        uri: as the user gave it.
        writes: whether the store is to be written; without, a read-only one will do.

    Raises:
        ConfigError: a scheme MLflow no longer takes, a missing or read-only folder, a server that does not answer.
    """
    place = locate(uri)
    check(place, writes=writes)
    return place


def locate(uri: str | None) -> Place:
    """`resolve` without looking at disk or network."""
    source = "tracking.uri"
    if not uri and os.environ.get("MLFLOW_TRACKING_URI"):
        uri, source = os.environ["MLFLOW_TRACKING_URI"], "MLFLOW_TRACKING_URI"
    uri = str(uri) if uri else f"sqlite:///{PROJECT / 'mlflow.db'}"
    remember(uri)
    place = Place(uri.rstrip("/") if uri.startswith("http") else uri, None, source)
    scheme, colon, rest = uri.partition(":")
    base = scheme.split("+")[0]
    if scheme in _SQLITE and colon:
        path = _sqlite_path(uri)
        if path is None or path.name.startswith((":memory:", "file:")):
            raise place.error("names no file, so nothing would be kept; give sqlite:////absolute/path/mlflow.db")
        _refuse_parameters(place, uri.partition("?")[2], "leave them out (in a file's name ? is %3F)")
        escaped = str(path).replace("%", "%25").replace("?", "%3F")  # SQLAlchemy decodes it
        return Place(f"{scheme}:///{escaped}", str(path.parent / "mlartifacts"), source)
    if base in DATABASES and rest.startswith("//"):
        return Place(uri, str(PROJECT / "mlartifacts"), source)
    if base in ("http", "https"):
        if not urlsplit(uri).hostname:
            raise place.error("names no host; give http://127.0.0.1:5000")
        _refuse_parameters(place, "".join(re.split("[?#]", uri.rpartition("@")[2], maxsplit=1)[1:]))
        return place
    if base in DATABASES and colon:
        raise place.error("names no host; give postgresql://USER@HOST:PORT/DATABASE")
    if base == "file" or (not colon and not base.startswith("databricks")):
        where = Path(urlsplit(uri).path if base == "file" else uri).absolute()
        database = where if where.suffix in (".db", ".sqlite", ".sqlite3") else where / "mlflow.db"
        raise place.error(f"MLflow no longer keeps runs in plain folders; give sqlite:///{database}")
    known = ", ".join(("sqlite", *DATABASES, "http", "https"))
    raise place.error(f"unknown scheme {scheme!r}; known: {known}")


def _refuse_parameters(place: Place, query: str, remedy: str = "leave them out") -> None:
    """Refuse URI parameters, which nothing reads: reglab sets sqlite's options, and requests have their own query."""
    if query:
        names = ", ".join(dict.fromkeys(item.partition("=")[0][:40] for item in re.split("[&;]", query) if "=" in item))
        raise place.error(f"parameters{f' ({names})' if names else ''} have no effect; {remedy}")


def check(place: Place, *, writes: bool = True) -> None:
    """Raise ConfigError where `place` cannot be used or does not answer within seconds; see `resolve`."""
    database = place.database
    if database is not None:
        _check_database(place, database, writes)
        if writes and place.artifact_root and Path(place.artifact_root).exists():
            _check_folder(place, Path(place.artifact_root))
    elif place.is_database or place.uri.startswith("http"):
        from reglab.tracking import reachable

        ask = reachable.database_problem if place.is_database else reachable.server_problem
        if problem := ask(place.uri):
            raise place.error(problem)


def unusable(uri: str | None) -> ConfigError | None:
    """Why the store cannot be used now, None where it can: an error that it caused is told by this."""
    try:
        resolve(uri)
    except ConfigError as error:
        return error
    return None


def local_folder(place: Place, location: str, key: str = "") -> Path | None:
    """Return the folder of artifacts that a store names, None for those behind a server.

    What a store names is data: a folder elsewhere would be read and written with the user's rights, a bucket or another
    server reached with the user's credentials. So artifacts are behind the server itself, or below the store's own
    artifact root (see `_artifact_roots`). In a sqlite store that was moved, a folder at its former place is looked up
    beside the database.

    Args:
        place: the store.
        location: of a run's, a model's or an experiment's artifacts.
        key: begins the message: the run or model, empty for the experiment.

    Raises:
        ConfigError: the location is elsewhere; with the remedy.
    """
    if not place.is_database:
        _check_behind(place, location)
        return None
    folder = _path_of(location)
    roots = _artifact_roots(place)
    if folder is not None and not any(_is_below(folder, root) for root in roots):
        moved = [(_moved(folder, root), root) for root in roots] if place.database is not None else []
        folder = next((there for there, root in moved if there is not None and _is_below(there, root)), None)
    if folder is not None:
        return folder
    if place.database is None:
        remedy = "read it through the tracking server of that folder (tracking.uri=http://HOST:PORT)"
    elif _path_of(location) is None:
        remedy = "read it through its tracking server (tracking.uri=http://HOST:PORT)"
    else:
        remedy = "put its folder beside the database"
    line = f"artifacts are at {location[:200]}, outside {roots[0]}, so they are neither read nor written; {remedy}"
    if not key:
        raise place.error(f"the experiment's {line}, or take a new tracking.experiment")
    raise ConfigError(key, f"its {line}, or give another run (tracking.uri={place.shown})")


def own_folder(place: Place, location: str, key: str) -> Path | None:
    """Return the same as `local_folder` for what MLflow itself reads and writes, which does not look up moved folders.

    Raises:
        ConfigError: the location is elsewhere, also in a store that was moved.
    """
    folder = local_folder(place, location, key)
    if folder is not None and folder != _path_of(location):
        raise ConfigError(
            key,
            f"the store was moved, and its models would be kept at its former place ({location[:200]})",
            f"move it back, or train in a new tracking.experiment (tracking.uri={place.shown})",
        )
    return folder


def _check_behind(place: Place, location: str) -> None:
    behind = False
    with contextlib.suppress(ValueError):  # no URI
        parts, server = urlsplit(location), urlsplit(place.uri)
        behind = parts.scheme == "mlflow-artifacts" and parts.hostname in (None, server.hostname)
        behind = behind and ".." not in PurePosixPath(unquote(parts.path)).parts
    if not behind:
        raise place.error(
            f"the server keeps artifacts at {location[:200]}, not behind "
            "it, and what a server names is not written to; start it with --serve-artifacts and "
            "--artifacts-destination, and take a new tracking.experiment"
        )


def _path_of(location: str) -> Path | None:
    """The path of a location on this machine, None for another location."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return None
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    path = unquote(parts.path) if parts.scheme else location
    return None if not path or "\0" in path or ".." in PurePosixPath(path).parts else Path(path)


def _artifact_roots(place: Place) -> list[Path]:
    """Folders below which a database keeps artifacts, reglab's first; plain clients of MLflow keep them in mlruns.

    A sqlite file that is named by a link has them beside the link or the file.
    """
    assert place.artifact_root is not None
    own = Path(place.artifact_root)
    if place.database is None:
        return [own]
    folders = dict.fromkeys((own.parent, place.database.resolve().parent))
    return [folder / name for folder in folders for name in (own.name, "mlruns")]


def _is_below(folder: Path, root: Path) -> bool:
    return folder.is_absolute() and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(root))


def _moved(folder: Path, root: Path) -> Path | None:
    """The folder of the same name below the root of a moved store, None if the root has another name or is missing."""
    names = folder.parts
    if root.name not in names or not root.is_dir():
        return None
    last = len(names) - 1 - names[::-1].index(root.name)
    return root.joinpath(*names[last + 1 :])


def _sqlite_path(uri: str) -> Path | None:
    """Absolute path of a sqlite URI (`sqlite:///relative`, `sqlite:////absolute`), None where it names none."""
    path = unquote(uri.partition("://")[2].partition("?")[0].removeprefix("/"))
    return Path(os.path.abspath(path)) if path else None


def _check_database(place: Place, path: Path, writes: bool) -> None:
    try:
        if path.is_dir():
            raise place.error("is a folder; name a file in it, such as mlflow.db")
        if writes:
            _check_folder(place, path.parent)
        if not path.exists():
            return
        if what := special_kind(path.stat().st_mode):
            raise place.error(f"is {what}, not a sqlite database; name another file")
        if writes and not path.stat().st_mode & 0o222:  # the superuser could write it, but it is marked read-only
            raise place.error("the database is read-only; make it writable (chmod u+w) or name another")
        if not os.access(path, os.W_OK if writes else os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        problem = _sqlite_problem(path, writes)
        if problem is not None and problem.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise place.error("is not a sqlite database; name another file")
        if problem is not None and problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise place.damaged(problem)
    except OSError as error:
        verb = "written" if writes else "read"
        raise place.error(f"the database cannot be {verb} ({error.strerror}); name another") from error


def _sqlite_problem(path: Path, writes: bool) -> sqlite3.DatabaseError | None:
    """Return the error of sqlite when it reads the names of the tables, None if it can.

    The file is opened only by sqlite: closing it elsewhere in this process would release the locks on it (POSIX).
    """
    if 0 < path.stat().st_size < _HEADER_BYTES:  # sqlite would treat it as empty and overwrite it
        problem = sqlite3.DatabaseError()
        problem.sqlite_errorcode = sqlite3.SQLITE_NOTADB
        return problem
    # Closing the last connection that may write copies the log into the file, even if it is the log of another file.
    mode = "rw" if writes and not _has_log(path) else "ro"
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=0)) as connection:
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.DatabaseError as error:
            return error
    return None


def _has_log(path: Path) -> bool:
    log = Path(f"{path}-wal")
    return log.exists() and log.stat().st_size > 0


def _check_folder(place: Place, folder: Path) -> None:
    """A folder is writable when a file can be made in it: permission bits say nothing to root or on /proc."""
    if not folder.exists():
        raise place.error(f"the folder {folder} does not exist; create it or name another")
    if not folder.is_dir():
        raise place.error(f"{folder} is not a folder; name another")
    if not folder.stat().st_mode & 0o222:
        raise place.error(f"the folder {folder} is read-only; make it writable (chmod u+w) or name another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if (free := shutil.disk_usage(folder).free) < _FREE_BYTES:
            raise place.error(f"no space is left on its disk ({free // 1024} KiB free); delete files or name another")
    except OSError as error:
        raise place.error(f"the folder {folder} cannot be written ({error.strerror}); name another") from error
