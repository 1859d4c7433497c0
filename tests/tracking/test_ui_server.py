"""The server of the UI: free ports, and errors at its start."""

import signal
import socket
from pathlib import Path

import pytest

from reglab.tracking.location import StoreLocation
from reglab.tracking.ui import HOST, ServerEnded, free_port, serve


def test_a_port_in_use_gives_another() -> None:
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        first.listen()
        port = first.getsockname()[1]
        assert free_port(port) != port
        other_port = free_port(port)
        second.bind((HOST, other_port))
        second.listen()
        assert free_port(port) not in (port, other_port)
    assert free_port(port) == port  # free again after closing


@pytest.mark.slow
def test_a_server_that_dies_is_reported_in_one_line(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    (tmp_path / "mlflow.db").write_text("This is no database. " * 100)
    location = StoreLocation(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path / "mlartifacts"))
    with pytest.raises(ServerEnded, match="the MLflow server exited") as caught:
        serve(location, 5000, lambda address: pytest.fail(f"answered at {address}"))
    assert "\n" not in str(caught.value)
    assert signal.getsignal(signal.SIGTERM) is before
