"""Values cut to the limits of stores; metrics and tags sent in batches."""

from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from reglab.tracking import values
from reglab.tracking.values import NAME, PARAM, TAG, Buffer, artifact_of_cut_tag, as_text, cut_name, within_limits


def test_values_are_converted_to_valid_text() -> None:
    assert as_text({"a": 1, "b": None, "c": "x\0y", "d": "\ud800"}) == {"a": "1", "c": "x\ufffdy", "d": "\\ud800"}


@pytest.mark.parametrize(("params", "limit", "folder"), [(False, TAG, "tags"), (True, PARAM, "params")])
def test_a_long_value_is_cut_and_stored_in_full_as_a_file(params: bool, limit: int, folder: str) -> None:
    whole = "x" * (limit + 1)
    short, files = within_limits({"long key/é": whole, "short": "y" * limit}, params=params)
    assert short["short"] == "y" * limit
    assert len(short["long key/é"]) == limit
    assert files == {f"{folder}/long-key.txt": whole}
    artifact = artifact_of_cut_tag("long key/é", short["long key/é"])
    assert artifact == (None if params else ("tags/long-key.txt", limit + 1))
    assert artifact_of_cut_tag("other", short["long key/é"]) is None
    assert artifact_of_cut_tag("short", short["short"]) is None


def test_a_path_of_a_file_never_leaves_its_folder() -> None:
    _, files = within_limits({"../../etc": "x" * (TAG + 1), "/": "x" * (TAG + 1)})
    assert list(files) == ["tags/etc.txt", "tags/value.txt"]


def test_a_long_name_is_cut() -> None:
    assert cut_name("a" * NAME) == "a" * NAME
    assert cut_name("a" * (NAME + 1)) == "a" * (NAME - 3) + "..."


@pytest.mark.parametrize(
    ("text", "found"), [('{"a": 1}', {"a": 1}), (None, {}), ("[1]", {}), ("{", {}), ("[" * 100_000, {})]
)
def test_damaged_json_is_empty(text: str | None, found: dict[str, Any]) -> None:
    assert values.json_object(text) == found


class FakeClient:
    """Client that records batches; its first call fails with the given error code."""

    def __init__(self, code: str = "") -> None:
        self.batches: list[tuple[int, int]] = []
        self._code = code

    def log_batch(self, run_id: str, metrics: list[Any], tags: list[Any]) -> None:
        if self._code:
            code, self._code = self._code, ""
            raise MlflowException("away", error_code=_number(code))
        self.batches.append((len(metrics), len(tags)))


def _number(name: str) -> int:
    from mlflow.protos.databricks_pb2 import ErrorCode

    return int(ErrorCode.Value(name))


def buffer(client: FakeClient, monkeypatch: pytest.MonkeyPatch, files: dict[str, str] | None = None) -> Buffer:
    monkeypatch.setattr(values, "without_retries", lambda client: client)
    stored_files: dict[str, str] = {} if files is None else files
    return Buffer(client, "run", lambda text, path: stored_files.update({path: text}))  # type: ignore[arg-type]


def test_a_buffer_sends_within_mlflows_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    client, files = FakeClient(), {}
    filled_buffer = buffer(client, monkeypatch, files)
    for step in range(1000):
        filled_buffer.add_metrics({"loss": 1.0, "broken": float("nan")}, step)
    filled_buffer.add_tags({**{f"tag{i}": i for i in range(150)}, "none": None, "long": "x" * (TAG + 1)})
    assert client.batches == []
    filled_buffer.send()
    assert client.batches == [(900, 100), (100, 51)]
    assert list(files) == ["tags/long.txt"]


def test_a_buffer_keeps_values_while_the_store_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "FLUSH_S", 0.0)
    client = FakeClient("TEMPORARILY_UNAVAILABLE")
    filled_buffer = buffer(client, monkeypatch)
    filled_buffer.add_metrics({"loss": 1.0}, 0)
    assert client.batches == []
    filled_buffer.send()
    assert client.batches == [(1, 0)]


def test_a_buffer_raises_errors_that_are_not_temporary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "FLUSH_S", 0.0)
    filled_buffer = buffer(FakeClient("INVALID_PARAMETER_VALUE"), monkeypatch)
    with pytest.raises(MlflowException):
        filled_buffer.add_metrics({"loss": 1.0}, 0)


@pytest.mark.parametrize(("request_s", "wait_s"), [(0.01, 2.0), (0.1, 5.0), (10.0, 30.0)])
def test_a_buffer_waits_longer_after_slow_requests(
    request_s: float, wait_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(values.time, "monotonic", lambda: now)

    class SlowClient(FakeClient):
        def log_batch(self, run_id: str, metrics: list[Any], tags: list[Any]) -> None:
            nonlocal now
            now += request_s
            super().log_batch(run_id, metrics, tags)

    client = SlowClient()
    filled_buffer = buffer(client, monkeypatch)
    filled_buffer.add_metrics({"loss": 1.0}, 0)
    filled_buffer.send()
    for elapsed, batches in ((0.99 * wait_s, 1), (0.02 * wait_s, 2)):
        now += elapsed
        filled_buffer.add_metrics({"loss": 1.0}, 1)
        assert len(client.batches) == batches
