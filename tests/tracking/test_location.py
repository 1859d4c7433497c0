import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from mlflow import MlflowClient
from sqlalchemy import make_url

from reglab.masking import mask_uri
from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError, StoreLost
from reglab.tracking import client
from reglab.tracking.artifact_location import local_folder, mlflow_folder
from reglab.tracking.location import StoreLocation, parse_location, resolve
from tests.errors import config_error


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def error_of(uri: str | None) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(uri)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("tracking.uri=")
    return line


def test_default_is_the_projects_database() -> None:
    assert resolve(None) == StoreLocation(f"sqlite:///{PROJECT}/mlflow.db", f"{PROJECT}/mlartifacts")


def test_explicit_wins_over_environment_wins_over_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/environment.db")
    assert resolve(None).uri == f"sqlite:///{tmp_path}/environment.db"
    assert resolve(f"sqlite:///{tmp_path}/explicit.db").uri == f"sqlite:///{tmp_path}/explicit.db"


def test_relative_sqlite_path_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    assert resolve("sqlite:///sub/a.db") == StoreLocation(
        f"sqlite:///{tmp_path}/sub/a.db", f"{tmp_path}/sub/mlartifacts"
    )
    assert list((tmp_path / "sub").iterdir()) == []  # resolving creates no file


def test_other_databases_pass_through() -> None:
    assert parse_location("postgresql+psycopg2://me:secret@db/lab").uri == "postgresql+psycopg2://me:secret@db/lab"


@pytest.mark.parametrize("uri", ["file:///x/mlruns", "file:./mlruns", "/x/mlruns", "mlruns"])
def test_plain_folders_are_refused_with_a_valid_uri(uri: str) -> None:
    line = error_of(uri)
    assert "sqlite:////" in line
    assert line.endswith("mlruns/mlflow.db")


def test_error_for_a_plain_database_path_gives_its_uri() -> None:
    assert error_of("/x/lab.db").endswith("give sqlite:////x/lab.db")


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "sqlite:"])
def test_databases_in_memory_are_refused(uri: str) -> None:
    assert "names no file" in error_of(uri)


@pytest.mark.parametrize(
    "uri", ["sqlit:///x.db", "sqlite+aiosqlite:///x.db", "databricks", "databricks://SECRET:x@h", "databricks-uc"]
)
def test_unknown_scheme_names_the_known_ones(uri: str) -> None:
    line = error_of(uri)
    assert f"unknown scheme {uri.partition(':')[0]!r}; known: sqlite, postgresql" in line
    assert "SECRET" not in line


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("sqlite:////tmp/x.db?password=SECRET", " (password)"),
        ("sqlite:////tmp/x.db?mode=ro&timeout=5", " (mode, timeout)"),
        ("sqlite:////tmp/x.db?SECRET", ""),
        ("http://127.0.0.1:1?token=SECRET", " (token)"),
        ("http://me:pw@127.0.0.1:1/#x", ""),
    ],
)
def test_parameters_without_an_effect_are_refused_by_name(uri: str, names: str) -> None:
    line = error_of(uri)
    assert f": parameters{names} have no effect; leave them out" in line
    assert ("%3F" in line) == uri.startswith("sqlite")  # a server's address has no file name
    assert "SECRET" not in line


def test_missing_parent_folder(tmp_path: Path) -> None:
    assert f"the folder {tmp_path}/no does not exist" in error_of(f"sqlite:///{tmp_path}/no/mlflow.db")
    assert not (tmp_path / "no").exists()


def test_path_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is not a folder" in error_of(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    assert "is a folder" in error_of(f"sqlite:///{tmp_path}")


def test_folder_that_not_even_root_can_write() -> None:
    if not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    error_of("sqlite:////proc/self/mlflow.db")


def test_folder_without_write_permission(tmp_path: Path) -> None:
    folder = tmp_path / "frozen"
    folder.mkdir(mode=0o555)
    assert "read-only" in error_of(f"sqlite:///{folder}/mlflow.db")


