"""Parse a column of texts as numbers, in the notation that all of its cells have in common."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reglab.data.tables.cells import ColumnLabel, as_text, check_types, dates_error, is_missing_word
from reglab.schema.errors import ConfigError
from reglab.schema.text import join_options

if TYPE_CHECKING:
    import pandas as pd

EXACT = 2**53  # larger whole numbers are not all exact in float64
FEW = 20  # amounts with a unit are categories up to this many different values, and an error above
_MOSTLY = 0.9  # a column with this share of numbers is a numeric column with errors
_FEW_WORDS = 3  # up to this many different texts are errors among more than FEW different numbers
_USUAL_MISSING = frozenset(("", "na", "nan", "<na>"))  # as R, NumPy and pandas write them: not reported


class Notation(NamedTuple):
    """Notation of numbers: the decimal mark, and the separator of thousands ("" for none).

    >>> str(Notation(",", "."))
    '1.234,5'
    """

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
_LEADING_ZERO = re.compile(r"[+-]?0\d+")
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
class ParsedColumn:
    """A column as numbers.

    Attributes:
        values: float64 (n,), NaN where missing.
        notation: notation of the numbers.
        unambiguous: whether the cells allow only one decimal mark.
        boolean: the cells are truth values (1: true).
        alternatives: other notations that fit all cells, each with the different values that it gives.
        maybe_thousands: whether the decimal point of every number that has one could also separate thousands.
        notes: sentences on how the cells were read, without the column's name.
    """

    values: np.ndarray
    notation: Notation = PLAIN
    unambiguous: bool = False
    boolean: bool = False
    alternatives: dict[Notation, np.ndarray] = field(default_factory=dict)
    maybe_thousands: bool = False
    notes: tuple[str, ...] = ()

    def resolve(self, label: ColumnLabel, decimals: frozenset[str] = frozenset()) -> "ParsedColumn":
        """Return the column in one notation, chosen by the decimal marks of the table's other columns.

        Args:
            label: label of the column, for messages.
            decimals: unambiguous decimal marks of the other columns.

        Raises:
            ConfigError: the numbers are ambiguous.
        """
        if not self.alternatives:
            if self.maybe_thousands and decimals == {","}:
                raise label.error(
                    "is ambiguous: its points may be decimal marks, or separate thousands, since other columns have "
                    "decimal commas",
                    "write all numbers as 1234.5",
                )
            return self
        readings = {self.notation: self.values, **self.alternatives}
        fitting = [notation for notation in readings if notation.decimal in decimals]
        if len({readings[notation].tobytes() for notation in fitting}) != 1:
            different = {values.tobytes(): str(notation) for notation, values in reversed(readings.items())}
            raise label.error(
                f"is ambiguous ({' or '.join(reversed(different.values()))}): its commas may be decimal marks or "
                "separate thousands",
                "write all numbers as 1234.5",
            )
        chosen = fitting[0]
        notes = (*self.notes, f"numbers are read as in {chosen}")
        return ParsedColumn(readings[chosen], chosen, unambiguous=True, notes=notes)


def parse_numbers(
    column: "pd.Series", label: ColumnLabel, *, strict: bool = True, exact: bool = True
) -> ParsedColumn | None:
    """Return the column as numbers, or None if it is text.

    All cells must have the same notation: 1234.5, 1234,5, 1,234.5, 1.234,5, 1'234.5 or 1 234,5, and the same currency
    or percent sign if any (45% is 45). Numbers with leading zeros (007) are codes, so text.

    Args:
        column: one column of the table.
        label: label of the column, for messages.
        strict: raise for a column of numbers with a few texts among them, for dates, and for amounts with a unit;
            False: these are text.
        exact: raise if different whole numbers are equal as float64.

    Raises:
        ConfigError: see `strict` and `exact`; also bytes, lists, and infinite numbers.
    """
    import pandas as pd

    check_types(column, label)
    if pd.api.types.is_numeric_dtype(column):  # booleans too
        values = np.array(column.to_numpy(dtype=np.float64, na_value=np.nan))  # a copy: that of pandas is read-only
        if exact and pd.api.types.is_integer_dtype(column) and np.nanmax(np.abs(values), initial=0) >= EXACT:
            _check_exact(column.nunique(), values, label)
        parsed: ParsedColumn | None = ParsedColumn(values, boolean=pd.api.types.is_bool_dtype(column))
    else:
        written = as_text(column)
        parsed = _parse_vectorized(written) or _parse_distinct(written, label, strict, exact)
    if parsed is not None and np.isinf(parsed.values).any():
        row = int(np.flatnonzero(np.isinf(parsed.values))[0])
        raise label.error(
            f"contains an infinite number in data row {row + 1}",
            "correct it, or empty the cell if the value is missing",
        )
    return parsed


def check_same_number(names: Sequence[str], label: ColumnLabel) -> None:
    """Raise if two names are the same number in different spellings: 7 and 007, 1 and 1.0.

    Args:
        names: names of classes or groups, each once.
        label: label with these names as its subject: ``the classes``.
    """
    first: dict[float, str] = {}
    for name in filter(_PATTERNS[PLAIN].fullmatch, names):
        if first.setdefault(float(name), name) != name:
            pair = f"{first[float(name)]!r} and {name!r}"
            raise ConfigError(label.where, f"{pair} of {label.name} are the same number", "write both in the same way")


def _parse_vectorized(written: "pd.Series") -> ParsedColumn | None:
    """Parse a column of numbers in the plain notation with pyarrow; None for any other, which is slower to parse."""
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
    return ParsedColumn(values.copy(), unambiguous=bool(len(points)) and not thousands, maybe_thousands=thousands)


def _parse_distinct(written: "pd.Series", label: ColumnLabel, strict: bool, exact: bool) -> ParsedColumn | None:
    """Parse each different cell of a column once."""
    cells, codes = _factorize(written.to_numpy(dtype=object, na_value=""))
    present = [number for number, cell in enumerate(cells) if not is_missing_word(cell)]
    texts = [cells[number] for number in present]
    missing_notes = _missing_notes(cells)

    def to_rows(values: np.ndarray) -> np.ndarray:
        """Return the value of each row; NaN if missing."""
        value_of_cell = np.full(len(cells), np.nan)
        value_of_cell[present] = values
        return value_of_cell[codes]

    if not texts:
        return ParsedColumn(np.full(len(codes), np.nan), notes=missing_notes)
    if all(text.casefold() in ("true", "false") for text in texts):
        truth = np.array([float(text.casefold() == "true") for text in texts])
        return ParsedColumn(to_rows(truth), boolean=True, notes=missing_notes)
    if any(map(_LEADING_ZERO.fullmatch, texts)):
        return None
    if strict and all(map(_DATE.fullmatch, texts)) and not all(map(_PATTERNS[PLAIN].fullmatch, texts)):
        raise dates_error(label)
    bare, notes = _strip_signs(texts, label, strict)
    fitting = _fitting_notations(bare)
    if not fitting:
        if strict:
            _check_mostly_text(cells, present, codes, label)
        return None
    notation = fitting[0]
    values = _convert(bare, notation)
    others = {} if notation == PLAIN else {other: _convert(bare, other) for other in fitting[1:]}
    others = {other: other_values for other, other_values in others.items() if not np.array_equal(other_values, values)}
    if exact and np.abs(values[np.isfinite(values)]).max(initial=0) >= EXACT:
        _check_exact(len(set(bare)), values, label)
    if notation != PLAIN and not others:
        notes += (f"numbers are read as in {notation}",)
    points = [text for text in bare if "." in text]
    thousands = notation == PLAIN and bool(points) and all(map(_PATTERNS[Notation(",", ".")].fullmatch, points))
    one_mark = bool(points) if notation == PLAIN else len({other.decimal for other in fitting}) == 1
    return ParsedColumn(
        to_rows(values),
        notation,
        unambiguous=one_mark and not thousands and not others,
        alternatives={other: to_rows(other_values) for other, other_values in others.items()},
        maybe_thousands=thousands,
        notes=(*missing_notes, *notes),
    )


def _factorize(cells: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the distinct cells, and the index of each row's cell."""
    import pandas as pd

    codes, distinct = pd.factorize(cells)
    return [str(cell).translate(_MINUS) for cell in distinct], codes


