"""Private parts of requests and of urllib3, on which it is built."""

from requests import Response
from urllib3 import HTTPResponse


def set_content(response: Response, content: bytes) -> None:
    """Store the body of a response that was read with ``iter_content``, so that ``content`` returns it.

    requests itself reads the body without a limit, and raises an error if the body was streamed.
    """
    response._content = content


def close_instead_of_draining() -> None:
    """Close the connection of an error response before a retry.

    urllib3 reads the body to its end, however long it is, to use the connection again, and has no setting for it.
    """
    HTTPResponse.drain_conn = HTTPResponse.close  # type: ignore[method-assign]
