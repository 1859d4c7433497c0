"""Read a user's CSV or Parquet file as a pandas table.

Cells of a CSV file are texts, exactly as written; `reglab.data.tables.numbers` parses them. Parquet keeps types.
"""

import base64
import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reglab.data.files import PARQUET, check_file, memory_bytes, table_suffix
from reglab.data.tables.cells import MISSING_WORDS
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import pluralize

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_SEPARATORS = (",", ";", "\t", "|")
_MAGIC = {  # first bytes: (kind of file, remedy)
    b"\x1f\x8b": ("a gzip archive", "name it .csv.gz"),
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    b"BZh": ("a bzip2 archive", "unpack it"),
    b"\xfd7zXZ": ("an xz archive", "unpack it"),
    b"PAR1": ("a Parquet file", "name it .parquet"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
}
_SAMPLE = 50  # rows from which the separator is detected
_HEAD = 2**20  # characters that contain these rows


class Table(NamedTuple):
    """The content of a file.

    Attributes:
        frame: all rows and columns.
        notes: sentences on how the file was read.
        indices: names of the columns that were the index of the stored table.
    """

    frame: "pd.DataFrame"
    notes: tuple[str, ...] = ()
    indices: tuple[str, ...] = ()


def read_table(path: str) -> Table:
    """Return all rows and columns of a file; only empty columns without a name are dropped.

    CSV files have a header and are UTF-8, or UTF-16 with a byte order mark; their separator (comma, semicolon, tab or
    bar) is the one that gives the first rows as many fields as the header. Lines at the top that begin with # are
    comments; a first line ``sep=;`` sets the separator. In Parquet files declared categories stay categories, and an
    index with a name is a column.

    Raises:
        ConfigError: no such file, not in the format of its suffix, no rows, unnamed or repeated columns, rows longer or
            shorter than the header, no header.
    """
    check_file(path)
    file = Path(path).expanduser()
    try:
        table = _parquet(file, path) if table_suffix(path) in PARQUET else _separated(_content(file, path), path)
    except ConfigError:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds
        reason = " ".join(str(error).split())
        raise ConfigError(
            Setting("data.path", path), f"cannot be read as {table_suffix(path)} ({reason})", "check the file"
        ) from error
    if table.frame.empty:
        raise ConfigError(Setting("data.path", path), "has no rows", "give a file with a header and data below it")
    return table


def _parquet(file: Path, path: str) -> Table:
    import pyarrow.parquet as pq

    _check_names(pq.read_schema(file).names, path)
    table = pq.read_table(file)
    declared = table.schema.pandas_metadata or {}
    categories = {c["field_name"] for c in declared.get("columns", ()) if c["pandas_type"] == "categorical"}
    categories |= _dictionaries(pq.read_metadata(file).metadata or {})
    frame = table.to_pandas(ignore_metadata=True, integer_object_nulls=True)  # as floats, large ones would change
    frame = frame.astype({name: "category" for name in categories if name in frame})
    # pandas names an index without a name __index_level_0__.
    unnamed = [str(name) for name in frame.columns if re.fullmatch(r"__index_level_\d+__", str(name))]
    index = [name for name in declared.get("index_columns", ()) if isinstance(name, str) and name not in unnamed]
    notes = ["data.path: an index without a name is left out; give it a name to keep it as a column"] * bool(unnamed)
    return Table(frame.drop(columns=unnamed), tuple(notes), tuple(index))


def _dictionaries(metadata: "dict[bytes, bytes]") -> set[str]:
    """Return columns that pyarrow wrote from dictionaries: Parquet itself stores those of integers as integers."""
    import pyarrow as pa

    if (stored := metadata.get(b"ARROW:schema")) is None:
        return set()
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
    return {field.name for field in schema if pa.types.is_dictionary(field.type)}


def _content(file: Path, path: str) -> str:
    with gzip.open(file) if file.name.lower().endswith(".gz") else file.open("rb") as opened:
        raw = opened.read(memory_bytes() // 4)
        if opened.read(1):
            raise ConfigError(
                Setting("data.path", path),
                f"unpacks to over {memory_bytes() / 2**32:.1f} GiB, a quarter of this machine's memory",
                "give a smaller part of it, or a Parquet file",
            )
    for magic, (kind, remedy) in _MAGIC.items():
        if raw.startswith(magic):
            raise ConfigError(Setting("data.path", path), f"is {kind}", remedy)
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        content = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(Setting("data.path", path), f"is not UTF-8 text (line {line})", "save it as UTF-8") from None
    if "\n" not in content:  # the line ends of old Macs
        content = content.replace("\r", "\n")
    if "\0" in content:
        line = content.count("\n", 0, content.index("\0")) + 1
        raise ConfigError(Setting("data.path", path), f"has a NUL character (line {line})", "save it as UTF-8 text")
    return content


def _separated(content: str, path: str) -> Table:
    separator, start = _layout(content, path)
    body = content[start:]
    names = [name.strip() for name in _fields(_head(body), separator, 1)[0]]
    if '"' in body and re.search(
        rf'(^|{re.escape(separator)})[ ]+"', body, re.MULTILINE
    ):  # pyarrow does not support blanks before quotes
        columns = _read_by_line(body, separator, path)
    else:
        columns = _read_with_pyarrow(body, separator, len(names), path)
    return _to_frame(columns, names, separator, path)


def _read_with_pyarrow(body: str, separator: str, fields: int, path: str) -> "dict[int, pa.ChunkedArray]":
    import pyarrow as pa
    from pyarrow import csv as arrow

    rows = body.encode()
    names = [str(number) for number in range(fields)]
    try:
        read = arrow.read_csv(
            pa.BufferReader(rows),
            arrow.ReadOptions(
                column_names=names, skip_rows_after_names=1, block_size=min(max(len(rows), 2**20), 2**28)
            ),
            arrow.ParseOptions(delimiter=separator, newlines_in_values=True),
            arrow.ConvertOptions(column_types=dict.fromkeys(names, pa.large_string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid:
        _read_by_line(body, separator, path)  # raises with the number of the row
        raise
    return {int(name): read.column(name) for name in read.column_names}


def _to_frame(columns: "dict[int, pa.ChunkedArray]", names: list[str], separator: str, path: str) -> Table:
    import pandas as pd
    import pyarrow.compute as pc

    for column in columns.values():
        _check_quotes(column, separator, len(names), path)
    empty = {number for number, name in enumerate(names) if not name and pc.all(pc.equal(columns[number], "")).as_py()}
    kept = [number for number in range(len(names)) if number not in empty]
    frame = pd.DataFrame({number: columns[number].to_pandas() for number in kept})
    frame.columns = pd.Index([names[number] for number in kept], dtype=object)
    repeats = _repeated_headers(columns, names, kept)
    rest = frame.drop(index=frame.index[repeats]) if len(repeats) else frame
    if len(rest):
        _check_header(rest, path)
    _check_names([names[number] for number in kept], path)
    if len(repeats):
        more = f" (and {pluralize(len(repeats) - 1, 'more row')})" if len(repeats) > 1 else ""
        raise ConfigError(
            Setting("data.path", path),
            f"data row {repeats[0] + 1} repeats the header{more}, as in concatenated files",
            "remove these lines",
        )
    return Table(frame)


def _repeated_headers(columns: "dict[int, pa.ChunkedArray]", names: list[str], kept: list[int]) -> np.ndarray:
    """Return the numbers (from 0) of rows that repeat the header; with three columns or more, in any order.

    Case, quotes and a byte order mark (at the start of each of several files) are ignored.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    ignored = ' \t"\ufeff'
    header = [names[number].lower().strip(ignored) for number in kept]
    rows = np.arange(len(columns[kept[0]]) if len(kept) > 1 else 0)  # a single column may well contain its name
    cells: list[list[str]] = []
    for i, number in enumerate(kept):
        written = pc.utf8_lower(pc.utf8_trim(columns[number].take(pa.array(rows)), ignored))
        expected = pa.array(header if len(kept) > 2 else header[i : i + 1], type=written.type)
        matches = pc.is_in(written, value_set=expected).to_numpy()
        rows = rows[matches]
        cells = [[cell for cell, is_match in zip(column, matches, strict=True) if is_match] for column in cells]
        cells.append(written.filter(pa.array(matches)).to_pylist())
        if not len(rows):
            break
    complete = [sorted(row) == sorted(header) for row in zip(*cells, strict=True)]
    return rows[np.array(complete, dtype=bool)]


def _check_quotes(column: "pa.ChunkedArray", separator: str, fields: int, path: str) -> None:
    """Raise if a cell contains lines that look like rows: its quote is not closed, so it includes the rows below."""
    import pyarrow.compute as pc

    multiline = pc.match_substring(column, "\n")
    if not pc.any(multiline).as_py():
        return
    for row, cell in zip(np.flatnonzero(multiline.to_numpy()), column.filter(multiline).to_pylist(), strict=True):
        lines = cell.splitlines()[1:]
        inner = lines[:-1] or lines
        if fields > 1 and inner and all(line.count(separator) == fields - 1 for line in inner):
            raise ConfigError(
                Setting("data.path", path),
                f"the quote in data row {row + 1} is not closed ({cell[:20]!r}...), and the rows below are "
                "read as its text",
                "close it, or double it where it is part of the text",
            )


def _head(content: str) -> str:
    """Return the first lines, without the last if it is cut off."""
    end = content.rfind("\n", 0, _HEAD)
    return content if len(content) <= _HEAD or end < 0 else content[: end + 1]


def _fields(content: str, separator: str, rows: int) -> list[list[str]]:
    """Return the fields of the first rows that are not empty."""
    reader = csv.reader(io.StringIO(content), delimiter=separator, skipinitialspace=True)
    first_rows: list[list[str]] = []
    try:
        for row in reader:
            if row:
                first_rows.append(row)
            if len(first_rows) == rows:
                break
    except csv.Error:  # a field above csv's limit: the rows before it are enough
        pass
    return first_rows or [[]]


def _layout(content: str, path: str) -> tuple[str, int]:
    """Return the separator, and the position of the header."""
    lines = _first_lines(_head(content))
    if not lines or not lines[-1][1].strip():
        raise ConfigError(Setting("data.path", path), "is empty", "give a file with a header and data below it")
    start, first = lines[-1]
    if named := re.fullmatch(r"sep=(.)", first.strip(), re.IGNORECASE):  # as Excel writes it
        return named[1], content.index("\n", start) + 1 if "\n" in content[start:] else len(content)
    head = _head(content[start : start + 2 * _HEAD])
    separator = max(_SEPARATORS, key=lambda candidate: _agreement(head, candidate))
    fields = len(_fields(head, separator, 1)[0])
    comments = [line for _, line in lines[:-1] if line.strip()]
    if comments and fields > 1 and len(_fields(comments[-1].lstrip("# "), separator, 1)[0]) == fields:
        raise ConfigError(
            Setting("data.path", path),
            f"line {len(lines) - 1} begins with # and has as many fields as the rows below, so it may be "
            "a comment or the header",
            "remove its # or the line",
        )
    return separator, start


def _first_lines(content: str) -> "list[tuple[int, str]]":
    """Return the lines up to the first that is neither empty nor a comment, each with its position."""
    lines, start = [], 0
    for line in io.StringIO(content):
        lines.append((start, line))
        if line.strip() and not line.startswith("#"):
            break
        start += len(line)
    return lines


def _agreement(content: str, separator: str) -> tuple[bool, int]:
    """Return whether the first rows have as many fields as the header, more than one; and their number."""
    rows = _fields(content, separator, _SAMPLE)
    fields = len(rows[0])
    return fields > 1 and all(len(row) == fields for row in rows), fields


def _read_by_line(body: str, separator: str, path: str) -> "dict[int, pa.ChunkedArray]":
    import pyarrow as pa

    reader = csv.reader(io.StringIO(body), delimiter=separator, skipinitialspace=True, strict=True)
    rows = [row for row in reader if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            text = separator.join(row)
            raise ConfigError(
                Setting("data.path", path),
                f"cannot be read as {table_suffix(path)}: data row {number - 1} has {len(row)} fields, and the header "
                f"has {len(rows[0])} ({text if len(text) <= 40 else f'{text[:40]}...'!r})",
                "correct it (quote cells that contain the separator)",
            )
    return {
        number: pa.chunked_array([pa.array(cells, type=pa.large_string())])
        for number, cells in enumerate(zip(*rows[1:], strict=True))
    } or {number: pa.chunked_array([], type=pa.large_string()) for number in range(len(rows[0]))}


def _check_header(frame: "pd.DataFrame", path: str) -> None:
    """Raise if the first line looks like the rows below: each name could be a value of its column."""
    for name, (_, column) in zip(frame.columns, frame.items(), strict=True):
        if not _could_be_value_of(name.strip(), column):
            return
    raise ConfigError(
        Setting("data.path", path),
        f"its first line looks like data ({', '.join(frame.columns[:4])}, ...) and must be a header",
        "add a line with the columns' names",
    )


def _could_be_value_of(name: str, column: "pd.Series") -> bool:
    import pandas as pd

    try:
        value = float(name)
    except ValueError:
        return bool(name) and bool((column.str.strip() == name).any())
    values = pd.to_numeric(column.where(~column.isin(MISSING_WORDS)), errors="coerce").to_numpy(dtype=float)
    seen = values[np.isfinite(values)]
    return bool(len(seen) and seen.min() <= value <= seen.max())


def _check_names(names: Sequence[str], path: str) -> None:
    for index, name in enumerate(names, start=1):
        if not name.strip():
            raise ConfigError(
                Setting("data.path", path),
                f"column {index} has no name",
                "name it, or remove it if it only numbers the rows",
            )
        if len(name.splitlines()) > 1:
            raise ConfigError(
                Setting("data.path", path), f"the name of column {index} has several lines ({name!r})", "rename it"
            )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ConfigError(
            Setting("data.path", path), f"more than one column is named {repeated[0]!r}", "rename or remove one"
        )