def _missing_notes(cells: Sequence[str]) -> tuple[str, ...]:
    words = [repr(cell) for cell in cells if is_missing_word(cell) and cell.casefold() not in _USUAL_MISSING]
    return (f"{join_options(words)} counts as a missing value",) if words else ()


def _strip_signs(texts: list[str], label: ColumnLabel, strict: bool) -> tuple[list[str], tuple[str, ...]]:
    """Return the texts without the currency or percent sign that all of them have, and a note on it."""
    matches = [_AFFIXED.fullmatch(text) for text in texts]
    signs = {(match[2] or "", match[4] or "") for match in matches if match}
    if all(matches) and len(signs) == 1 and (sign := "".join(*signs)):
        return [match[1] + match[3] for match in matches if match], (f"numbers are read without their {sign}",)
    units = {match[1] if (match := _AMOUNT.fullmatch(text)) else None for text in texts}
    if strict and len(units) == 1 and None not in units and len(texts) > FEW:
        raise label.error(
            f"contains {len(texts)} different amounts with a unit (such as {texts[0]!r})",
            "write the numbers alone, or leave the column out (data.ignore)",
        )
    return texts, ()


def _fitting_notations(texts: list[str]) -> list[Notation]:
    """Return the notations in which every text is a number, the plain one first."""
    fitting = list(_NOTATIONS)
    for text in texts:
        fitting = [notation for notation in fitting if _PATTERNS[notation].fullmatch(text)]
        if not fitting:
            break
    return fitting


