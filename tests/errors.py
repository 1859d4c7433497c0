"""Compare errors by their fields and key words."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reglab.schema.errors import ConfigError
from reglab.schema.text import one_line


def check_error(error: ConfigError, expected: str) -> None:
    """Assert that an error names a setting, contains words of the problem and remedy in order, and is one line.

    Args:
        error: the error.
        expected: the setting and parts of the problem and remedy, as in ``data.path=x.csv: no such ... did you mean``.
    """
    where, _, words = expected.partition(": ")
    assert one_line(str(error.where)) == where
    text = "; ".join((error.problem, error.remedy))
    start = 0
    for part in words.split(" ... "):  # in this order
        assert part in text[start:]
        start = text.index(part, start) + len(part)
    assert "\n" not in str(error)


@contextmanager
def config_error(expected: str) -> Iterator[None]:
    """Expect a `ConfigError` for which `check_error` passes."""
    with pytest.raises(ConfigError) as caught:
        yield
    check_error(caught.value, expected)
