"""Small tables with unusual cells: the values read, the notes, or the error."""

import datetime
import decimal
import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from reglab.data import Csv, Huggingface
from reglab.schema.errors import ConfigError, Setting
from tests.errors import config_error

N = 40
RNG = np.random.default_rng(0)
REAL = RNG.normal(size=N)
LARGE = (1000 + 5000 * np.abs(REAL)).round(2)
LABEL = RNG.permutation(np.resize(["p", "q"], N))
LETTERS = ("p", "q")


def lines(row: Callable[[int], str], header: str = "a,y", rows: int = N) -> str:
    """Return a file with a header and one row per number."""
    return "\n".join([header, *(row(i) for i in range(rows))]) + "\n"


def column(cell: Callable[[int], str], separator: str = ",") -> str:
    """Return a file with column a and labels y."""
    return lines(lambda i: f"{cell(i)}{separator}{LABEL[i]}", f"a{separator}y")


def labels(*values: str) -> str:
    """Return a file with a numeric column and alternating labels."""
    return lines(lambda i: f"{REAL[i]:.3f},{values[i % len(values)]}")


def german(number: float, digits: int = 2) -> str:
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


def ready(path: Path, content: Any, **options: Any) -> Csv:
    if isinstance(content, pd.DataFrame):
        content.to_parquet(path)
    elif isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    data = Csv(**{"path": str(path), "target": "y", "seed": 0, "split_seed": 0, "standardize": False, **options})
    data.setup()
    return data


def values(data: Csv, number: int = 0) -> np.ndarray:
    """Return one input feature of all rows, in the order of the file."""
    rows = np.concatenate([data.parts.train, data.parts.val, data.parts.test])
    inputs = np.concatenate([part.inputs.numpy() for part in (data.train, data.val, data.test)])
    return inputs[np.argsort(rows), number]


