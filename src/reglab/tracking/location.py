"""The location of a tracking store: its URI is resolved, made absolute and checked in milliseconds, without MLflow."""

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from reglab.filesystem import special_kind
from reglab.masking import mask_uri, register_secrets
from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError, Setting
from reglab.tracking.reachability import database_problem, server_problem

DATABASES = ("postgresql", "mysql", "mssql")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_FREE_BYTES = 2**20
_HEADER_BYTES = 100  # of a SQLite database


@dataclass(frozen=True)
class StoreLocation:
    """A tracking store.

    Args:
        uri: the tracking URI for MLflow; a SQLite path in it is absolute.
        artifact_root: absolute folder of the artifacts; None if a server decides.
        source: the setting that the URI came from, for messages.
    """

    uri: str
    artifact_root: str | None
    source: str = "tracking.uri"

    @property
    def database(self) -> Path | None:
        """The SQLite file; None for other stores."""
        return _sqlite_path(self.uri) if self.uri.startswith("sqlite") else None

    @property
    def is_database(self) -> bool:
        """Whether this process opens the database itself, without a server in between."""
        return self.artifact_root is not None

    @property
    def is_postgresql(self) -> bool:
        """Whether it is a PostgreSQL database that this process opens itself."""
        return self.uri.startswith(("postgresql:", "postgresql+"))

    @property
    def display_uri(self) -> str:
        """The URI without its password."""
        return mask_uri(self.uri)

    def error(self, problem: str, remedy: str = "") -> ConfigError:
        """Return an error about this store, which names its URI without the password."""
        came_from = "" if self.source == "tracking.uri" else f" (from {self.source})"
        return ConfigError(Setting("tracking.uri", f"{self.display_uri}{came_from}"), problem, remedy)

    def damaged_error(self, problem: object) -> ConfigError:
        """Return the error for a damaged SQLite database."""
        remedy = "restore a copy, or name another"
        if self.database and _has_log(self.database):  # the log belongs to another state if only the file was replaced
            remedy = f"if the file alone was replaced, move {self.database.name}-wal away too; else {remedy}"
        return self.error(f"the database is damaged ({problem})", remedy)


def resolve(uri: str | None, *, writes: bool = True) -> StoreLocation:
    """Return the store to use, checked: explicit `uri`, else MLFLOW_TRACKING_URI, else the project's own database.

    Args:
        uri: tracking URI as the user gave it.
        writes: the store is to be written; without, a read-only one is accepted.

    Raises:
        ConfigError: a scheme that MLflow does not support, a missing or read-only folder, or a server that does not
            answer.
    """
    location = parse_location(uri)
    check(location, writes=writes)
    return location


def parse_location(uri: str | None) -> StoreLocation:
    """Return the same as `resolve`, without access to disk or network.

    >>> parse_location("sqlite:////data/lab.db")
    StoreLocation(uri='sqlite:////data/lab.db', artifact_root='/data/mlartifacts', source='tracking.uri')

    Raises:
        ConfigError: a scheme that MLflow does not support, or a URI without a file or host.
    """
    source = "tracking.uri"
    if not uri and os.environ.get("MLFLOW_TRACKING_URI"):
        uri, source = os.environ["MLFLOW_TRACKING_URI"], "MLFLOW_TRACKING_URI"
    uri = str(uri) if uri else f"sqlite:///{PROJECT / 'mlflow.db'}"
    register_secrets(uri)
    location = StoreLocation(uri.rstrip("/") if uri.startswith("http") else uri, None, source)
    scheme, colon, rest = uri.partition(":")
    backend = scheme.split("+")[0]
    if scheme in _SQLITE and colon:
        path = _sqlite_path(uri)
        if path is None or path.name.startswith((":memory:", "file:")):
            raise location.error("names no file, so nothing would be stored", "give sqlite:////absolute/path/mlflow.db")
        _refuse_parameters(location, uri.partition("?")[2], "leave them out (in a file's name ? is %3F)")
        return StoreLocation(f"{scheme}:///{escape_path(path)}", str(path.parent / "mlartifacts"), source)
    if backend in DATABASES and rest.startswith("//"):
        return StoreLocation(uri, str(PROJECT / "mlartifacts"), source)
    if backend in ("http", "https"):
        if not urlsplit(uri).hostname:
            raise location.error("names no host", "give http://127.0.0.1:5000")
        _refuse_parameters(location, "".join(re.split("[?#]", uri.rpartition("@")[2], maxsplit=1)[1:]))
        return location
    if backend in DATABASES and colon:
        raise location.error("names no host", "give postgresql://USER@HOST:PORT/DATABASE")
    if backend == "file" or (not colon and not backend.startswith("databricks")):
        given_path = Path(urlsplit(uri).path if backend == "file" else uri).absolute()
        database = given_path if given_path.suffix in (".db", ".sqlite", ".sqlite3") else given_path / "mlflow.db"
        raise location.error("MLflow no longer keeps runs in plain folders", f"give sqlite:///{database}")
    raise location.error(f"unknown scheme {scheme!r}", f"known: {', '.join(('sqlite', *DATABASES, 'http', 'https'))}")


