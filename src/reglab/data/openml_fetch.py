"""A table from OpenML through scikit-learn, or a line that says why there is none."""

import re
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError, URLError

from reglab.schema.errors import ConfigError, Setting

if TYPE_CHECKING:
    from sklearn.utils import Bunch

SECONDS = 15.0  # that a server may be silent: scikit-learn alone would wait for ever
DEFAULT_TARGET = "default-target"
# The parser that goes through pandas fails on categories that are numbers (MNIST's classes), and then deletes the copy
# in the cache: scikit-learn 1.9.1 with pandas 3.1, https://github.com/scikit-learn/scikit-learn/issues/34892.
PARSER = "liac-arff"
_SEVERAL = "Multiple active versions"
_OF_NO_USE = re.compile("A network error|Invalid cache|target_column=")  # what comes of them is told


class Wanted(NamedTuple):
    """A data set of OpenML.

    Args:
        name: with a version, or None for the active one; None where there is a number.
        number: OpenML's id, instead.
        cache: the folder for what is downloaded; None: scikit-learn's own.
    """

    name: str | None
    version: int | None
    number: int | None
    cache: str | None

    @property
    def key(self) -> str:
        """Begins a message."""
        return f"data.name={self.name}" if self.number is None else f"data.id={self.number}"


def fetch(wanted: Wanted, target: str | None = DEFAULT_TARGET, key: str = "data.target") -> "Bunch":
    """The data set as ``fetch_openml`` gives it, from the cache where that has it.

    Args:
        wanted: which.
        target: column that has to be there even if OpenML says to ignore it; None: none.
        key: that gave the column, for messages.

    Raises:
        KeyError: no such column.
        ConfigError: no such data set, several active versions, sparse data, missing values in the target, no copy in
            the cache and no answer from OpenML.
    """
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings(record=True) as remarks, _patience():
            warnings.simplefilter("always")
            warnings.filterwarnings("error", message=_SEVERAL)
            bunch = fetch_openml(
                name=wanted.name,
                version=wanted.version or "active",
                data_id=wanted.number,
                data_home=None if wanted.cache is None else Path(wanted.cache).expanduser(),
                target_column=target,
                as_frame=True,
                parser=PARSER,
                n_retries=1,
            )
    except UserWarning as warning:
        versions = re.findall(r"- version (\d+)", str(warning))
        raise ConfigError(
            wanted.key,
            f"OpenML has several active versions, such as {' and '.join(versions)}, which may be different data",
            f"choose one, as in data.version={versions[0]}",
        ) from None
    except KeyError as error:
        if "target_column" in str(error):
            raise
        raise ConfigError(wanted.key, f"OpenML's answer in {_folder(wanted)} lacks {error}", "remove it") from error
    except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
        raise ConfigError(_unreached(wanted, error)) from error
    except OSError as error:
        raise ConfigError(
            Setting("data.cache", _folder(wanted)), error.strerror, "give a folder to write to"
        ) from error
    except Exception as error:  # ValueError, or one of the parser's many
        raise ConfigError(_refused(wanted, str(error), key)) from error
    for remark in remarks:
        if not _OF_NO_USE.match(str(remark.message)):
            warnings.warn(f"{wanted.key}: {_line(remark.message)}", stacklevel=2)
    return bunch


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _unreached(wanted: Wanted, error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"{wanted.key}: OpenML answers {error.code} ({error.reason}); try again later"
    reason = _line(getattr(error, "reason", None) or error) or type(error).__name__
    return (
        f"{wanted.key}: has no whole copy in the cache ({_folder(wanted)}), and OpenML cannot be reached ({reason}); "
        "connect to the network for the first time, or give the folder that has a copy, as in data.cache=FOLDER"
    )


def _refused(wanted: Wanted, reason: str, key: str) -> str:
    if "not found" in reason or "No active dataset" in reason:
        which = "no such data set" if wanted.version is None else f"no version {wanted.version} of it"
        return f"{wanted.key}: OpenML has {which}; look for it on https://www.openml.org/search?type=data"
    if "Sparse ARFF" in reason:
        return f"{wanted.key}: is stored sparse, and tables must be dense; choose another data set or version"
    if missing := re.search(r"Target column '(.*)' has (\d+) missing", reason):
        return f"{key}={missing[1]}: {missing[2]} rows have no value; name another column"
    return f"{wanted.key}: cannot be used ({_line(reason)}); choose another data set or version, or name data.target"


def _folder(wanted: Wanted) -> str:
    from sklearn.datasets import get_data_home

    return wanted.cache or str(get_data_home())


def _line(text: object) -> str:
    return " ".join(str(text).split())
