"""Compare errors by their fields."""

from reglab.schema.errors import ConfigError


def check_error(error: ConfigError, where: str, words: str) -> None:
    """Assert that an error is about a setting (``data.path=x.csv``), has these words, and is one line."""
    assert str(error.where) == where
    assert words in "; ".join((error.problem, error.remedy))
    assert "\n" not in str(error)
