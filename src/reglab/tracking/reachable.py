"""Checks within seconds, without MLflow, that a server or a database answers."""

import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

_TIMEOUT_S = 1.0
_API_S = 5.0  # a server that is alive may be slow: it asks its database
_CONNECT_S = 5.0
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def server_problem(uri: str) -> str:
    """Return the problem of an MLflow server, in one line with the remedy; empty if it answers.

    Requests /health, which some hosts do not serve, then the API, which can be broken on a healthy server.
    """
    answered = threading.Event()
    problem = _in_time(lambda: _asked(uri, answered), _TIMEOUT_S + _API_S, answered)
    return f"{problem}{_proxy(uri)}" if problem else ""


def database_problem(uri: str) -> str:
    """Return the problem of a database server, in one line with the remedy; empty if it accepts a connection.

    Its port is tried first: drivers look up names and wait in their own ways.
    """
    try:
        from sqlalchemy import make_url

        url = make_url(uri)
    except ValueError as error:
        return f"is no address of a database ({error}); give postgresql://USER@HOST:PORT/DATABASE"
    host, port = url.host, url.port or _PORTS[url.get_backend_name()]

    def port_problem() -> str:
        return _in_time(lambda: _port_problem(host, port), _CONNECT_S) if host else ""

    if problem := port_problem():
        return problem
    problem = _in_time(lambda: _connection_problem(uri), _CONNECT_S + 1.0)
    return problem and (port_problem() or problem)  # a server that shuts down rejects users before it closes its port


def _in_time(ask: Callable[[], str], seconds: float, answered: threading.Event | None = None) -> str:
    """Call `ask` in a thread, with a limit: name look-ups and some drivers have none.

    Args:
        ask: returns a problem, or nothing.
        seconds: limit.
        answered: is to be set within the first second.
    """
    problem: list[str] = []
    done = threading.Event()

    def run() -> None:
        problem.append(ask())
        done.set()
        if answered is not None:
            answered.set()

    threading.Thread(target=run, daemon=True).start()
    if answered is not None and not answered.wait(_TIMEOUT_S):
        return _no_answer(_TIMEOUT_S)
    done.wait(seconds)
    return problem[0] if problem else _no_answer(seconds)


def _no_answer(seconds: float) -> str:
    return f"no answer within {seconds:g} s; start the server or check the address"


def _asked(uri: str, answered: threading.Event) -> str:
    """Return the problem of the server at `uri`; empty if it answers."""
    import http.client
    import urllib.error
    import urllib.request

    parts = urlsplit(uri)
    address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    try:
        for path, seconds in (("/health", _TIMEOUT_S), ("/api/2.0/mlflow/experiments/search?max_results=1", _API_S)):
            try:
                urllib.request.urlopen(address + path, timeout=seconds).close()
            except urllib.error.HTTPError as error:
                error.close()
                if error.code >= 500:
                    return f"the server answers {error.code}; see its log"
                if error.code == 404 and path != "/health":
                    return "answers, but not as an MLflow server; check the address"
            answered.set()
        return ""
    except TimeoutError:
        return _no_answer(seconds)
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            return _no_answer(seconds)
        reason = getattr(error.reason, "strerror", None) or error.reason
        return f"unreachable ({reason}); start the server or check the address"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"unreachable ({type(error).__name__}); start the server or check the address"


def _proxy(uri: str) -> str:
    """Names the proxy that requests to the server go through."""
    import urllib.request

    from reglab.masking import mask_uri

    parts = urlsplit(uri)
    through = urllib.request.getproxies().get(parts.scheme)
    if not through or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return f" (requests go through {parts.scheme}_proxy={mask_uri(through)}; no_proxy lists exceptions)"


def _port_problem(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=_CONNECT_S).close()
    except TimeoutError:
        return _no_answer(_CONNECT_S)
    except OSError as error:
        return f"unreachable ({error.strerror or error}); start the server or check the address"
    return ""


def _connection_problem(uri: str) -> str:
    """Return the problem of a database; empty if it accepts a connection."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    try:
        with create_engine(uri, poolclass=NullPool).connect():
            return ""
    except ImportError as error:
        remedy = "install it with pip"
        if uri.startswith("postgresql"):
            remedy = "use postgresql://, whose driver comes with pip install 'reglab[postgres]'"
        return f"its driver is not installed ({error}); {remedy}"
    except NoSuchModuleError as error:
        return f"unknown driver ({error}); use postgresql://"
    except (SQLAlchemyError, ValueError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        if "timeout" in type(cause).__name__.lower():
            return _no_answer(_CONNECT_S)
        line = (str(cause).strip().splitlines() or [type(cause).__name__])[0]
        return f"refuses the connection ({line[:300]}); check user, password, database and parameters"
