"""Tables of OpenML, from a cached copy and from a local server."""

import dataclasses
import gzip
import importlib.util
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reglab.config.check_run import check
from reglab.config.compose import Composer
from reglab.data import Openml, openml
from reglab.schema.errors import ConfigError
from tests.data.openml_responses import API, FLOWERS, Response, save_openml
from tests.errors import check_error

URLS = {
    "_SEARCH_NAME": f"{API}/list/data_name/{{}}/limit/2",
    "_DATA_INFO": f"{API}/{{}}",
    "_DATA_FEATURES": f"{API}/features/{{}}",
    "_DATA_QUALITIES": f"{API}/qualities/{{}}",
}


def ready(folder: Path, **options: Any) -> Openml:
    named = {"name": "iris", "version": 1} if not {"name", "id"} & options.keys() else {}
    data = Openml(**{"cache": str(folder), "seed": 0, "split_seed": 0, **named, **options})
    data.setup()
    return data


def refusal(folder: Path, **options: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        ready(folder, **options)
    return caught.value


def changed(**fields: Any) -> Response:
    return dataclasses.replace(FLOWERS, **fields)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redirect addresses of OpenML to a local port without a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        point_to(f"http://127.0.0.1:{free.getsockname()[1]}", monkeypatch)


def point_to(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import _openml

    for name, path in URLS.items():
        monkeypatch.setattr(_openml, name, f"{host}/{path}")


@pytest.fixture
def cache(tmp_path: Path, offline: None) -> Path:
    save_openml(tmp_path, FLOWERS)
    return tmp_path


def test_a_cached_copy_is_read_without_a_network(cache: Path) -> None:
    data = ready(cache, standardize=False)
    # One numeric column, the declared categories of petals, then those of seen; plot is ignored.
    assert (data.name, data.kind, data.input_shape, data.rows) == ("iris", "classification", (5,), 60)
    assert data.class_names == ("1", "2", "so so")
    rows = data.parts.test
    cells = [FLOWERS.rows[row] for row in rows]
    assert data.test.inputs[:, 1].tolist() == [float(row[1] == 3) for row in cells]
    assert data.test.inputs[:, 3].tolist() == [float(row[2] == "day") for row in cells]
    labelled = [place for place, row in enumerate(cells) if row[0] != "?"]
    assert data.test.inputs[labelled, 0].tolist() == [cells[place][0] for place in labelled]
    assert [data.class_names[label] for label in data.test.targets] == [str(row[4]).strip("'") for row in cells]


def test_a_number_is_the_same_table(cache: Path) -> None:
    named, numbered = ready(cache), ready(cache, id=61)
    assert numbered.name == "openml-61"
    assert ready(cache, id=61, name="mine").name == "mine"
    assert torch.equal(named.train.inputs, numbered.train.inputs)
    assert named.split_hash == numbered.split_hash
    about = json.loads(named.files()["openml.json"])
    assert (about["id"], about["name"], about["version"]) == ("61", "iris", "1")


def test_a_name_is_taken_in_any_case_and_its_one_active_version(cache: Path) -> None:
    assert torch.equal(ready(cache, name="Iris").train.inputs, ready(cache).train.inputs)


def test_another_target_makes_the_default_one_a_feature(cache: Path) -> None:
    data = ready(cache, target="petals")
    assert (data.class_names, data.input_shape) == (("3", "5"), (6,))
    assert ready(cache, target="plot", kind="regression").kind == "regression"  # ignored by OpenML


def test_columns_can_be_left_out(cache: Path) -> None:
    assert ready(cache, ignore=["seen", "petals"]).input_shape == (1,)


def test_rows_can_be_split_by_a_column_that_is_to_be_ignored(cache: Path) -> None:
    data = ready(cache, split_column="plot", split_by="groups")
    plots = [{int(row) // 6 for row in rows} for rows in (data.parts.train, data.parts.val, data.parts.test)]
    assert sum(map(len, plots)) == len(set.union(*plots)) == 10
    assert data.input_shape == (5,)


def test_declared_categories_are_classes_however_many(tmp_path: Path, offline: None) -> None:
    letters = changed(
        columns={"x": "REAL", "letter": f"{{{','.join(map(str, range(26)))}}}"},
        rows=[(row % 7, row % 26) for row in range(130)],
        targets=["letter"],
        ignored=(),
    )
    save_openml(tmp_path, letters)
    data = ready(tmp_path)
    assert (data.kind, data.outputs) == ("classification", 26)
    assert data.class_names[:3] == ("0", "1", "2")


@pytest.mark.parametrize(
    ("response", "options", "message"),
    [
        (
            changed(versions=(1, 3)),
            {"name": "iris"},
            "data.name=iris: versions ... 1 and 3",
        ),
        (
            changed(format="Sparse_ARFF"),
            {},
            "data.name=iris: is stored sparse",
        ),
        (
            changed(targets=()),
            {},
            "data.target=null: length, petals, seen",
        ),
        (
            changed(targets=("class", "petals")),
            {},
            "data.target=null: (petals, class) ... =petals ",
        ),
        (
            changed(targets=("class", "length"), rows=[(1, *row[1:]) for row in FLOWERS.rows]),
            {},
            "data.name=iris: multi-target",
        ),
        (FLOWERS, {"target": "clas"}, "data.target=clas: did you mean class?"),
        (FLOWERS, {"target": "zz"}, "data.target=zz: length, petals, seen, class"),
        (FLOWERS, {"target": "length"}, "data.target=length: 7 rows have no value"),
        (FLOWERS, {"ignore": ["sen"]}, "data.ignore=sen: did you mean seen?"),
        (
            FLOWERS,
            {"ignore": ["class"]},
            "data.ignore=[class]: is the target",
        ),
        (
            FLOWERS,
            {"split_column": "plt", "split_by": "time"},
            "data.split_column=plt: no such column",
        ),
        (FLOWERS, {"split_column": "class", "split_by": "groups"}, "data.split_column=class: is the target"),
        (
            changed(ignored=("length",)),
            {"split_column": "length", "split_by": "time"},
            "data.split_column=length: 7 rows",
        ),
        (
            changed(
                columns={"x": "STRING", "y": "{a,b}"},
                rows=[(f"n{row}", "ab"[row % 2]) for row in range(120)],
                targets=("y",),
                ignored=(),
            ),
            {},
            "data.name=iris: 'x' ... 120 ... 'n0' ... =[x]",
        ),
    ],
)
def test_unusable_tables_of_openml_are_refused(
    tmp_path: Path, offline: None, response: Response, options: dict[str, Any], message: str
) -> None:
    save_openml(tmp_path, response)
    check_error(refusal(tmp_path, **options), message)


@pytest.mark.slow
def test_a_missing_copy_without_a_network_is_refused(tmp_path: Path, offline: None) -> None:
    before = time.monotonic()
    error = refusal(tmp_path)
    assert time.monotonic() - before < 10
    check_error(error, f"data.name=iris: no complete copy ... ({tmp_path}) ... cannot be reached ... refused")
    assert "data.cache=FOLDER" in error.remedy
    check_error(refusal(tmp_path, id=61), "data.id=61: no complete copy")


def test_the_cache_is_scikit_learns_own_unless_given(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(cache))
    assert ready(cache, cache=None).rows == 60


@pytest.mark.slow
def test_a_damaged_copy_is_not_used(cache: Path) -> None:
    copy = next(cache.rglob("*.arff.gz"))
    copy.write_bytes(gzip.compress(b"@DATA\n1,2\n"))
    assert str(refusal(cache).where) == "data.name=iris"


class Site:
    """Local server of OpenML pages, with status 412 for unknown ones, which records the requested paths."""

    def __init__(self) -> None:
        self.pages: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.status = 412
        self.silent = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.lstrip("/")
                site.requests.append(path)
                if site.silent.is_set():
                    time.sleep(2)
                    return
                content = site.pages.get(path)
                self.send_response(site.status if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b'{"error":{"code":"372","message":"No results"}}')

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    server = Site()
    point_to(server.host, monkeypatch)
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.mark.slow
def test_a_table_is_downloaded_once(tmp_path: Path, site: Site) -> None:
    site.pages = FLOWERS.pages(site.host)
    first = ready(tmp_path)
    assert len(site.requests) == 5
    again = ready(tmp_path, target="class")  # parsed again, but not downloaded
    assert len(site.requests) == 5
    assert np.array_equal(first.train.inputs, again.train.inputs)


@pytest.mark.slow
def test_unknown_names_versions_and_numbers_are_refused(tmp_path: Path, site: Site) -> None:
    site.pages = FLOWERS.pages(site.host)
    search = "https://www.openml.org/search?type=data"
    check_error(refusal(tmp_path, name="irish"), f"data.name=irish: no such data set ... {search}")
    check_error(refusal(tmp_path, name="iris", version=7), f"data.name=iris: no version 7 ... {search}")
    check_error(refusal(tmp_path, id=7), f"data.id=7: no such data set ... {search}")


@pytest.mark.slow
def test_a_server_with_errors(tmp_path: Path, site: Site) -> None:
    site.status = 503
    check_error(refusal(tmp_path), "data.name=iris: 503 ... later")


@pytest.mark.slow
def test_a_server_without_a_response_times_out(tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.silent.set()
    monkeypatch.setattr(openml, "_TIMEOUT_S", 0.2)
    check_error(refusal(tmp_path), "data.name=iris: cannot be reached (timed out)")
    assert socket.getdefaulttimeout() is None


def test_a_deactivated_version_gives_a_warning(tmp_path: Path, offline: None) -> None:
    save_openml(tmp_path, changed(status="deactivated"))
    with pytest.warns(UserWarning, match="data.name=iris: Version 1 .*inactive"):
        ready(tmp_path)


def test_the_responses_stored_in_scikit_learn_are_read(tmp_path: Path, offline: None) -> None:
    """The tests of scikit-learn contain real responses; those of iris are complete."""
    package = importlib.util.find_spec("sklearn.datasets.tests.data.openml.id_61")
    assert package is not None
    assert package.origin is not None
    paths = {
        "api-v1-jdl-dn-iris-l-2-dv-1.json": f"{API}/list/data_name/iris/limit/2/data_version/1",
        "api-v1-jdl-dn-iris-l-2-s-act-.json": f"{API}/list/data_name/iris/limit/2/status/active/",
        "api-v1-jd-61.json": f"{API}/61",
        "api-v1-jdf-61.json": f"{API}/features/61",
        "api-v1-jdq-61.json": f"{API}/qualities/61",
    }
    about = json.loads(gzip.decompress(Path(package.origin).with_name("api-v1-jd-61.json.gz").read_bytes()))
    paths["data-v1-dl-61.arff"] = about["data_set_description"]["url"].split("/", 3)[3]
    for stored, path in paths.items():
        file = Path(f"{tmp_path}/openml/openml.org/{path}.gz")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(Path(package.origin).with_name(f"{stored}.gz").read_bytes())
    data = ready(tmp_path)
    assert (data.input_shape, data.rows) == ((4,), 150)
    assert data.class_names == ("Iris-setosa", "Iris-versicolor", "Iris-virginica")
    check_error(refusal(tmp_path, name="iris"), "data.name=iris: 1 and 3 ... data.version=1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "data.name=null: name ... number"),
        (["data.name=61"], "data.name=61: is a number; set data.id=61"),
        (["data.name='a b'"], "data.name=a b: is not a name on OpenML"),
        (["data.id=0"], "data.id=0: whole number of 1 or more"),
        (
            ["data.id=61", "data.version=1"],
            "data.version=1: data.id=61",
        ),
        (
            ["data.name=iris", "data.version=active"],
            "data.version=active: whole number",
        ),
        (["data.name=iris", "data.ignore=seen"], "data.ignore=seen: list of columns"),
        (["data.name=iris", "data.cache=FILE"], "data.cache=FILE: must be a folder"),
        (["data.name=iris", "data.split_by=time"], "data.split_column=null: data.split_by=time"),
    ],
)
def test_wrong_settings_are_refused_by_the_config_alone(tmp_path: Path, overrides: list[str], message: str) -> None:
    (tmp_path / "file").write_text("")
    typed = [override.replace("FILE", str(tmp_path / "file")) for override in overrides]
    with pytest.raises(ConfigError) as caught:
        check(Composer().compose(["data=openml", *typed]))
    check_error(caught.value, message.replace("FILE", str(tmp_path / "file")))
