import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from reglab.tracking import owner


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def tag(pid: int, **other: object) -> str:
    started = psutil.Process(pid).create_time()
    return json.dumps({"host": socket.gethostname(), "pid": pid, "started": started, **other})


def test_me_is_alive_and_me() -> None:
    assert json.loads(owner.me()) == json.loads(tag(os.getpid()))
    assert owner.is_me(owner.me())
    assert not owner.is_dead(owner.me())


def test_killed_process_is_dead_even_before_it_is_reaped(sleeper: subprocess.Popen[bytes]) -> None:
    theirs = tag(sleeper.pid)
    assert not owner.is_dead(theirs)
    assert not owner.is_me(theirs)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # ended, but still a zombie
    assert owner.is_dead(theirs)
    sleeper.wait()
    assert owner.is_dead(theirs)


def test_other_process_with_the_same_id_is_not_the_owner(sleeper: subprocess.Popen[bytes]) -> None:
    started = psutil.Process(sleeper.pid).create_time()
    assert owner.is_dead(tag(sleeper.pid, started=started - 100))


def test_nothing_is_known_of_other_hosts_and_unreadable_tags(sleeper: subprocess.Popen[bytes]) -> None:
    theirs = tag(sleeper.pid, host="elsewhere", started=0)
    for unknown in (theirs, None, "", "{", "[]", "{}", '{"host": 1}', '"text"'):
        assert not owner.is_dead(unknown)
