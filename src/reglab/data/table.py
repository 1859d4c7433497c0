"""A user's file as a pandas table, or a line that says what is wrong with the file."""

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from reglab.data.files import PARQUET, check_file, suffix
from reglab.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")


def read_table(path: str) -> "pd.DataFrame":
    """All rows and columns, as written: no column is turned into an index, renamed or dropped.

    CSV files are UTF-8 with a header; their separator (comma, semicolon, tab or bar) is found from it. Empty cells, NA,
    NaN, null and the like are missing values.

    Raises:
        ConfigError: no such file, not readable as its suffix says, no rows, unnamed or repeated columns.
    """
    check_file(path)
    file = Path(path).expanduser()
    try:
        table = _parquet(file, path) if suffix(path) in PARQUET else _separated(file, path)
    except ConfigError:
        raise
    except UnicodeDecodeError:
        raise ConfigError(f"data.path={path}: is not UTF-8 text; save it as UTF-8") from None
    except Exception as error:  # pandas and pyarrow raise many kinds
        reason = " ".join(str(error).split())
        raise ConfigError(f"data.path={path}: cannot be read as {suffix(path)} ({reason}); check the file") from error
    if table.empty:
        raise ConfigError(f"data.path={path}: has no rows; give a file with a header and data below it")
    return table


def _parquet(file: Path, path: str) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow.parquet as pq

    _check_names(pq.read_schema(file).names, path)
    return pd.read_parquet(file).reset_index(drop=True)


def _separated(file: Path, path: str) -> "pd.DataFrame":
    import pandas as pd

    separator = _separator(file, path)
    layout = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True}
    header = pd.read_csv(file, header=None, nrows=1, dtype=str, keep_default_na=False, **layout)  # type: ignore[call-overload]
    names = [str(name).strip() for name in header.iloc[0]]
    _check_names(names, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would be cut
        table = pd.read_csv(file, index_col=False, low_memory=False, **layout)  # type: ignore[call-overload]
    table.columns = pd.Index(names)
    return table


def _separator(file: Path, path: str) -> str:
    import gzip

    opener = gzip.open if file.name.lower().endswith(".gz") else open
    with opener(file, "rt", encoding="utf-8-sig") as text:
        header = next((line for line in text if line.strip()), "")
    if not header:
        raise ConfigError(f"data.path={path}: is empty; give a file with a header and data below it")
    return max(SEPARATORS, key=header.count)


def _check_names(names: Sequence[str], path: str) -> None:
    for index, name in enumerate(names, start=1):
        if not name.strip():
            raise ConfigError(
                f"data.path={path}: column {index} has no name; name it, or remove it where it only numbers the rows"
            )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ConfigError(f"data.path={path}: more than one column is named {repeated[0]!r}; rename or remove one")