def escape_path(path: Path) -> str:
    """Return a path as a SQLite URI contains it: SQLAlchemy decodes ``%`` and ends the path at ``?``."""
    return str(path).replace("%", "%25").replace("?", "%3F")


def check(location: StoreLocation, *, writes: bool = True) -> None:
    """Raise ConfigError if `location` cannot be used or does not answer within seconds; see `resolve`."""
    database = location.database
    if database is not None:
        _check_database(location, database, writes)
        if writes and location.artifact_root and Path(location.artifact_root).exists():
            _check_folder(location, Path(location.artifact_root))
    elif location.is_database or location.uri.startswith("http"):
        problem = database_problem(location.uri) if location.is_database else server_problem(location.uri)
        if problem is not None:
            raise location.error(*problem)


def location_error(uri: str | None) -> ConfigError | None:
    """Return the error that `resolve` raises now; None if the store can be used.

    Used after a failed call to the store: if the store is unavailable, this explains more than the error of the call.
    """
    try:
        resolve(uri)
    except ConfigError as error:
        return error
    return None


def _refuse_parameters(location: StoreLocation, query: str, remedy: str = "leave them out") -> None:
    """Refuse URI parameters, which have no effect: reglab sets SQLite's options, and requests have their own query."""
    if query:
        names = ", ".join(dict.fromkeys(item.partition("=")[0][:40] for item in re.split("[&;]", query) if "=" in item))
        raise location.error(f"parameters{f' ({names})' if names else ''} have no effect", remedy)


def _sqlite_path(uri: str) -> Path | None:
    """Return the absolute path of a SQLite URI (`sqlite:///relative`, `sqlite:////absolute`); None if it has none."""
    path = unquote(uri.partition("://")[2].partition("?")[0].removeprefix("/"))
    return Path(os.path.abspath(path)) if path else None


def _check_database(location: StoreLocation, path: Path, writes: bool) -> None:
    try:
        if path.is_dir():
            raise location.error("is a folder", "name a file in it, such as mlflow.db")
        if writes:
            _check_folder(location, path.parent)
        if not path.exists():
            return
        if kind := special_kind(path.stat().st_mode):
            raise location.error(f"is {kind}, not a SQLite database", "name another file")
        if writes and not path.stat().st_mode & 0o222:  # the superuser could write it, but it is marked read-only
            raise location.error("the database is read-only", "make it writable (chmod u+w) or name another")
        if not os.access(path, os.W_OK if writes else os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        problem = _sqlite_problem(path, writes)
        if problem is not None and problem.sqlite_errorcode == sqlite3.SQLITE_NOTADB:
            raise location.error("is not a SQLite database", "name another file")
        if problem is not None and problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT:
            raise location.damaged_error(problem)
    except OSError as error:
        verb = "written" if writes else "read"
        raise location.error(f"the database cannot be {verb} ({error.strerror})", "name another") from error


def _sqlite_problem(path: Path, writes: bool) -> sqlite3.DatabaseError | None:
    """Return the error of SQLite when it reads the names of the tables; None if it can.

    The file is opened only by SQLite: closing it elsewhere in this process would release the locks on it (POSIX).
    """
    if 0 < path.stat().st_size < _HEADER_BYTES:  # SQLite would treat it as empty and overwrite it
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


def _check_folder(location: StoreLocation, folder: Path) -> None:
    """Check that a file can be made in a folder: permission bits do not decide this for root or on /proc."""
    if not folder.exists():
        raise location.error(f"the folder {folder} does not exist", "create it or name another")
    if not folder.is_dir():
        raise location.error(f"{folder} is not a folder", "name another")
    if not folder.stat().st_mode & 0o222:
        raise location.error(f"the folder {folder} is read-only", "make it writable (chmod u+w) or name another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        if (free := shutil.disk_usage(folder).free) < _FREE_BYTES:
            raise location.error(
                f"no space is left on its disk ({free // 1024} KiB free)", "delete files or name another"
            )
    except OSError as error:
        raise location.error(f"the folder {folder} cannot be written ({error.strerror})", "name another") from error
