"""A table of OpenML, by name and version."""

import json
import re
import socket
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.error import HTTPError, URLError

from reglab.data.settings import check_openml
from reglab.data.source import Source
from reglab.data.tables.tabular import Roles, TableOrigin, Tabular, check_column, table_source
from reglab.schema.constraints import Constraints, Integer, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import join_names, join_options
from reglab.schema.text_constraints import PATH

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.utils import Bunch

_STORED = ("id", "name", "version", "status", "licence", "url", "md5_checksum")
_TIMEOUT_S = 15.0  # for a response of the server: scikit-learn sets no timeout
_DEFAULT_TARGET = "default-target"
# The parser that uses pandas fails on categories that are numbers (MNIST's classes), and then deletes the copy in the
# cache: scikit-learn 1.9.1 with pandas 3.1, https://github.com/scikit-learn/scikit-learn/issues/34892.
_PARSER = "liac-arff"
_SEVERAL_VERSIONS = "Multiple active versions"
_EXPECTED_WARNINGS = re.compile("A network error|Invalid cache|target_column=")  # followed by an error, or by success


class Openml(Tabular):
    """A table of OpenML, by name and version.

    See `Tabular`.

    A number, or a name with a version, identifies one table: OpenML never changes a published one, and its checksum is
    compared. A name alone is its active version, which may change: a run's ``openml.json`` records the one used.
    Columns that OpenML ignores are not features, but may be target or split column. The network is used only for the
    download.

    Source: Vanschoren, van Rijn, Bischl and Torgo, OpenML: networked science in machine learning, 2013,
    doi:10.1145/2641190.2641198; through scikit-learn's ``fetch_openml``.

    Args:
        name: name on OpenML; any label if ``id`` is given.
        version: version of that name, at least 1; None: the active one, an error if there are several.
        id: OpenML's number, instead of name and version.
        cache: folder for downloads; None: scikit-learn's own (``SCIKIT_LEARN_DATA``, or ``~/scikit_learn_data``).
        target: name of the target column; None: the data set's default target.
        columns: see `Tabular`.

    Raises:
        ConfigError: neither name nor number, or both a number and a version; in ``setup``: no such data set, no answer
            from OpenML, sparse data, no default target, or a table that cannot be used.
    """

    inputs_description: ClassVar = "Numbers and categories of the columns of a data set of OpenML, downloaded once."

    dims = 1

    constraints: ClassVar[Constraints] = {
        "id": Nullable(Integer(1)),
        "version": Nullable(Integer(1), "the active one"),
        "cache": Nullable(PATH),
    }

    def __init__(
        self,
        *,
        name: str | None = None,
        version: int | None = None,
        id: int | None = None,
        cache: str | None = None,
        target: str | None = None,
        **columns: Any,
    ) -> None:
        check_openml(name, id, version, cache)
        super().__init__(name=name or f"openml-{id}", target=target, **columns)
        self.dataset = Dataset(name if id is None else None, version, id, cache)

    def load(self) -> Source:
        """Return all rows."""
        return _read(self.dataset, self.roles)[0]

    def files(self) -> dict[str, str]:
        """Return the description of the data set that was downloaded."""
        return {"openml.json": json.dumps(_read(self.dataset, self.roles)[1], indent=2)}


class Dataset(NamedTuple):
    """A data set of OpenML.

    Args:
        name: name on OpenML; None if there is a number.
        version: version of that name; None: the active one.
        number: OpenML's id; None: name and version are used.
        cache: folder for downloads; None: scikit-learn's own.
    """

    name: str | None
    version: int | None
    number: int | None
    cache: str | None

    @property
    def setting(self) -> Setting:
        """The setting that identifies it."""
        return Setting("data.id", self.number) if self.number is not None else Setting("data.name", self.name)


@lru_cache(maxsize=2)  # parsed once in a sweep
def _read(dataset: Dataset, roles: Roles) -> tuple[Source, dict[str, str]]:
    try:
        bunch = fetch(dataset, roles.target or _DEFAULT_TARGET)
    except KeyError:  # no such target: the error names the columns
        check_column("data.target", str(roles.target), fetch(dataset, None).frame, _origin(dataset))
        raise
    target = roles.target or _default_target(dataset, bunch.target_names, list(bunch.frame.columns))
    table = _with_split_column(dataset, bunch.frame, roles.split_column)
    details = {key: str(bunch.details[key]) for key in _STORED if key in bunch.details}
    return table_source(table, replace(roles, target=target), _origin(dataset)), details


def _origin(dataset: Dataset) -> TableOrigin:
    return TableOrigin(dataset.setting, hint="")