def test_database_without_write_permission(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch(mode=0o444)
    assert "read-only" in error_of(f"sqlite:///{tmp_path}/mlflow.db")


def test_artifact_folder_without_write_permission(tmp_path: Path) -> None:
    (tmp_path / "mlartifacts").mkdir(mode=0o555)
    assert "mlartifacts is read-only" in error_of(f"sqlite:///{tmp_path}/mlflow.db")


def test_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, just words")
    assert "is not a SQLite database" in error_of(f"sqlite:///{tmp_path}/notes.txt")


def test_resolving_keeps_the_locks_of_an_open_database(tmp_path: Path) -> None:
    """Without the locks, another process that closes the database would delete the write-ahead log."""
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE numbers (n)")
        resolve(f"sqlite:///{tmp_path}/mlflow.db")
        code = (
            "import sqlite3; c = sqlite3.connect('mlflow.db'); c.execute('INSERT INTO numbers VALUES (1)'); c.commit()"
        )
        subprocess.run([sys.executable, "-c", f"{code}; c.close()"], cwd=tmp_path, check=True)
        assert (tmp_path / "mlflow.db-wal").exists()
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as another:
            assert another.execute("SELECT n FROM numbers").fetchall() == [(1,)]


def test_the_environment_variable_is_named_as_the_source_of_the_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mlruns")
    assert error_of(None).startswith("tracking.uri=mlruns (from MLFLOW_TRACKING_URI")


def test_passwords_are_never_shown() -> None:
    assert mask_uri("postgresql://me:secret@db:5/lab") == "postgresql://me:***@db:5/lab"
    assert mask_uri("https://host/a:b@c") == "https://host/a:b@c"
    assert "secret" not in error_of("https://me:secret@127.0.0.1:1")


class _Statuses(BaseHTTPRequestHandler):
    health = {"mlflow": 200, "login": 401, "broken": 503, "half": 200}
    api = {"mlflow": 200, "login": 401, "broken": 503, "half": 500, "api-only": 200}

    def do_GET(self) -> None:
        name, _, path = self.path.removeprefix("/").partition("/")
        self.send_response((self.health if path == "health" else self.api).get(name, 404))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Statuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_server_that_answers(address: str) -> None:
    assert resolve(f"{address}/mlflow/") == StoreLocation(f"{address}/mlflow", None)
    assert resolve(f"{address.replace('//', '//me:secret@')}/login").uri.endswith("/login")
    assert resolve(f"{address}/api-only").uri.endswith("/api-only")


def test_server_that_is_not_mlflow(address: str) -> None:
    assert "not as an MLflow server" in error_of(f"{address}/other")
    assert "answers 503" in error_of(f"{address}/broken")


def test_server_whose_health_is_fine_and_whose_api_is_broken(address: str) -> None:
    assert "answers 500" in error_of(f"{address}/half")


class _Busy(BaseHTTPRequestHandler):
    connections = 0

    def do_GET(self) -> None:
        _Busy.connections += 1
        body = b'{"experiment": {"experiment_id": "7", "name": "lab"}}'
        self.send_response(200 if _Busy.connections == 3 else 503)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.slow
def test_repeated_requests_do_not_change_the_random_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    server = HTTPServer(("127.0.0.1", 0), _Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    before = random.getstate()
    assert MlflowClient(f"http://127.0.0.1:{server.server_port}").get_experiment("7").name == "lab"
    server.shutdown()
    server.server_close()
    assert _Busy.connections == 3
    assert random.getstate() == before


class _Endless(BaseHTTPRequestHandler):
    """Server with a working health page, whose API redirects to itself or sends endless bodies, fast or slowly."""

    def do_GET(self) -> None:
        name = self.path.split("/")[1]
        if self.path.endswith("/health"):
            self.send_response(200)
        elif name == "loop":
            self.send_response(302)
            self.send_header("Location", self.path)
        else:
            self.send_response(500 if name == "error" else 200)
        self.end_headers()
        block = b" " * (1 if name == "slow" else 2**16)
        with suppress(OSError):
            while name != "loop" and not self.path.endswith("/health"):
                self.wfile.write(block)
                time.sleep(0.05 if name == "slow" else 0)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("loop", "redirects endlessly"),
        ("fast", "sends more than 1 MiB"),
        ("error", "answers 500"),
        ("slow", "no answer within 1 s"),
    ],
)
def test_endless_responses_are_reported_in_one_line(monkeypatch: pytest.MonkeyPatch, name: str, problem: str) -> None:
    monkeypatch.setattr(client, "LARGEST_ANSWER", 2**20)
    monkeypatch.setattr(client, "_CALL_S", 1.0 if name == "slow" else 60.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endless)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://127.0.0.1:{server.server_port}/{name}"
    with pytest.raises(StoreLost if name in ("slow", "error") else ConfigError, match=problem) as caught:
        client.client_of(parse_location(uri)).get_experiment_by_name("lab")
    assert str(caught.value).startswith(f"tracking.uri={uri}: ")
    server.shutdown()
    server.server_close()


