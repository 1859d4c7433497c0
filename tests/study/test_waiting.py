"""What a sweep prints of runs that it waits for, and when it gives them up."""

import re
import threading
import time

import pytest

from reglab.config.compose import compose
from reglab.study import waiting
from reglab.study.job import Outcome
from reglab.study.plan import Plan
from reglab.tracking.store import open_store
from tests.tracking.test_heartbeat import ELSEWHERE, before
from tests.tracking.test_queries import add


def test_each_line_names_the_run_its_owner_and_what_remains(
    store_uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "_REPEAT_S", 0.5)
    monkeypatch.setattr(waiting, "_LOOK_EVERY_S", 0.1)
    store = open_store(store_uri, "exp")
    runs = [add(store, "RUNNING", owner=ELSEWHERE, heartbeat=before(age)) for age in (100, 297)]
    outcomes = [Outcome(run, f"seed={seed}", run, in_progress=True) for seed, run in enumerate(runs)]
    began = time.monotonic()
    ended = threading.Timer(1.2, lambda: store.client.set_terminated(runs[0], "FINISHED"))
    ended.start()
    found = waiting.waited_for(Plan("sweep", [], compose([])), outcomes, store)
    ended.join()
    assert time.monotonic() - began < 30
    assert {(run, outcome.reused) for run, outcome in found.items()} == {(runs[0], True)}
    lines = capsys.readouterr().out.splitlines()
    shown = (
        rf"waiting for run {runs[0]} \(seed=0\), trained by process \d+ on host another: last heartbeat (\d+) s ago; "
    )
    waits = [match for text in lines if (match := re.match(shown + r"trained here .* within (\d+) s$", text))]
    assert len(waits) >= 2  # repeated
    assert {int(age) + int(left) for age, left in (match.groups() for match in waits)} <= {299, 300, 301}
    assert lines[-1] == f"run {runs[1]} (seed=1) was left undone by its process: trained here"
    assert store.client.get_run(runs[1]).info.status == "KILLED"
