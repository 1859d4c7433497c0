"""Reading of tables: separators, comments, encodings and names of text files; types of Parquet files."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from reglab.data.tables.reading import Table, read_table
from reglab.schema.errors import ConfigError


def read(folder: Path, content: str | bytes, name: str = "table.csv") -> Table:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(str(folder / name))


def cells(table: Table) -> dict[str, list[str]]:
    return {str(name): list(column) for name, column in table.frame.items()}


def error_of(folder: Path, content: str | bytes, name: str = "table.csv") -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(folder, content, name)
    assert (caught.value.key, caught.value.value) == ("data.path", str(folder / name))
    return caught.value


AB = {"a": ["1", "2,5"], "b": ["x", " y "]}


@pytest.mark.parametrize(
    "content",
    [
        'a,b\n1,x\n"2,5"," y "\n',
        'a , b\n1,x\n"2,5"," y "\n',
        "a;b\n1;x\n2,5; y \n",
        "a\tb\n1\tx\n2,5\t y \n",
        "a|b\r\n1|x\r\n2,5| y \r\n",
        "sep=;\na;b\n1;x\n2,5; y \n",
        "# a comment\n\n# and another\na;b\n1;x\n2,5; y ",
        'a,b,\n1,x,\n"2,5"," y ",\n',  # an empty column without a name is dropped
        "\ufeffa;b\n1;x\n2,5; y \n",
        "a;b\n1;x\n2,5; y \n".encode("utf-16"),
        b"a;b\r1;x\r2,5; y \r",
    ],
    ids=["comma", "blanks", "semicolon", "tab", "bar", "sep=", "comments", "unnamed", "utf-8", "utf-16", "old Mac"],
)
def test_cells_are_the_texts_as_written(content: str | bytes, tmp_path: Path) -> None:
    table = read(tmp_path, content)
    assert cells(table) == AB
    assert (table.notes, table.indices) == ((), ())


def test_a_quoted_cell_may_have_separators_quotes_and_lines(tmp_path: Path) -> None:
    assert cells(read(tmp_path, 'a,b\n"x ""y"", z","1\n2"\n', "quoted.csv")) == {"a": ['x "y", z'], "b": ["1\n2"]}
    assert cells(read(tmp_path, 'a, b\n1, "x,y"\n', "blank.csv")) == {"a": ["1"], "b": ["x,y"]}


def test_an_archive_of_one_file_is_unpacked(tmp_path: Path) -> None:
    assert cells(read(tmp_path, gzip.compress(b"a;b\n1;x\n2,5; y \n"), "table.csv.gz")) == AB


@pytest.mark.parametrize(
    ("content", "problem", "remedy"),
    [
        (b"PK\x03\x04", "zip archive", "CSV"),
        (b"\x1f\x8b", "gzip", ".csv.gz"),
        (b"PAR1", "Parquet", ".parquet"),
        (b"a,b\n1,\xff\n", "not UTF-8 text (line 2)", "UTF-8"),
        (b"a,b\n1,\0\n", "NUL character (line 2)", "UTF-8"),
        ("", "is empty", "header"),
        ("a,b\n", "has no rows", "header"),
        ("a,b\n1,x\n2,y,z\n", "data row 2 has 3 fields, and the header has 2", "quote"),
        ("a,a\n1,2\n", "more than one column is named 'a'", "rename"),
        ("a,\n1,2\n", "column 2 has no name", "name it"),
        ("1,2\n3,4\n0,1\n", "first line looks like data", "names"),
        ("# a;b\n1;x\n2;y\n", "begins with #", "remove"),
        ("a,b\n1,x\nb,a\n2,y\nA,B\n", "repeats the header", "remove"),
        ('a,b\n1,"x\n2,y\n3,z"\n', "quote in data row 1 is not closed", "close it"),
    ],
)
def test_files_that_are_no_tables(content: str | bytes, problem: str, remedy: str, tmp_path: Path) -> None:
    error = error_of(tmp_path, content)
    assert problem in error.problem
    assert remedy in error.remedy


def test_a_line_is_a_header_if_one_name_cannot_be_a_value(tmp_path: Path) -> None:
    assert list(read(tmp_path, "1990,total\n1980,3\n2000,4\n").frame) == ["1990", "total"]


def test_parquet_keeps_types_categories_and_a_named_index(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"n": [1, None], "c": pd.Categorical(["x", "y"], ["y", "x"])}, index=pd.Index([5, 6], name="i")
    )
    frame["n"] = frame["n"].astype("Int64")
    frame.to_parquet(tmp_path / "named.parquet")
    table = read_table(str(tmp_path / "named.parquet"))
    assert table.indices == ("i",)
    assert table.notes == ()
    assert table.frame["i"].tolist() == [5, 6]
    assert table.frame["n"][0] == 1  # not 1.0, as beside a missing value
    assert isinstance(table.frame["n"][0], int)
    assert list(table.frame["c"].cat.categories) == ["y", "x"]
    frame.rename_axis(None).to_parquet(tmp_path / "unnamed.parquet")
    unnamed = read_table(str(tmp_path / "unnamed.parquet"))
    assert list(unnamed.frame) == ["n", "c"]
    (note,) = unnamed.notes
    assert "index without a name" in note


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    assert "cannot be read as .parquet" in error_of(tmp_path, b"a,b\n", "table.parquet").problem
