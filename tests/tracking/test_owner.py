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
def sleeping_process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", _PRINT_OWNER], stdout=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


_PRINT_OWNER = (
    "from reglab.tracking.liveness import this_process; print(this_process(), flush=True); import time; time.sleep(60)"
)


def tag(process: "subprocess.Popen[bytes]", **other: object) -> str:
    """Return the owner tag of the process, with the given fields replaced."""
    assert process.stdout is not None
    return json.dumps(json.loads(process.stdout.readline()) | other)


def test_this_process_is_running_and_recognized() -> None:
    owner = json.loads(liveness.this_process())
    assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
    assert liveness.is_this_process(liveness.this_process())
    assert not liveness.has_ended(liveness.this_process())


def test_a_killed_process_has_ended_before_it_is_reaped(sleeping_process: subprocess.Popen[bytes]) -> None:
    owner = tag(sleeping_process)
    assert not liveness.has_ended(owner)
    assert not liveness.is_this_process(owner)
    sleeping_process.kill()
    os.waitid(os.P_PID, sleeping_process.pid, os.WEXITED | os.WNOWAIT)  # ended, but still a zombie
    assert liveness.has_ended(owner)
    sleeping_process.wait()
    assert liveness.has_ended(owner)


def test_other_process_with_the_same_id_is_not_the_owner(sleeping_process: subprocess.Popen[bytes]) -> None:
    owner = json.loads(tag(sleeping_process))
    boot, _, ticks = owner["born"].partition(":")
    assert liveness.has_ended(json.dumps(owner | {"born": f"{boot}:{int(ticks) - 1}"}))
    assert liveness.has_ended(json.dumps(owner | {"born": f"another-boot:{ticks}"}))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="start times since boot need Linux")
def test_a_changed_clock_does_not_end_processes(
    sleeping_process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = tag(sleeping_process)
    earlier = psutil.Process(sleeping_process.pid).create_time() - 3600
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: earlier)  # as after setting the clock back
    assert not liveness.has_ended(owner)


def test_processes_of_other_hosts_and_unreadable_tags_have_not_ended(sleeping_process: subprocess.Popen[bytes]) -> None:
    owner = json.loads(tag(sleeping_process)) | {"born": ""}
    unknown_owners = [json.dumps(owner | {key: "elsewhere"}) for key in ("host", "ids")]
    assert liveness.has_ended(json.dumps(owner))
    for pid in (-1, 0, "-1", 1.5, True, None, 2**31, 10**400, [1]):
        unknown_owners.append(json.dumps(owner | {"pid": pid}))
    unknown_owners.append(json.dumps(owner).replace(str(owner["pid"]), "1e400"))
    unknown_owners += [json.dumps(owner | {"host": "x" * 10_000}), "[" * 100_000]
    for unknown in (*unknown_owners, None, "", "{", "[]", "{}", '{"host": 1}', '"text"'):
        assert not liveness.has_ended(unknown)
