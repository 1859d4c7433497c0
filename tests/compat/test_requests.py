"""Each private part of requests and urllib3 exists and works as documented in `reglab.compat.requests`."""

import inspect
import io

from requests import Response
from urllib3 import HTTPConnectionPool, HTTPResponse

import reglab.tracking.client  # noqa: F401  # replaces what urllib3 does
from reglab.compat.requests import set_content


def test_the_content_of_a_response_that_was_streamed() -> None:
    response = Response()
    response.raw = io.BytesIO(b"long body")
    read = b"".join(response.iter_content(4))
    set_content(response, read)
    assert response.content == b"long body"
    assert response.text == "long body"


def test_an_error_response_is_closed_and_not_read() -> None:
    body = io.BytesIO(b"x" * 1000)
    response = HTTPResponse(body, preload_content=False)
    response.drain_conn()
    assert body.closed


def test_urllib3_drains_before_a_retry() -> None:
    assert "drain_conn()" in inspect.getsource(HTTPConnectionPool.urlopen)
