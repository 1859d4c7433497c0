"""The processes below one that ends: none is left, but those that Python needs for others."""

import subprocess
import time

import psutil
import pytest

from reglab.study import children
from tests.processes import Process

pytestmark = pytest.mark.slow


def sleep() -> None:
    """Says that it is there, and stays."""
    print("here", flush=True)
    time.sleep(60)


def test_all_are_ended_and_a_fork_server_serves_on() -> None:
    forked = Process(sleep)
    assert forked.stdout.readline() == "here\n"
    started = subprocess.Popen(["sleep", "60"])
    assert children.end() == 2
    assert not psutil.pid_exists(started.pid) or psutil.Process(started.pid).status() == psutil.STATUS_ZOMBIE
    assert forked.wait(5) < 0
    another = Process(sleep)
    assert another.stdout.readline() == "here\n"
    another.kill()
    assert another.wait(5) < 0
