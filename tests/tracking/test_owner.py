import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from reglab.tracking import liveness


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", _ME], stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


_ME = (
    "from reglab.tracking.liveness import this_process; print(this_process(), flush=True); import time; time.sleep(60)"
)


def tag(process: "subprocess.Popen[bytes]", **other: object) -> str:
    """The tag that the process gives itself."""
    assert process.stdout is not None
    return json.dumps(json.loads(process.stdout.readline()) | other)


def test_me_is_alive_and_me() -> None:
    owner = json.loads(liveness.this_process())
    assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
    assert liveness.is_this_process(liveness.this_process())
    assert not liveness.has_ended(liveness.this_process())


def test_killed_process_is_dead_even_before_it_is_reaped(sleeper: subprocess.Popen[bytes]) -> None:
    theirs = tag(sleeper)
    assert not liveness.has_ended(theirs)
    assert not liveness.is_this_process(theirs)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # ended, but still a zombie
    assert liveness.has_ended(theirs)
    sleeper.wait()
    assert liveness.has_ended(theirs)


def test_other_process_with_the_same_id_is_not_the_owner(sleeper: subprocess.Popen[bytes]) -> None:
    theirs = json.loads(tag(sleeper))
    boot, _, ticks = theirs["born"].partition(":")
    assert liveness.has_ended(json.dumps(theirs | {"born": f"{boot}:{int(ticks) - 1}"}))
    assert liveness.has_ended(json.dumps(theirs | {"born": f"another-boot:{ticks}"}))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux alone counts from the boot")
def test_a_clock_that_is_set_kills_nobody(sleeper: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tag(sleeper)
    earlier = psutil.Process(sleeper.pid).create_time() - 3600
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: earlier)  # as after setting the clock back
    assert not liveness.has_ended(theirs)


def test_nothing_is_known_of_other_hosts_and_unreadable_tags(sleeper: subprocess.Popen[bytes]) -> None:
    theirs = json.loads(tag(sleeper)) | {"born": ""}
    elsewhere = [json.dumps(theirs | {key: "elsewhere"}) for key in ("host", "ids")]
    assert liveness.has_ended(json.dumps(theirs))
    for pid in (-1, 0, "-1", 1.5, True, None, 2**31, 10**400, [1]):
        elsewhere.append(json.dumps(theirs | {"pid": pid}))
    elsewhere.append(json.dumps(theirs).replace(str(theirs["pid"]), "1e400"))
    elsewhere += [json.dumps(theirs | {"host": "x" * 10_000}), "[" * 100_000]
    for unknown in (*elsewhere, None, "", "{", "[]", "{}", '{"host": 1}', '"text"'):
        assert not liveness.has_ended(unknown)