def test_the_proxy_that_requests_go_through_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    line = error_of("http://127.0.0.1:5000")
    assert "http_proxy=http://***@127.0.0.1:1" in line


def test_encoded_characters_of_a_path_mean_those_characters(tmp_path: Path) -> None:
    for name in ("a b", "a%20b", "a?b"):
        (tmp_path / name).mkdir()
        location = resolve(f"sqlite:///{quote(str(tmp_path / name))}/mlflow.db")
        assert location.database == tmp_path / name / "mlflow.db"
        assert make_url(location.uri).database == str(location.database)  # as MLflow's driver reads it
        assert location.artifact_root == f"{tmp_path / name}/mlartifacts"
        assert parse_location(location.uri) == location


@pytest.mark.parametrize("writes", [True, False])
def test_pipes_and_devices_are_no_databases(tmp_path: Path, writes: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.db").symlink_to(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "s"))
        cases = {"pipe": "FIFO", "link.db": "FIFO", "s": "a socket", "/dev/null": "a character device"}
        for name, kind in cases.items():
            uri = f"sqlite:///{tmp_path / name}"
            with pytest.raises(ConfigError, match=rf"^tracking.uri={uri}: is .*{kind}"):
                resolve(uri, writes=writes)


def test_unreachable_server() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert "unreachable (Connection refused)" in error_of(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert "names no host" in error_of("http://")


@pytest.mark.slow
def test_server_without_a_response_times_out_after_one_second() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        assert "no answer within 1 s" in error_of(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - start < 10  # loose bound: the limit is not timed on a shared machine


def test_needs_no_mlflow() -> None:
    code = "import sys, reglab.tracking.location; sys.exit('mlflow' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False).returncode == 0


@pytest.mark.parametrize(
    "location",
    [
        "file:///home",
        "/home",
        "C:\\x",
        "s3://bucket/x",
        "mlflow-artifacts://elsewhere/1",
        "mlflow-artifacts:/a/../b",
        "http://[",
    ],
)
def test_artifacts_are_only_served_by_the_server_itself(location: str) -> None:
    server = parse_location("http://host:1")
    with config_error("tracking.uri=http://host:1: artifacts"):
        local_folder(server, location)
    for served in ("mlflow-artifacts:/1/2", "mlflow-artifacts://host:1/2"):
        assert local_folder(server, served) is None


OUTSIDE = ["/victim", "/s/victim", "file:///victim", "file://host/s/mlartifacts/1", "ftp://h/mlartifacts/1"]
OUTSIDE += ["http://h/1", "http://[", "mlflow-artifacts:/1/2", "s3://b/x", "C:\\x", "/s/mlartifacts/../victim"]
OUTSIDE += ["", "mlartifacts/1", "/\0"]


@pytest.mark.parametrize("location", OUTSIDE)
def test_artifacts_of_a_database_are_below_its_artifact_root(location: str) -> None:
    with config_error("run_id=r: artifacts ... sqlite:////s/m.db"):
        local_folder(parse_location("sqlite:////s/m.db"), location, "run_id=r")
    with config_error("tracking.uri=postgresql://h/d: new tracking.experiment"):
        local_folder(parse_location("postgresql://h/d"), location)


@pytest.mark.parametrize("root", ["mlartifacts", "mlruns"])
def test_artifacts_of_a_moved_store_are_found_beside_the_database(tmp_path: Path, root: str) -> None:
    moved, former = parse_location(f"sqlite:///{tmp_path}/a/m.db"), f"/former/{root}/1/r/artifacts"
    own = tmp_path / "a" / root / "1" / "r" / "artifacts"
    for location in (str(own), own.as_uri()):
        assert local_folder(moved, location) == mlflow_folder(moved, location, "run_id=r") == own
    with pytest.raises(ConfigError, match="beside the database"):
        local_folder(moved, former)
    own.mkdir(parents=True)
    assert local_folder(moved, former) == own
    with pytest.raises(ConfigError, match=r"^run_id=r: the store was moved"):
        mlflow_folder(moved, former, "run_id=r")
    (own / "link").symlink_to("/")
    with pytest.raises(ConfigError, match="outside"):
        local_folder(moved, f"{own}/link/tmp")
    (tmp_path / "m.db").symlink_to(tmp_path / "a" / "m.db")
    assert local_folder(parse_location(f"sqlite:///{tmp_path}/m.db"), str(own)) == own