def _default_target(dataset: Dataset, targets: Sequence[str], columns: Sequence[str]) -> str:
    if len(targets) == 1:
        return targets[0]
    if not targets:
        raise ConfigError(
            Setting("data.target", None),
            f"OpenML has no default target for {dataset.setting.value}",
            f"name one of {join_options(columns)}",
        )
    raise ConfigError(
        Setting("data.target", None),
        f"OpenML has {len(targets)} default targets ({', '.join(targets)})",
        f"name one, and leave the others out, as in data.target={targets[0]} data.ignore=[{','.join(targets[1:])}]",
    )


def _with_split_column(dataset: Dataset, table: "pd.DataFrame", column: str | None) -> "pd.DataFrame":
    """Return the table with the split column also if OpenML ignores it, as it does groups and row numbers."""
    if column is None or column in table.columns:
        return table
    try:
        return table.assign(**{column: fetch(dataset, column, "data.split_column").frame[column]})
    except KeyError:
        check_column("data.split_column", column, table, _origin(dataset))
        raise


def fetch(dataset: Dataset, target: str | None = _DEFAULT_TARGET, key: str = "data.target") -> "Bunch":
    """Return a data set as ``fetch_openml`` does, from the cache if it is there.

    Args:
        dataset: which.
        target: column that is kept even if OpenML ignores it; None: none.
        key: key of the setting that names the column, for messages.

    Raises:
        KeyError: no such column.
        ConfigError: no such data set, several active versions, sparse data, missing values in the target, no copy in
            the cache and no answer from OpenML.
    """
    from sklearn.datasets import fetch_openml

    try:
        with warnings.catch_warnings(record=True) as caught, _socket_timeout():
            warnings.simplefilter("always")
            warnings.filterwarnings("error", message=_SEVERAL_VERSIONS)
            bunch = fetch_openml(
                name=dataset.name,
                version=dataset.version or "active",
                data_id=dataset.number,
                data_home=None if dataset.cache is None else Path(dataset.cache).expanduser(),
                target_column=target,
                as_frame=True,
                parser=_PARSER,
                n_retries=1,
            )
    except UserWarning as several:
        versions = re.findall(r"- version (\d+)", str(several))
        raise ConfigError(
            dataset.setting,
            f"OpenML has several active versions, such as {join_names(versions)}, which may be different data",
            f"choose one, as in data.version={versions[0]}",
        ) from None
    except KeyError as error:
        if "target_column" in str(error):
            raise
        raise ConfigError(
            dataset.setting,
            f"OpenML's response lacks {error}",
            f"remove it from the cache ({_cache_folder(dataset)})",
        ) from error
    except (URLError, TimeoutError, ConnectionError, HTTPException) as error:
        raise _network_error(dataset, error) from error
    except OSError as error:
        raise ConfigError(
            Setting("data.cache", _cache_folder(dataset)), error.strerror, "give a folder to write to"
        ) from error
    except Exception as error:  # ValueError, or one of the parser's many
        raise _unusable(dataset, str(error), key) from error
    for warning in caught:
        if not _EXPECTED_WARNINGS.match(str(warning.message)):
            warnings.warn(f"{dataset.setting}: {_one_line(warning.message)}", stacklevel=2)
    return bunch


@contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _network_error(dataset: Dataset, error: Exception) -> ConfigError:
    if isinstance(error, HTTPError):
        return ConfigError(dataset.setting, f"OpenML responds {error.code} ({error.reason})", "try again later")
    reason = _one_line(getattr(error, "reason", None) or error) or type(error).__name__
    return ConfigError(
        dataset.setting,
        f"has no complete copy in the cache ({_cache_folder(dataset)}), and OpenML cannot be reached ({reason})",
        "connect to the network for the download, or give the folder that has a copy, as in data.cache=FOLDER",
    )


def _unusable(dataset: Dataset, reason: str, key: str) -> ConfigError:
    """Return the error for a message of ``fetch_openml``, which raises one type of error for all causes."""
    if "not found" in reason or "No active dataset" in reason:
        missing = "no such data set" if dataset.version is None else f"no version {dataset.version} of it"
        remedy = "look for it on https://www.openml.org/search?type=data"
        return ConfigError(dataset.setting, f"OpenML has {missing}", remedy)
    if "Sparse ARFF" in reason:
        problem = "is stored sparse, and only dense tables are supported"
        return ConfigError(dataset.setting, problem, "choose another data set or version")
    if match := re.search(r"Target column '(.*)' has (\d+) missing", reason):
        return ConfigError(Setting(key, match[1]), f"{match[2]} rows have no value", "name another column")
    return ConfigError(
        dataset.setting,
        f"cannot be used ({_one_line(reason)})",
        "choose another data set or version, or name data.target",
    )


def _cache_folder(dataset: Dataset) -> str:
    from sklearn.datasets import get_data_home

    return dataset.cache or str(get_data_home())


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