def _convert(texts: Sequence[str], notation: Notation) -> np.ndarray:
    """Return texts that fit the notation as float64 (n,)."""
    drop = dict.fromkeys(map(ord, {" ": _BLANKS, "'": "'\u2019"}.get(notation.group, notation.group)))
    return np.array([float(text.translate(drop).replace(notation.decimal, ".")) for text in texts])


def _check_mostly_text(cells: list[str], present: list[int], codes: np.ndarray, label: ColumnLabel) -> None:
    """Raise if nearly all cells are numbers, or if all are numbers in several notations.

    Args:
        cells: the different cells.
        present: indices of those that are not missing.
        codes: index of the distinct cell of each row.
        label: label of the column.
    """
    is_number = {index: _is_number(cells[index]) for index in present}
    rows = np.flatnonzero(np.isin(codes, present))
    wrong = np.flatnonzero(np.isin(codes, [index for index in present if not is_number[index]]))
    if not len(wrong):
        texts = [cells[index] for index in present]
        other = next((text for text in texts if _shape(text) != _shape(texts[0])), texts[-1])
        raise label.error(
            f"contains numbers in an unknown notation, or in several ({texts[0]!r}, {other!r})",
            "write all numbers as 1234.5, or leave the column out (data.ignore)",
        )
    words = len(present) - sum(is_number.values())
    few_words = sum(is_number.values()) > FEW and words <= _FEW_WORDS and 2 * len(wrong) < len(rows)
    if few_words or len(rows) - len(wrong) >= _MOSTLY * len(rows):
        raise label.error(
            f"is numeric except for {len(wrong)} of {len(rows)} cells, the first {cells[codes[wrong[0]]]!r} in "
            f"data row {wrong[0] + 1}",
            "correct it, or empty the cell if the value is missing",
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


def _check_exact(distinct: int, values: np.ndarray, label: ColumnLabel) -> None:
    if len(np.unique(values[~np.isnan(values)])) < distinct:
        raise label.error(
            "has different whole numbers beyond 2^53 that are equal as float64",
            "subtract their smallest, write codes with a letter before them, or leave the column out (data.ignore)",
        )
