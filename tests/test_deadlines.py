"""Time limits of system calls, requests and locks; a second signal ends the process immediately."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import requests

from reglab import stopping
from reglab.deadlines import Overdue, waiting
from reglab.stopping import Stopped, before_exit_at_once, defer_signals, end_at_second_signal, stoppable
from tests.processes import Process


@pytest.fixture
def slow_server() -> Iterator[str]:
    """Address of a server that sends one byte every tenth of a second without end."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        done = threading.Event()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                while not done.wait(0.1):
                    connection.sendall(b"x")

        threading.Thread(target=answer, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        done.set()


@pytest.mark.slow
def test_a_request_that_never_ends_raises_overdue(slow_server: str) -> None:
    start = time.monotonic()
    with pytest.raises(Overdue, match=r"no answer within 0\.5 s"), waiting(limit=0.5):
        requests.get(slow_server, timeout=10)
    assert 0.5 <= time.monotonic() - start < 5


@pytest.mark.slow
def test_a_block_within_its_limit_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with waiting("something", limit=0.5):
        time.sleep(0.1)
    time.sleep(0.8)
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_message_of_a_wait_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with waiting(lambda: "waiting for Godot ...", after=0.1):
            time.sleep(0.6)
    assert capsys.readouterr().err == "waiting for Godot ...\n"


@pytest.mark.slow
def test_other_threads_have_no_limit_and_no_exception() -> None:
    ended: list[bool] = []

    def sleep() -> None:
        with waiting(limit=0.1):
            time.sleep(0.6)
        ended.append(True)

    thread = threading.Thread(target=sleep)
    thread.start()
    thread.join()
    assert ended == [True]


@pytest.mark.slow
def test_a_deferred_signal_is_delivered_while_the_block_hangs(
    slow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "MAX_DEFER_S", 0.5)

    def hang() -> None:
        with stoppable(), defer_signals():
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
            requests.get(slow_server, timeout=10)

    start = time.monotonic()
    with pytest.raises(Stopped):
        hang()
    assert 0.6 <= time.monotonic() - start < 5


def hang_in_c() -> None:
    """Run C code that ignores signals and never returns; write a line at its start and one at exit."""
    import sqlite3

    end_at_second_signal()
    with stoppable(), before_exit_at_once(lambda: os.write(1, b"last\n")):
        database = sqlite3.connect(":memory:")
        threading.Timer(0.5, os.write, (1, b"begun\n")).start()  # while the main thread is in C code
        database.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")


@pytest.mark.slow
def test_a_second_signal_ends_a_process_that_is_inside_c_code() -> None:
    process = Process(hang_in_c)
    assert process.stdout.readline() == "begun\n"
    for _ in range(2):  # a terminal and make may both send one; the two count as one
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    time.sleep(1.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    assert process.stdout.read().splitlines() == ["last", "ended at once by a second SIGTERM"]
