"""Descendants of an ending process are ended, except the servers of multiprocessing."""

import os
import signal
import subprocess
import time

import psutil
import pytest

from reglab.execution import workers
from reglab.stopping import Stopped, stoppable
from tests.processes import Process

pytestmark = pytest.mark.slow


def print_and_sleep() -> None:
    """Print a line, then sleep for a minute."""
    print("here", flush=True)
    time.sleep(60)


def test_descendants_are_ended_and_the_fork_server_is_kept() -> None:
    workers.end_descendants()  # those of earlier tests
    forked = Process(print_and_sleep)
    assert forked.stdout.readline() == "here\n"
    started = subprocess.Popen(["sleep", "60"])
    assert workers.end_descendants() == 2
    assert not psutil.pid_exists(started.pid) or psutil.Process(started.pid).status() == psutil.STATUS_ZOMBIE
    assert forked.wait(5) < 0
    another = Process(print_and_sleep)
    assert another.stdout.readline() == "here\n"
    another.kill()
    assert another.wait(5) < 0


def wait_for_a_fork() -> None:
    """Wait for a forked process that hangs, and print its id; exit with 143 at SIGTERM."""

    def hang(_number: int) -> None:
        print(os.getpid(), flush=True)
        time.sleep(60)

    forked = workers.ForkedFunction(hang)
    try:
        with stoppable():
            forked(0)
    except Stopped as stop:
        forked.close()
        os._exit(stop.exit_code)


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_fork_ends_with_its_parent(signum: int, code: int) -> None:
    process = Process(wait_for_a_fork)
    fork = psutil.Process(int(process.stdout.readline()))
    process.send_signal(signum)
    assert process.wait(20) == code
    fork.wait(20)


def test_a_fork_that_dies_is_reported_and_replaced() -> None:
    def act(number: int) -> list[int]:
        if number < 0:
            os.kill(os.getpid(), -number)
        if number > 9:
            os._exit(number)
        return [number, os.getpid()]

    forked = workers.ForkedFunction(act)
    (first, first_pid), (second, second_pid) = forked(1), forked(2)
    assert (first, second, first_pid) == (1, 2, second_pid)
    assert first_pid != os.getpid()
    codes = []
    for number in (-signal.SIGKILL, -signal.SIGSEGV, 11):
        with pytest.raises(workers.ForkDiedError) as died:
            forked(number)
        codes.append(died.value.code)
    assert codes == [-signal.SIGKILL, -signal.SIGSEGV, 11]
    assert forked(3)[0] == 3
    forked.close()
