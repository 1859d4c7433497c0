"""Errors of tables that cannot be used."""

import numpy as np
import pandas as pd
import pytest

from reglab.data import Csv
from reglab.schema.errors import ConfigError

N = 40
GOOD = pd.DataFrame({"x": np.arange(N) * 0.5, "word": np.resize(["a", "b"], N), "label": np.resize(["p", "q"], N)})


def refusal(path, target="label", **options) -> str:
    with pytest.raises(ConfigError) as caught:
        Csv(**{"path": str(path), "target": target, "seed": 0, "split_seed": 0, **options}).setup()
    message = str(caught.value)
    assert "\n" not in message
    return message


def cells(column, changes):
    table = GOOD.astype(object)
    for row, value in changes.items():
        table.loc[row, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "options", "parts"),
    [
        (GOOD, {"target": "lable"}, ["data.target=lable: no such column", "did you mean label?"]),
        (GOOD, {"target": "LABEL"}, ["did you mean label?"]),
        (GOOD, {"target": "zzz"}, ["it has x, word, label"]),
        (
            cells("x", {6: "abc", 9: "n/k"}),
            {},
            ["column 'x'", "2 of 40 cells", "'abc' in data row 7", "empty the cell"],
        ),
        (cells("x", {3: "inf"}), {}, ["column 'x'", "infinite number in data row 4"]),
        (GOOD.assign(x=np.nan), {}, ["column 'x' has no value in any row", "leave it out, as in data.ignore=[x]"]),
        (GOOD.assign(label="p"), {}, ["data.target=label", "all 40 rows are of one class (p)"]),
        (GOOD.assign(label=1), {}, ["all 40 rows are of one class (1)"]),
        (GOOD.assign(label=0.5), {}, ["has the same value (0.5) in all rows"]),
        (cells("label", {4: None, 5: " "}), {}, ["data.target=label: 2 of 40 rows have no value", "data row 5"]),
        (cells("label", {0: "rare"}), {}, ["class rare has 1 of 40 rows", "3 parts", "merge or drop"]),
        (GOOD, {"kind": "regression"}, ["data.kind=regression", "contains text (such as 'p')"]),
        (GOOD, {"target": "x", "kind": "classification"}, ["40 different numbers", "use data.kind=regression"]),
        (cells("x", {2: "n/k"}), {"target": "x"}, ["data.target=x: ", "numeric except for 1 of 40 cells"]),
        (GOOD, {"target": "x", "label_noise": 0.1}, ["data.label_noise=0.1"]),
        (GOOD[["label"]], {}, ["has no column besides the target"]),
        (GOOD.head(0), {}, ["has no rows"]),
        (GOOD, {"train_size": 30}, ["data.train_size=30: only 24 rows"]),
        (GOOD, {"test_fraction": 0.01}, ["data.test_fraction=0.01: ", "one row of 40"]),
        (GOOD, {"test_fraction": None}, ["data.test_fraction=null"]),
        (
            pd.concat([GOOD] * 2).assign(id=[f"{i}_5" for i in range(80)]),
            {},
            ["column 'id' contains 80 different texts"],
        ),
    ],
)
def test_unusable_columns_are_refused(tmp_path, table, options, parts):
    path = tmp_path / "bad.csv"
    table.to_csv(path, index=False)
    message = refusal(path, **options)
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("x,x,label\n1,2,a\n", ["more than one column is named 'x'"]),
        (",x,label\n0,1,a\n", ["column 1 has no name"]),
        ("x,label\n1,a\n1,a,b\n", ["cannot be read as .csv"]),
        ("x,label\n1,a,b\n1,a,b\n", ["cannot be read as .csv"]),
        ("", ["is empty"]),
        ("x,label\n1,a\n2,b\nx,label\n3,a\n", ["data row 3 repeats the header", "remove"]),
        ('"x","label"\n1,a\n2,b\n"x", "label"\n3,a\n"X","Label"\n', ["data row 3 repeats the header", "1 more row"]),
        ("\ufeffx,label\n1,a\n2,b\n\ufeffx,label\n3,a\n", ["data row 3 repeats the header"]),
        ("hue,form,label\nred,round,a\nblue,flat,b\nform,label,hue\nflat,b,red\n", ["data row 3 repeats the header"]),
        ("hue,form,label\nred,round,a\nblue,flat,b\nhue,form,label\nred,flat,a\n", ["data row 3 repeats the header"]),
        ("red,round,a\nred,round,a\nblue,round,a\nred,flat,a\n", ["its first line looks like data"]),
        (b"x,label\n1,\xff\xfe\n", ["is not UTF-8 text"]),
    ],
)
def test_files_that_are_no_table(tmp_path, content, parts):
    path = tmp_path / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(path)
    for part in ["data.path=", *parts]:
        assert part in message


def test_an_invalid_parquet_file(tmp_path):
    (tmp_path / "bad.parquet").write_text("x,label\n1,a\n")
    assert "cannot be read as .parquet" in refusal(tmp_path / "bad.parquet")


def test_dates_in_a_parquet_file(tmp_path):
    GOOD.assign(day=pd.date_range("2020-01-01", periods=N)).to_parquet(tmp_path / "days.parquet")
    assert "column 'day' contains dates" in refusal(tmp_path / "days.parquet")


def test_wrong_settings_are_refused_before_the_file_is_read(tmp_path):
    path = tmp_path / "ok.csv"
    path.write_text("not read")
    assert "data.target=null: required" in refusal(path, target=None)
    assert "data.kind=regresion: must be one of" in refusal(path, kind="regresion")
    assert "did you mean regression?" in refusal(path, kind="regresion")
    assert "data.val_fraction=2" in refusal(path, val_fraction=2)