NUMBERS = {
    "points": (column(lambda i: f"{REAL[i]:.3f}"), REAL, ""),
    "signs": (column(lambda i: f"{REAL[i]:+.3f}"), REAL, ""),
    "unicode minus": (column(lambda i: f"{REAL[i]:.3f}".replace("-", "\u2212")), REAL, ""),
    "exponents": (column(lambda i: f"{REAL[i]:.5e}"), REAL, ""),
    "decimal commas": (column(lambda i: f"{REAL[i]:.3f}".replace(".", ","), ";"), REAL, "1234,5"),
    "few decimal commas": (
        column(lambda i: f"{round(REAL[i]):.1f}".replace(".", ","), ";"),
        np.round(REAL),
        "1234,5",
    ),
    "quoted decimal commas": (column(lambda i: f'"{german(REAL[i], 3)}"'), REAL, "1234,5"),
    "thousands": (column(lambda i: f'"{LARGE[i]:,.2f}"'), LARGE, "1,234.5"),
    "thousands with points": (column(lambda i: german(LARGE[i]), ";"), LARGE, "1.234,5"),
    "thousands with apostrophes": (column(lambda i: f"{LARGE[i]:,.2f}".replace(",", "'")), LARGE, "1'234.5"),
    "thousands with blanks": (column(lambda i: f"{LARGE[i]:,.2f}".replace(",", " ")), LARGE, "1 234.5"),
    "thousands with narrow blanks": (column(lambda i: german(LARGE[i]).replace(".", "\u202f"), ";"), LARGE, "1 234,5"),
    "whole thousands beside others": (
        lines(lambda i: f"{round(LARGE[i]):,};{LARGE[i]:,.2f};{LABEL[i]}", "a;b;y"),
        LARGE.round(),
        "1,234.5",
    ),
    "millions": (column(lambda i: f'"{LARGE[i] * 1000:,.0f}"'), (LARGE * 1000).round(), "1,234"),
    "percent": (column(lambda i: f"{LARGE[i]:.2f}%"), LARGE, "without their %"),
    "dollars": (column(lambda i: f'"${LARGE[i]:,.2f}"'), LARGE, "without their $"),
    "negative dollars": (column(lambda i: f"-${LARGE[i]:.2f}"), -LARGE, "without their $"),
    "euros": (column(lambda i: f"{german(LARGE[i])} €", ";"), LARGE, "without their €"),
    "a question mark": (column(lambda i: f"{REAL[i]:.3f}" if i % 9 else "?"), None, "'?' counts as a missing value"),
    "words": (column(lambda i: f"{REAL[i]:.3f}" if i % 9 else ["NA", "nan", ""][i % 3]), None, ""),
    "truth values": (column(lambda i: ["true", "FALSE"][i % 2]), 1 - np.arange(N) % 2, ""),
    "carriage returns": (column(lambda i: f"{REAL[i]:.3f}").replace("\n", "\r"), REAL, ""),
    "both line ends": (column(lambda i: f"{REAL[i]:.3f}").replace("\n", "\r\n"), REAL, ""),
    "blank lines": (column(lambda i: f"{REAL[i]:.3f}").replace("\n", "\n\n"), REAL, ""),
    "comments": ("# made by hand\n#\n" + column(lambda i: f"{REAL[i]:.3f}"), REAL, ""),
    "a separator that is named": ("sep=;\n" + column(lambda i: f"{REAL[i]:.3f}", ";"), REAL, ""),
    "a byte order mark": ("\ufeff" + column(lambda i: f"{REAL[i]:.3f}"), REAL, ""),
    "16 bits": (column(lambda i: f"{REAL[i]:.3f}").encode("utf-16"), REAL, ""),
    "a separator at the end": (lines(lambda i: f"{REAL[i]:.3f},{LABEL[i]},", "a,y,"), REAL, ""),
    "bars": (column(lambda i: f"{REAL[i]:.3f}", "|"), REAL, ""),
    "a quoted separator in a name": (lines(lambda i: f"{REAL[i]:.3f};{LABEL[i]}", '"weight, kg";y'), REAL, ""),
    "a bare separator in names": (lines(lambda i: f"{REAL[i]:.3f};1;{LABEL[i]}", "a, kg;b, cm;y"), REAL, ""),
    "blanks before quotes": (column(lambda i: f'  "{REAL[i]:.3f}"'), REAL, ""),
    "odd names": (lines(lambda i: f"{REAL[i]:.3f},{LABEL[i]}", "a.b=[ü] ,y"), REAL, ""),
    "names that are numbers": (lines(lambda i: f"{REAL[i]:.3f},1,{LABEL[i]}", "400,402,y"), REAL, ""),
}


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers(tmp_path: Path, case: str) -> None:
    content, expected, note = NUMBERS[case]
    data = ready(tmp_path / "t.csv", content)
    assert (data.kind, data.class_names) == ("classification", LETTERS)
    assert data.features()[0].keys() >= {"mean", "scale"}  # numeric feature
    if expected is not None:
        np.testing.assert_allclose(values(data), expected, atol=5.01e-4)
    notes = [text for text in data.notes if "column" in text and ("read" in text or "counts" in text)]
    assert note in " ".join(notes)
    assert bool(notes) == bool(note)


