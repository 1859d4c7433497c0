"""Checks within seconds, without MLflow, that a server or a database answers."""

import socket
import threading
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from reglab.masking import mask_uri
from reglab.schema.text import first_line

_TIMEOUT_S = 1.0
_API_S = 5.0  # a server that is alive may be slow: it queries its database
_CONNECT_S = 5.0
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


class Problem(NamedTuple):
    """Reason why a store cannot be used, and the remedy."""

    problem: str
    remedy: str


def server_problem(uri: str) -> Problem | None:
    """Return the problem of an MLflow server; None if it answers.

    Requests /health, which some hosts do not serve, then the API, which can be broken on a healthy server.
    """
    answered = threading.Event()
    problem = _in_time(lambda: _request_problem(uri, answered), _TIMEOUT_S + _API_S, answered)
    return problem and Problem(problem.problem, f"{problem.remedy}{_proxy_note(uri)}")


def database_problem(uri: str) -> Problem | None:
    """Return the problem of a database server; None if it accepts a connection.

    Its port is tried first, because drivers differ in name resolution and timeouts.
    """
    try:
        from sqlalchemy import make_url  # takes .2 s, which SQLite does not need

        url = make_url(uri)
    except ValueError as error:
        return Problem(f"is not the address of a database ({error})", "give postgresql://USER@HOST:PORT/DATABASE")
    host, port = url.host, url.port or _PORTS[url.get_backend_name()]

    def port_problem() -> Problem | None:
        return _in_time(lambda: _port_problem(host, port), _CONNECT_S) if host else None

    if problem := port_problem():
        return problem
    problem = _in_time(lambda: _connection_problem(uri), _CONNECT_S + 1.0)
    return problem and (port_problem() or problem)  # a server that shuts down rejects users before it closes its port


def _in_time(
    check: Callable[[], Problem | None], seconds: float, answered: threading.Event | None = None
) -> Problem | None:
    """Call `check` in a thread, with a limit: name look-ups and some drivers have none.

    Args:
        check: returns a problem or None.
        seconds: limit.
        answered: is to be set within the first second.
    """
    problem: list[Problem | None] = []
    done = threading.Event()

    def run() -> None:
        problem.append(check())
        done.set()
        if answered is not None:
            answered.set()

    threading.Thread(target=run, daemon=True).start()
    if answered is not None and not answered.wait(_TIMEOUT_S):
        return _no_answer(_TIMEOUT_S)
    done.wait(seconds)
    return problem[0] if problem else _no_answer(seconds)


def _no_answer(seconds: float) -> Problem:
    return Problem(f"no answer within {seconds:g} s", "start the server or check the address")


def _unreachable(reason: object) -> Problem:
    return Problem(f"unreachable ({reason})", "start the server or check the address")


def _request_problem(uri: str, answered: threading.Event) -> Problem | None:
    import http.client
    import urllib.error
    import urllib.request  # .1 s, which only a server needs

    parts = urlsplit(uri)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    try:
        for path, seconds in (("/health", _TIMEOUT_S), ("/api/2.0/mlflow/experiments/search?max_results=1", _API_S)):
            try:
                urllib.request.urlopen(address + path, timeout=seconds).close()
            except urllib.error.HTTPError as error:
                error.close()
                if error.code >= 500:
                    return Problem(f"the server answers {error.code}", "see its log")
                if error.code == 404 and path != "/health":
                    return Problem("answers, but not as an MLflow server", "check the address")
            answered.set()
        return None
    except TimeoutError:
        return _no_answer(seconds)
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return _no_answer(seconds)
        return _unreachable(getattr(error.reason, "strerror", None) or error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _unreachable(type(error).__name__)


def _proxy_note(uri: str) -> str:
    """Return a note that names the proxy through which requests to the server go; empty if there is none."""
    import urllib.request

    parts = urlsplit(uri)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" (requests go through {parts.scheme}_proxy={mask_uri(proxy)}; no_proxy lists exceptions)"


def _port_problem(host: str, port: int) -> Problem | None:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except TimeoutError:
        return _no_answer(_CONNECT_S)
    except OSError as error:
        return _unreachable(error.strerror or error)
    return None


def _connection_problem(uri: str) -> Problem | None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        with create_engine(uri, poolclass=NullPool).connect():
            return None
    except ImportError as error:
        remedy = "install it with pip"
        if uri.startswith("postgresql"):
            remedy = "use postgresql://, whose driver comes with pip install 'reglab[postgres]'"
        return Problem(f"its driver is not installed ({error})", remedy)
    except NoSuchModuleError as error:
        return Problem(f"unknown driver ({error})", "use postgresql://")
    except (SQLAlchemyError, ValueError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        if "timeout" in type(cause).__name__.lower():
            return _no_answer(_CONNECT_S)
        line = first_line(cause)
        return Problem(f"refuses the connection ({line[:300]})", "check user, password, database and parameters")
