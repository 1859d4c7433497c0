"""Read the cells of one column: numbers in common notations, missing values, or text.

In a column whose other cells are numbers or truth values, the words of `WORDS_FOR_MISSING` are missing values. In a
column of texts only the empty cell is: a class called None, or Namibia's NA, stays what it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reglab.schema.errors import ConfigError
from reglab.wording import join_options

if TYPE_CHECKING:
    import pandas as pd

# In any case of letters.
WORDS_FOR_MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "-NaN", "null", "None", "NaT", r"\N", "?", "-", "--", ".")
_MISSING = frozenset(word.casefold() for word in WORDS_FOR_MISSING)
_USUAL = frozenset(("", "na", "nan", "<na>"))  # as R, NumPy and pandas write them: not reported
MOSTLY = 0.9  # a text column with this share of numbers was meant to be numeric
WORDS = 3  # different texts, up to which they are exceptions among more than FEW different numbers
EXACT = 2**53  # from here on not every whole number is a float64
SPELLING = "case, white space or Unicode form"
FEW = 20  # different values; amounts of one unit above that are refused, where below they are categories


class Notation(NamedTuple):
    """How a number is written: its decimal mark, and what groups its digits by three ("": nothing)."""

    decimal: str
    group: str

    def __str__(self) -> str:
        grouped = {"": "1234", " ": "1 234"}.get(self.group, f"1{self.group}234")
        return f"{grouped}{self.decimal}5"


PLAIN = Notation(".", "")
_NOTATIONS = (PLAIN, *(Notation(*pair) for pair in product(".,", ("", ",", ".", "'", " ")) if pair != (".", "")))
_NOTATIONS = tuple(notation for notation in _NOTATIONS if notation.decimal != notation.group)
_BLANKS = " \u00a0\u202f\u2009"
_GROUPS = {"": "", ",": ",", ".": r"\.", "'": "['\u2019]", " ": f"[{_BLANKS}]"}
_MINUS = str.maketrans({"\u2212": "-"})
_CURRENCY = r"[$€£¥₹]|CHF|EUR|USD|GBP"
_AFFIXED = re.compile(rf"([+-]?)({_CURRENCY})?[{_BLANKS}]*(.*?)[{_BLANKS}]*({_CURRENCY}|%)?")
_AMOUNT = re.compile(rf"[+-]?[\d.,]*\d[{_BLANKS}]*([^\W\d_][^\d]*)")  # a number with a unit
_AS_IN_CODE = re.compile(r"0x[0-9a-f]+|[+-]?\d{1,3}(_\d{3})+(\.\d*)?", re.IGNORECASE)
_CODE = re.compile(r"[+-]?0\d+")
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}([-/.])\d{1,2}\2(\d{4}|\d{2}))([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"
    r"(Z| ?[+-]\d{2}:?\d{2})?|\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
    rf"|\d{{1,2}}[ -]{_MONTH}[ -]\d{{2,4}}|{_MONTH} \d{{1,2}}, \d{{4}}|{_MONTH}[ -]\d{{4}}",
    re.IGNORECASE,
)


def _pattern(notation: Notation) -> re.Pattern[str]:
    decimal = re.escape(notation.decimal)
    whole = r"\d+" + (rf"|[1-9]\d{{0,2}}(?:{_GROUPS[notation.group]}\d{{3}})+" if notation.group else "")
    return re.compile(rf"[+-]?(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?", re.I)


_PATTERNS = {notation: _pattern(notation) for notation in _NOTATIONS}


@dataclass(frozen=True)
class Read:
    """A column as numbers.

    Attributes:
        values: float64 (n,), NaN where missing.
        notation: that the numbers are written in.
        decided: the cells leave no doubt about their decimal mark.
        truth: the cells are truth values (1: true).
        ambiguous: other notations that fit all cells and give other values, with these.
        thousands: with a point for the decimal mark, every number that has one could as well have it as a separator
            of thousands.
        remarks: sentences on how the cells were read, without the column's name.
    """

    values: np.ndarray
    notation: Notation = PLAIN
    decided: bool = False
    truth: bool = False
    ambiguous: dict[Notation, np.ndarray] = field(default_factory=dict)
    thousands: bool = False
    remarks: tuple[str, ...] = ()

    def settled(self, key: str, decimals: frozenset[str] = frozenset()) -> "Read":
        """Choose among notations by the decimal marks of the table's other columns.

        Args:
            key: begins the message.
            decimals: marks that other columns leave no doubt about.

        Raises:
            ConfigError: the cells can be read in two ways.
        """
        if not self.ambiguous:
            if self.thousands and decimals == {","}:
                raise ConfigError(
                    f"{key} can be read in two ways",
                    "its points may be decimal marks, or separate thousands, for other columns have decimal commas",
                    "write all numbers as 1234.5",
                )
            return self
        every = {self.notation: self.values, **self.ambiguous}
        fit = [notation for notation in every if notation.decimal in decimals]
        alike = {every[notation].tobytes() for notation in fit}
        if len(alike) != 1:
            different = {values.tobytes(): str(notation) for notation, values in reversed(every.items())}
            some = " or ".join(reversed(different.values()))
            raise ConfigError(
                f"{key} can be read in two ways ({some})",
                "its commas may be decimal marks or separate thousands",
                "write all numbers as 1234.5",
            )
        return Read(every[fit[0]], fit[0], decided=True, remarks=(*self.remarks, f"numbers are read as in {fit[0]}"))


def numbers(column: "pd.Series", key: str, *, strict: bool = True, exact: bool = True) -> Read | None:
    """Return the column as numbers; None where it is text.

    Numbers are read where all cells agree in how they are written: 1234.5, 1234,5, 1,234.5, 1.234,5, 1'234.5, 1 234,5,
    with one currency or with percent (the number before the sign). Numbers with leading zeros (007) are codes, so text.

    Args:
        column: one column of the table.
        key: begins a message, such as ``data.path=FILE: column 'x'``.
        strict: whether a column of numbers with a few texts among them is refused, and dates and amounts with a unit
            are (else it is text).
        exact: whether different whole numbers that are equal as float64 are refused.

    Raises:
        ConfigError: dates, bytes, lists, infinite numbers, different whole numbers that are equal as float64, or
            (strict) a few texts among numbers.
    """
    import pandas as pd

    check_types(column, key)
    if pd.api.types.is_numeric_dtype(column):  # booleans too
        values = np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))  # pandas lends it read-only
        if exact and pd.api.types.is_integer_dtype(column) and np.nanmax(np.abs(values), initial=0) >= EXACT:
            _check_exact(column.nunique(), values, key)
        read: Read | None = Read(values, truth=pd.api.types.is_bool_dtype(column))
    else:
        written = text(column)
        read = _plainly(written) or _from_text(written, key, strict, exact)
    if read is not None and np.isinf(read.values).any():
        row = int(np.flatnonzero(np.isinf(read.values))[0])
        raise ConfigError(
            f"{key} holds an infinite number in data row {row + 1}; correct it, or empty the cell where the value is "
            "missing"
        )
    return read


def text(column: "pd.Series") -> "pd.Series":
    """Return the column as strings without surrounding blanks; missing values and empty cells are missing."""
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
        column = column.astype(object).map(str, na_action="ignore").astype(pd.StringDtype())
    written = column.str.strip()
    return written.mask(written == "")


def is_missing_word(label: str) -> bool:
    """Whether a text is one of `WORDS_FOR_MISSING`, in any case of letters."""
    return label.strip().casefold() in _MISSING


def check_types(column: "pd.Series", key: str) -> None:
    """Raise if cells contain anything but numbers and texts.

    Raises:
        ConfigError: dates, times or spans of time, bytes, lists or structs, complex numbers.
    """
    import datetime
    import decimal

    import pandas as pd

    kind = pd.api.types
    cells: set[type] = set()
    if column.dtype == object or isinstance(column.dtype, pd.CategoricalDtype):
        cells = set(map(type, column.cat.categories if column.dtype != object else column.dropna()))
    dates = (datetime.date, datetime.time, datetime.timedelta, np.datetime64, np.timedelta64)
    spans = isinstance(column.dtype, pd.PeriodDtype)
    if kind.is_datetime64_any_dtype(column) or kind.is_timedelta64_dtype(column) or spans or _any(cells, dates):
        raise ConfigError(_dates(key))
    if _any(cells, (bytes, bytearray, memoryview)):
        raise ConfigError(f"{key} holds bytes; decode them to texts, or leave the column out (data.ignore)")
    if kind.is_complex_dtype(column) or _any(cells, (complex, np.complexfloating)):
        raise ConfigError(f"{key} holds complex numbers; give real and imaginary parts as two columns, or leave it out")
    if isinstance(column.dtype, pd.IntervalDtype):
        raise ConfigError(f"{key} holds intervals; give their ends as two columns, or leave it out (data.ignore)")
    if others := {one for one in cells if not issubclass(one, str | int | float | decimal.Decimal | np.generic)}:
        raise ConfigError(
            f"{key} holds lists or structs ({others.pop().__name__}); give each element a column, or leave the column "
            "out (data.ignore)"
        )


def _any(cells: set[type], kinds: tuple[type, ...]) -> bool:
    return any(issubclass(one, kinds) for one in cells)


def _dates(key: str) -> str:
    return f"{key} holds dates; turn them into numbers (such as days), or leave the column out (data.ignore)"


def _plainly(written: "pd.Series") -> Read | None:
    """Read the common case in vectorized form; None if each distinct cell has to be read."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cells = pa.array(written, type=pa.large_string(), from_pandas=True)
    if cells.null_count == len(cells) or pc.any(pc.match_substring_regex(cells, r"^[+-]?0\d+$")).as_py():
        return None
    try:
        values = pc.cast(cells, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    if np.nanmax(np.abs(values[np.isfinite(values)]), initial=0) >= EXACT or np.isnan(values).all():
        return None
    points = cells.filter(pc.match_substring(cells, "."))
    grouped = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"
    thousands = bool(len(points)) and pc.all(pc.match_substring_regex(points, grouped)).as_py()
    return Read(values.copy(), decided=bool(len(points)) and not thousands, thousands=thousands)


def _from_text(written: "pd.Series", key: str, strict: bool, exact: bool) -> Read | None:
    cells = written.to_numpy(dtype=object, na_value="")
    distinct, place = _factorized(cells)
    folded = [cell.casefold() for cell in distinct]
    words = [cell for cell, low in zip(distinct, folded, strict=True) if low in _MISSING and low not in _USUAL]
    there = [number for number, low in enumerate(folded) if low not in _MISSING]
    present = [distinct[number] for number in there]
    if not present:
        return Read(np.full(len(place), np.nan), remarks=_noted(words))
    if all(folded[number] in ("true", "false") for number in there):
        values, remarks = np.array([float(folded[number] == "true") for number in there]), _noted(words)
        return Read(_spread(values, there, place, len(distinct)), truth=True, remarks=remarks)
    if any(map(_CODE.fullmatch, present)):
        return None
    if strict and all(map(_DATE.fullmatch, present)) and not all(map(_PATTERNS[PLAIN].fullmatch, present)):
        raise ConfigError(_dates(key))
    bare, noted = _bare(present, key, strict)
    fit = _fitting(bare)
    if not fit:
        _check_mostly(distinct, there, place, key, strict)
        return None
    parsed = {notation: np.array([_parsed(cell, notation) for cell in bare]) for notation in fit}
    first = parsed.pop(fit[0])
    if fit[0] == PLAIN:
        parsed = {}
    other = {notation: values for notation, values in parsed.items() if not np.array_equal(values, first)}
    if exact and np.abs(first[np.isfinite(first)]).max(initial=0) >= EXACT:
        _check_exact(len(set(bare)), first, key)
    if fit[0] != PLAIN and not other:
        noted += (f"numbers are read as in {fit[0]}",)
    points = [cell for cell in bare if "." in cell]
    full = _PATTERNS[Notation(",", ".")]
    thousands = fit[0] == PLAIN and bool(points) and all(map(full.fullmatch, points))
    one_mark = bool(points) if fit[0] == PLAIN else len({notation.decimal for notation in fit}) == 1
    return Read(
        _spread(first, there, place, len(distinct)),
        fit[0],
        decided=one_mark and not thousands and not other,
        ambiguous={one: _spread(values, there, place, len(distinct)) for one, values in other.items()},
        thousands=thousands,
        remarks=(*_noted(words), *noted),
    )


def _noted(words: list[str]) -> tuple[str, ...]:
    return (f"{join_options([repr(word) for word in words])} counts as a missing value",) if words else ()


def _factorized(cells: np.ndarray) -> tuple[list[str], np.ndarray]:
    import pandas as pd

    place, distinct = pd.factorize(cells)
    return [str(cell).translate(_MINUS) for cell in distinct], place


def _spread(values: np.ndarray, there: list[int], place: np.ndarray, count: int) -> np.ndarray:
    """Of each row the value of its cell; NaN where that is missing."""
    every = np.full(count, np.nan)
    every[there] = values
    return every[place]


def _bare(cells: list[str], key: str, strict: bool) -> tuple[list[str], tuple[str, ...]]:
    """The cells without the currency or percent sign that all of them have."""
    found = [_AFFIXED.fullmatch(cell) for cell in cells]
    signs = {(match[2] or "", match[4] or "") for match in found if match}
    if all(found) and len(signs) == 1 and (sign := "".join(*signs)):
        return [match[1] + match[3] for match in found if match], (f"numbers are read without their {sign}",)
    units = {match[1] if (match := _AMOUNT.fullmatch(cell)) else None for cell in cells}
    if strict and len(units) == 1 and None not in units and len(cells) > FEW:
        raise ConfigError(
            f"{key} holds {len(cells)} different amounts with a unit (such as {cells[0]!r}); write the numbers alone, "
            "or leave the column out (data.ignore)"
        )
    return cells, ()


def _fitting(cells: list[str]) -> list[Notation]:
    """Notations in which every cell is a number, the plain one first."""
    fit = list(_NOTATIONS)
    for cell in cells:
        fit = [notation for notation in fit if _PATTERNS[notation].fullmatch(cell)]
        if not fit:
            break
    return fit


def _parsed(cell: str, notation: Notation) -> float:
    for group in {" ": _BLANKS, "'": "'\u2019"}.get(notation.group, notation.group):
        cell = cell.replace(group, "")
    return float(cell.replace(notation.decimal, "."))


def _check_mostly(distinct: list[str], there: list[int], place: np.ndarray, key: str, strict: bool) -> None:
    """Raise where but a few cells are no numbers, or where numbers are written in several ways."""
    if not strict:
        return
    number = {one: _is_number(distinct[one]) for one in there}
    rows = np.flatnonzero(np.isin(place, there))
    wrong = np.flatnonzero(np.isin(place, [one for one in there if not number[one]]))
    if not len(wrong):
        some = [distinct[one] for one in there]
        other = next((cell for cell in some if _shape(cell) != _shape(some[0])), some[-1])
        raise ConfigError(
            f"{key} holds numbers in a notation that is not read, or in several ({some[0]!r}, {other!r}); write all "
            "numbers as 1234.5, or leave the column out (data.ignore)"
        )
    words = len(there) - sum(number.values())
    with_a_word = sum(number.values()) > FEW and words <= WORDS and 2 * len(wrong) < len(rows)
    if with_a_word or len(rows) - len(wrong) >= MOSTLY * len(rows):
        raise ConfigError(
            f"{key} is numeric but for {len(wrong)} of {len(rows)} cells, the first {distinct[place[wrong[0]]]!r} in "
            f"data row {wrong[0] + 1}; correct it, or empty the cell where the value is missing"
        )


def _is_number(cell: str) -> bool:
    """Return whether a cell is a number in any notation: with a currency, a percent sign or _, or hexadecimal.

    So are negative numbers in accounting notation: in brackets, or with the minus at the end (``5.5-``).
    """
    match = _AFFIXED.fullmatch(cell[1:-1] if cell.startswith("(") and cell.endswith(")") else cell)
    bare = match[1] + match[3] if match else cell
    if bare[:1].isdigit() or bare[:1] in ".,":
        bare = bare.removesuffix("-").rstrip(_BLANKS)
    return bool(_AS_IN_CODE.fullmatch(bare)) or any(pattern.fullmatch(bare) for pattern in _PATTERNS.values())


def _shape(cell: str) -> str:
    return re.sub(r"\d+", "0", cell)


def _check_exact(distinct: int, values: np.ndarray, key: str) -> None:
    if len(np.unique(values[~np.isnan(values)])) < distinct:
        raise ConfigError(
            f"{key} has different whole numbers beyond 2^53 that are equal as float64; subtract their smallest, write "
            "codes with a letter before them, or leave the column out (data.ignore)"
        )


def check_spellings(names: Sequence[str], key: str) -> None:
    """Raise where names are one number written in several ways: 7 and 007, 1 and 1.0.

    Args:
        names: of classes or groups.
        key: begins the message, with what they are: ``data.target=y: the classes``.
    """
    first: dict[float, str] = {}
    for name in filter(_PATTERNS[PLAIN].fullmatch, names):
        if first.setdefault(float(name), name) != name:
            raise ConfigError(f"{key} {first[float(name)]!r} and {name!r} are one number; write both alike")


def written_twice(labels: Sequence[str]) -> list[str]:
    """Return pairs of labels that differ only in case, white space or Unicode form, as in ``'yes' and 'Yes'``."""
    first: dict[str, str] = {}
    pairs = [(first.setdefault(_folded(label), label), label) for label in labels]
    return [_pair(one, other) for one, other in pairs if one != other]


def _folded(label: str) -> str:
    import unicodedata

    if not label.isascii():
        visible = "".join(one for one in label if unicodedata.category(one) != "Cf")  # such as a zero-width space
        label = unicodedata.normalize("NFKC", visible)
    return " ".join(label.casefold().split())


def _pair(one: str, other: str) -> str:
    """Both labels in quotes; with code points if they look alike, as a composed and a decomposed é do."""
    import unicodedata

    alike = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    show = ascii if alike else repr
    return f"{show(one)} and {show(other)}"