AMBIGUOUS = column(lambda i: f'"{round(LARGE[i]):,}"')
REFUSED = {
    "thousands or decimals": (
        AMBIGUOUS,
        ["column 'a'", "is ambiguous (1,234.5 or 1234,5)", "write all numbers as 1234.5"],
    ),
    "points among decimal commas": (
        lines(lambda i: f"{german(LARGE[i], 0)};{german(REAL[i])};{LABEL[i]}", "a;b;y"),
        ["column 'a'", "is ambiguous", "its points"],
    ),
    "percent and not": (column(lambda i: f"{i}%" if i % 2 else f"{i}"), ["column 'a'", "several"]),
    "a minus at the end": (
        column(lambda i: f"{german(abs(REAL[i]))}{'-' * (i % 3 > 0)}", ";"),
        ["column 'a'", "'0,13-'"],
    ),
    "brackets": (column(lambda i: f"({i}.5)"), ["column 'a'", "'(0.5)'"]),
    "hexadecimal": (column(hex), ["column 'a'", "'0x0'"]),
    "units": (column(lambda i: f"{i} kg"), ["column 'a' contains 40 different amounts with a unit (such as '0 kg')"]),
    "days": (column(lambda i: f"2020-01-{1 + i % 9:02}"), ["column 'a' contains dates"]),
    "days the other way": (column(lambda i: f"{1 + i % 9:02}/12/20"), ["column 'a' contains dates"]),
    "moments": (column(lambda i: f"2020-01-{1 + i % 9:02}T12:00:00Z"), ["column 'a' contains dates"]),
    "times": (column(lambda i: f"{i % 24}:30"), ["column 'a' contains dates"]),
    "large integers": (
        column(lambda i: f"{2**60 + i % 3}"),
        ["column 'a' has different whole numbers beyond 2^53", "data.ignore"],
    ),
    "an unknown word among numbers": (
        column(lambda i: f"{REAL[i]:.3f}" if i % 4 else "unknown"),
        ["column 'a' is numeric except for 10 of 40 cells, the first 'unknown' in data row 1"],
    ),
    "months by their names": (column(lambda i: f"{1 + i % 9} Jan 2020"), ["column 'a' contains dates"]),
    "a name of two lines": (lines(lambda i: f"{i},{LABEL[i]}", '"a\nb",y'), ["the name of column 1 has several lines"]),
    "words alone": (column(lambda i: ["NA", "?"][i % 2]), ["column 'a' has no value in any row"]),
    "a word in numbers": (
        lines(lambda i: f"{i},{'None' if i == 5 else i * 1.5}"),
        ["data.target=y: 1 of 40 rows have no value, the first is data row 6", "'None'"],
    ),
    "no label": (labels("p", "q", ""), ["data.target=y: 13 of 40 rows have no value"]),
    "one number in two ways": (labels("007", "7"), ["data.target=y", "'007' and '7' of the classes", "same number"]),
    "truth in two ways": (labels("True", "1", "False"), ["data.target=y: has booleans in two notations"]),
    "labels of two lines": (labels('"p\nx"', "q"), ["data.target=y: the class 'p\\nx' has several lines"]),
    "no header": (lines(lambda i: f"{REAL[i]:.2f},{i % 2}", "0.1,1"), ["first line looks like data (0.1, 1"]),
    "no header, equal numbers": (lines(lambda i: f"{i % 2},{i % 2},{i}", "1,1,7"), ["first line looks like data"]),
    "no header, words": (lines(lambda i: f"{REAL[i]:.2f},{LABEL[i]}", "0.1,p"), ["first line looks like data"]),
    "a header that may be a comment": (lines(lambda i: f"{i},{LABEL[i]}", "#a,y"), ["line 1 begins with #"]),
    "a short row": (lines(lambda i: f"{i},{LABEL[i]}" if i != 5 else "5"), ["data row 6 has 1 fields", "header has 2"]),
    "a long row": (lines(lambda i: f"{i},p" if i != 5 else "5,p,q"), ["data row 6 has 3 fields", "'5,p,q'"]),
    "a quote that is left open": (
        lines(lambda i: f"{i},{LABEL[i]}" if i != 5 else '5,"p').replace("30,", '30,"', 1),
        ["the quote in data row 6 is not closed"],
    ),
    "a quote that is open to the end": (lines(lambda i: f"{i},p" if i != 5 else '5,"p'), ["quote in data row 6"]),
    "equal names": (lines(lambda i: f"{i},1,{LABEL[i]}", "a,a ,y"), ["more than one column is named 'a'"]),
    "no name": (lines(lambda i: f"{i},{REAL[i]:.2f},{LABEL[i]}", ",a,y"), ["column 1 has no name"]),
    "another encoding": (labels("é", "q").encode("latin-1"), ["is not UTF-8 text (line 2)"]),
    "a NUL": (column(lambda i: f"{i}\0"), ["has a NUL character (line 2)"]),
    "gzip": (gzip.compress(b"a,y\n1,2\n"), ["is a gzip archive; name it .csv.gz"]),
    "zip": (b"PK\x03\x04...", ["is a zip archive or an Excel workbook"]),
    "rows that are empty": (column(str) + ",\n,\n", ["data.target=y: 2 of 42 rows have no value"]),
    "one column": ("y\n" + "p\nq\n" * 20, ["has no column besides the target"]),
    "a header alone": ("a,y\n", ["has no rows"]),
    "merchants": (
        lines(lambda i: f"m{i % 1500:06},{i % 2}", rows=3100),
        ["column 'a' contains 1500 different texts", "0.0 GiB in 3100 rows", "at most 1000", "data.ignore=[a]"],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_tables_are_refused(tmp_path: Path, case: str) -> None:
    content, parts = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        ready(tmp_path / "t.csv", content)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


LABELS = {
    ("40000000001", "40000000002", "40000000003"): ("40000000001", "40000000002", "40000000003"),
    (str(2**60 + 1), str(2**60 + 2)): (str(2**60 + 1), str(2**60 + 2)),
    ("10", "9"): ("9", "10"),
    ("1", "1.0", "2"): ("1", "2"),
    ("0.0", "1.0"): ("0", "1"),
    ("007", "012"): ("007", "012"),
    ("True", "true", "FALSE"): ("False", "True"),
    ("yes ", " yes", "no"): ("no", "yes"),
    ("None", "Apnea"): ("Apnea", "None"),
    ("NA", "DE"): ("DE", "NA"),
    ("nan", "x"): ("nan", "x"),
    ("Yes", "yes", "no"): ("Yes", "no", "yes"),
    ("a", "a\u200b"): ("a", "a\u200b"),
    ('"say ""p"""', '"q, r"'): ("q, r", 'say "p"'),
    ("5 mg", "10 mg"): ("10 mg", "5 mg"),
}


@pytest.mark.parametrize("written", LABELS)
def test_labels_are_exact(tmp_path: Path, written: tuple[str, ...]) -> None:
    data = ready(tmp_path / "t.csv", labels(*written))
    assert (data.kind, data.class_names) == ("classification", LABELS[written])
    special = {"None", "NA", "nan", "Yes", "a"} & set(written)
    assert len(data.notes) == len(special)
    assert all(word in note for word, note in zip(special, data.notes, strict=True))


def test_words_for_missing_values_are_values_of_a_category(tmp_path: Path) -> None:
    data = ready(tmp_path / "t.csv", column(lambda i: ["NA", "None", "DE", ""][i % 4]))
    assert [feature["value"] for feature in data.features()] == ["", "DE", "NA", "None"]


def test_missing_numbers_are_the_median_of_the_others(tmp_path: Path) -> None:
    data = ready(tmp_path / "t.csv", column(lambda i: "?" if i % 5 == 0 else f"{REAL[i]:.6f}"))
    rows = np.setdiff1d(data.parts.train, np.arange(0, N, 5))
    np.testing.assert_allclose(values(data)[::5], np.median(REAL[rows]), atol=1e-6)


def test_numbers_with_leading_zeros_are_categories(tmp_path: Path) -> None:
    data = ready(tmp_path / "t.csv", column(lambda i: ["07301", "10115"][i % 2]))
    assert [feature["value"] for feature in data.features()] == ["07301", "10115"]
    assert "leading zeros" in data.notes[0]


SUSPECT = {
    "row numbers": (lines(lambda i: f"{i + 1},{REAL[i]},{LABEL[i]}", "id,a,y"), "row numbers", "id"),
    "shuffled numbers": (lines(lambda i: f"{i * 7 % N},{REAL[i]},{LABEL[i]}", "id,a,y"), "identifier", "id"),
    "scaled row numbers": (lines(lambda i: f"{i / N},{REAL[i]},{LABEL[i]}", "id,a,y"), "row numbers", "id"),
    "shuffled scaled numbers": (
        lines(lambda i: f"{(i * 7 % N) / N:.3f},{REAL[i]},{LABEL[i]}", "id,a,y"),
        "row numbers",
        "id",
    ),
    "a copy of the classes": (lines(lambda i: f"{REAL[i]},c{LABEL[i]},{LABEL[i]}", "a,b,y"), "leaks the target", "b"),
    "classes as numbers": (
        lines(lambda i: f"{REAL[i]},{int(LABEL[i] == 'p')},{LABEL[i]}", "a,b,y"),
        "leaks the target",
        "b",
    ),
    "a copy of the target": (lines(lambda i: f"{i % 7},{REAL[i] * 2 + 1},{REAL[i]}", "a,b,y"), "linear function", "b"),
}


ODD = {
    "a number for missing values": (column(lambda i: f"{REAL[i]:.3f}" if i % 9 else "-999"), "-999 is far"),
    "days as numbers": (column(lambda i: f"2020{1 + i % 9:02}{1 + i % 7:02}"), "looks like days"),
    "nothing that varies": (column(lambda i: "5"), "no feature has two different values"),
    "repeated rows": (
        lines(lambda i: f"{REAL[i // 2]},{LABEL[i // 2]}", "a,y"),
        f"{N // 2} of {N} rows repeat another",
    ),
    "many whole numbers": (lines(lambda i: f"{REAL[i % N] + i:.3f},{i % 30}", rows=300), "read as a regression"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_numbers_are_reported(tmp_path: Path, case: str) -> None:
    content, problem = ODD[case]
    (note,) = ready(tmp_path / "t.csv", content).notes
    assert problem in note


@pytest.mark.parametrize("case", SUSPECT)
def test_identifiers_and_leaks_are_reported(tmp_path: Path, case: str) -> None:
    content, problem, name = SUSPECT[case]
    (note,) = ready(tmp_path / "t.csv", content).notes
    assert problem in note
    assert f"data.ignore=[{name}]" in note
    assert ready(tmp_path / "t.csv", content, ignore=[name]).notes == ()


def test_a_column_of_one_fraction_is_no_row_number(tmp_path: Path) -> None:
    data = ready(tmp_path / "t.csv", lines(lambda i: f"0.5,{REAL[i]},{LABEL[i]}", "a,b,y"))
    assert not any("row numbers" in note for note in data.notes)


def test_values_that_no_training_row_has_are_reported(tmp_path: Path) -> None:
    data = ready(tmp_path / "t.csv", lines(lambda i: f"k{i % 50},{i % 2}", rows=102))
    assert any("column 'a': over 10%" in note for note in data.notes)


FRAME = pd.DataFrame({"a": REAL, "y": LABEL})
INTS = RNG.integers(1, 6, N)
HOLES = [None if i % 7 == 0 else int(value) for i, value in enumerate(INTS)]
PARQUET: dict[str, tuple[Any, dict[str, Any], Any]] = {
    # content of column w, options, and its expected inputs (numbers or values of a category) or error
    "integer categories": (pd.Categorical(INTS), {}, ["1", "2", "3", "4", "5"]),
    "integer categories with holes": (pd.Categorical(HOLES), {}, ["", "1", "2", "3", "4", "5"]),
    "categories of texts": (pd.Categorical(INTS.astype(str)), {}, ["1", "2", "3", "4", "5"]),
    "Int64": (pd.array(HOLES, dtype="Int64"), {}, "number"),
    "boolean": (pd.array([None if v is None else v > 2 for v in HOLES], dtype="boolean"), {}, "number"),
    "string": (pd.array([None if v is None else "uv"[v % 2] for v in HOLES], dtype="string"), {}, ["", "u", "v"]),
    "words": (["NA" if v is None else ["None", "DE"][v % 2] for v in HOLES], {}, ["DE", "NA", "None"]),
    "decimals": ([decimal.Decimal("1.10") * i for i in range(N)], {}, "number"),
    "float16": (REAL.astype("float16"), {}, "number"),
    "uint64": (RNG.integers(0, 2**63, N).astype("uint64") * 2, {}, "number"),
    "large integers": (2**60 + INTS.astype("int64"), {}, "column 'w' has different whole numbers beyond 2^53"),
    "moments": (pd.date_range("2020", periods=N), {}, "column 'w' contains dates"),
    "moments of a zone": (pd.date_range("2020", periods=N, tz="Europe/Paris"), {}, "column 'w' contains dates"),
    "spans of time": (pd.timedelta_range("1D", periods=N), {}, "column 'w' contains dates"),
    "days": ([datetime.date(2020, 1, 1 + i % 9) for i in range(N)], {}, "column 'w' contains dates"),
    "times": ([datetime.time(i % 24) for i in range(N)], {}, "column 'w' contains dates"),
    "months": (pd.period_range("2020-01", periods=N, freq="M"), {}, "column 'w' contains dates"),
    "days to ignore": ([datetime.date(2020, 1, 1 + i % 9) for i in range(N)], {"ignore": ["w"]}, []),
    "days to split by": (
        [datetime.date(2020, 1, 1 + i % 9) for i in range(N)],
        {"split_column": "w", "split_by": "time"},
        [],
    ),
    "lists": ([[1, 2]] * N, {}, "column 'w' contains lists or structs"),
    "structs": ([{"p": 1}] * N, {}, "column 'w' contains lists or structs"),
    "lists to ignore": ([[1, 2]] * N, {"ignore": ["w"]}, []),
    "bytes": ([b"p", b"q"] * (N // 2), {}, "column 'w' contains bytes"),
    "nothing": ([None] * N, {}, "column 'w' has no value in any row"),
    "infinite": (np.where(INTS[0] == INTS, np.inf, 1.0), {}, "column 'w' contains an infinite number in data row 1"),
}


@pytest.mark.parametrize("case", PARQUET)
def test_types_of_parquet_are_kept(tmp_path: Path, case: str) -> None:
    cells, options, expected = PARQUET[case]
    table = FRAME.assign(w=cells)
    if isinstance(expected, str) and expected != "number":
        with pytest.raises(ConfigError, match=expected.replace("^", r"\^")):
            ready(tmp_path / "t.parquet", table, **options)
        return
    values_of_w = [
        feature.get("value", "number") for feature in ready(tmp_path / "t.parquet", table, **options).features()[1:]
    ]
    assert values_of_w == (["number"] if expected == "number" else expected)


@pytest.mark.parametrize(
    ("cells", "kind", "names"),
    [
        (pd.Categorical(np.resize(np.arange(1, 27), 130)), "auto", tuple(map(str, range(1, 27)))),
        (pd.Categorical(np.resize([True, False], 130)), "auto", ("False", "True")),
        (np.resize([2**60 + 1, 2**60 + 2], 130), "auto", (str(2**60 + 1), str(2**60 + 2))),
        (np.resize([40000000001, 40000000002], 130), "auto", ("40000000001", "40000000002")),
        (np.resize([0.5, 0.1], 130), "classification", ("0.1", "0.5")),
        (pd.array(np.resize([3, 1], 130), dtype="Int64"), "auto", ("1", "3")),
        (np.resize(["NA", "x"], 130), "auto", ("NA", "x")),
    ],
)
def test_labels_of_parquet_are_exact(tmp_path: Path, cells: Any, kind: str, names: tuple[str, ...]) -> None:
    data = ready(tmp_path / "t.parquet", pd.DataFrame({"a": np.resize(REAL, 130), "y": cells}), kind=kind)
    assert (data.kind, data.class_names) == ("classification", names)


def test_a_label_that_is_missing_in_parquet(tmp_path: Path) -> None:
    for cells in (pd.Categorical(HOLES), pd.array(HOLES, dtype="Int64"), np.where(INTS[0] == INTS, None, "x")):
        with pytest.raises(ConfigError, match="rows have no value, the first is data row 1"):
            ready(tmp_path / "t.parquet", FRAME.assign(y=cells))


def test_dictionary_encoded_integers_of_arrow_are_categories(tmp_path: Path) -> None:
    table = pa.table({"a": REAL, "w": pa.array(INTS).dictionary_encode(), "y": LABEL.tolist()})
    features = ready(tmp_path / "t.parquet", table).features()
    assert [feature["value"] for feature in features[1:]] == ["1", "2", "3", "4", "5"]


def test_a_named_index_is_a_column_and_an_unnamed_one_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    named = ready(path, FRAME.set_index(pd.Index(INTS / 2, name="dose")))
    assert [feature["name"] for feature in named.features()] == ["a", "dose"]
    assert "'dose': was the table's index" in named.notes[0]
    unnamed = ready(path, FRAME.set_index(pd.Index([f"r{i}" for i in range(N)])))
    assert [feature["name"] for feature in unnamed.features()] == ["a"]
    assert "index without a name is left out" in unnamed.notes[0]
    target = ready(path, FRAME[["a"]].set_index(pd.Index(LABEL, name="y")))
    assert (target.class_names, target.notes) == (LETTERS, ())
    assert ready(path, FRAME).notes == ()


def test_inputs_that_do_not_fit_in_memory_are_refused_by_name(tmp_path: Path) -> None:
    from reglab.data.files import check_fits_in_memory, memory_bytes
    from reglab.data.tables.features import TableFeatures

    setting = Setting("data.path", "t.csv")
    rows = math.ceil(memory_bytes() / 2 / 4 / 10) + 1
    with config_error(f"data.path=t.csv: {rows} rows of 10 inputs ... use less"):
        check_fits_in_memory(rows, 10, setting, "use less")
    assert TableFeatures(FRAME, setting).numbers["a"].shape == (N,)


def test_tables_of_the_hub_are_parsed_in_the_same_way(tmp_path: Path) -> None:
    table = FRAME.assign(w=[decimal.Decimal("1.5") + i % 3 for i in range(N)], y=np.resize([2**60 + 1, 2**60 + 2], N))
    table.to_parquet(tmp_path / "train.parquet")
    data = Huggingface(path=str(tmp_path), target="y", seed=0, split_seed=0)
    data.setup()
    assert data.class_names == (str(2**60 + 1), str(2**60 + 2))
    assert [feature["name"] for feature in data.features()] == ["a", "w"]
    FRAME.assign(w=[[1, 2]] * N).to_parquet(tmp_path / "train.parquet")
    with pytest.raises(ConfigError, match="column 'w' contains lists or structs"):
        Huggingface(path=str(tmp_path), target="y", seed=0, split_seed=0).setup()


def test_groups_that_are_one_number_in_two_ways_are_refused(tmp_path: Path) -> None:
    content = lines(lambda i: f"{REAL[i]:.3f},{['1', '1.0', '2', '3'][i % 4]},{LABEL[i]}", "a,g,y")
    with config_error("data.split_column=g: '1' and '1.0' ... same number"):
        ready(tmp_path / "t.csv", content, split_column="g", split_by="groups")


def test_the_hubs_reader_of_csv_files_is_reported(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(column(lambda i: f"{REAL[i]:.3f}"))
    data = Huggingface(path=str(tmp_path), target="y", seed=0, split_seed=0)
    data.setup()
    assert data.notes[-1].startswith("data.path: CSV files")
    assert "data=csv" in data.notes[-1]


def test_moments_may_be_numbers_with_leading_zeros(tmp_path: Path) -> None:
    content = lines(lambda i: f"{REAL[i]:.3f},{(i * 7 + 3) % N:04},{LABEL[i]}", "a,t,y")
    data = ready(tmp_path / "t.csv", content, split_column="t", split_by="time")
    assert {(row * 7 + 3) % N for row in data.parts.test.tolist()} == set(range(N - 8, N))
