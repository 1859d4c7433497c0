"""Tables of users: encodings of columns, and file formats."""

import gzip

import numpy as np
import pandas as pd
import pytest
import torch

from reglab.config.compose import compose
from reglab.config.identity import identity_parts
from reglab.data import Csv
from reglab.data.tables.target import encode_target
from reglab.schema.errors import ConfigError
from tests.errors import config_error

N = 60
RNG = np.random.default_rng(0)
TABLE = pd.DataFrame(
    {
        "size": RNG.normal(10.0, 2.0, N).round(3),
        "color": np.resize(["red", "green", "blue"], N),
        "owned": np.resize([True, False], N),
        "rooms": np.resize([1, 2, 3, 4, 5], N),
        "price": RNG.normal(200.0, 30.0, N).round(3),
        "sold": np.resize(["yes", "no"], N),
    }
)


def ready(path, target="sold", **options):
    data = Csv(**{"path": str(path), "target": target, "seed": 0, "split_seed": 0, **options})
    data.setup()
    return data


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "houses.csv"
    TABLE.to_csv(path, index=False)
    return path


def test_numbers_and_booleans_come_first_then_one_column_a_category(file):
    data = ready(file, standardize=False)
    rows = data.parts.test
    expected = np.column_stack(
        [TABLE[name].to_numpy(float) for name in ("size", "owned", "rooms", "price")]
        + [TABLE["color"] == color for color in ("blue", "green", "red")]
    )[rows]
    torch.testing.assert_close(data.test.inputs, torch.from_numpy(expected).float())
    assert data.test.targets.tolist() == [int(sold == "yes") for sold in TABLE["sold"][rows]]
    assert (data.name, data.input_shape, data.outputs, data.class_names) == ("houses", (7,), 2, ("no", "yes"))


def test_numbers_are_standardized_on_the_training_rows_and_categories_stay_0_or_1(file):
    data = ready(file)
    size = TABLE["size"].to_numpy()
    train, test = size[data.parts.train], size[data.parts.test]
    expected = torch.from_numpy((test - train.mean()) / train.std()).float()
    torch.testing.assert_close(data.test.inputs[:, 0], expected)
    assert set(data.train.inputs[:, 4:].unique().tolist()) == {0.0, 1.0}


def test_described_features_reproduce_the_inputs_from_the_file(file):
    data = ready(file)
    table = pd.read_csv(file)
    columns = []
    for feature in data.features():
        if "value" in feature:
            columns.append((table[feature["name"]] == feature["value"]).astype(float))
        else:
            columns.append((table[feature["name"]].astype(float) - feature["mean"]) / feature["scale"])
    expected = np.stack(columns, axis=1).astype(np.float32)
    np.testing.assert_allclose(data.train.inputs, expected[data.parts.train], rtol=1e-6, atol=1e-7)


def test_a_regression_target_is_converted_to_its_units(file):
    data = ready(file, target="price")
    in_units = data.test.targets * data.target_scale + data.target_mean
    expected = torch.from_numpy(TABLE["price"].to_numpy()[data.parts.test]).float()
    torch.testing.assert_close(in_units, expected)
    assert (data.kind, data.outputs, data.train.targets.dtype) == ("regression", 1, torch.float32)
    raw = ready(file, target="price", standardize=False)
    torch.testing.assert_close(raw.test.targets, expected)
    assert (raw.target_mean, raw.target_scale) == (0.0, 1.0)


def test_missing_values(tmp_path):
    table = TABLE.copy()
    table.loc[::4, "size"] = np.nan
    table.loc[::5, "color"] = None
    table.to_csv(tmp_path / "holes.csv", index=False)
    data = ready(tmp_path / "holes.csv", standardize=False)
    training_sizes = table["size"].to_numpy()[data.parts.train]
    expected = table["size"].fillna(float(np.nanmedian(training_sizes))).to_numpy()[data.parts.test]
    torch.testing.assert_close(data.test.inputs[:, 0], torch.from_numpy(expected).float())
    # missing colors are a category: columns missing, blue, green, red
    assert data.input_shape == (8,)
    assert data.dims == Csv.dims
    assert torch.equal(
        data.test.inputs[:, 4].bool(), torch.from_numpy(table["color"].isna().to_numpy()[data.parts.test])
    )


def test_a_category_without_training_rows_gives_zeros(tmp_path, file):
    row = ready(file).parts.test[0]
    table = TABLE.copy()
    table.loc[row, "color"] = "mauve"
    table.to_csv(tmp_path / "rare.csv", index=False)
    data = ready(tmp_path / "rare.csv")
    assert data.input_shape == (7,)
    assert data.test.inputs[0, 4:].tolist() == [0, 0, 0]


def test_spellings_of_one_category_or_group_are_reported(tmp_path):
    city = np.resize(["Caf\u00e9", "Cafe\u0301", "Oslo", "oslo", " Oslo "], N)
    group = np.resize(["anna", "Anna", *"bcdef"], N)
    TABLE.assign(city=city, group=group, **{"class": np.resize(["x", "X"], N)}).to_csv(tmp_path / "t.csv", index=False)
    data = ready(tmp_path / "t.csv", target="class", split_column="group", split_by="groups")
    assert (
        len({feature["value"] for feature in data.features() if feature["name"] == "city"}) == 4
    )  # surrounding blanks are ignored
    (of_city,) = (text for text in data.notes if "'city'" in text)
    assert r"'Caf\xe9' and 'Cafe\u0301'" in of_city or r"'Cafe\u0301' and 'Caf\xe9'" in of_city
    assert "1 more pair" in of_city
    assert any("=group:" in text and "'Anna' and 'anna'" in text for text in data.notes)
    folds = ready(tmp_path / "t.csv", target="class", split_column="group", split_by="folds", test_fold="anna")
    assert any("=group:" in text and "are different folds" in text for text in folds.notes)
    assert any("=class:" in text and "'X' and 'x'" in text for text in data.notes)
    assert not any("color" in text for text in data.notes)


def test_a_constant_column_becomes_zero(tmp_path):
    TABLE.assign(same=0.1, word="x").to_csv(tmp_path / "same.csv", index=False)
    data = ready(tmp_path / "same.csv")
    assert data.train.inputs.isfinite().all()
    assert data.input_shape == (9,)


def test_every_format_gives_the_same_rows(tmp_path, file):
    expected = ready(file)
    text = file.read_text()
    (tmp_path / "bom.csv").write_text(text, encoding="utf-8-sig")
    (tmp_path / "semicolons.csv").write_text(text.replace(",", ";"))
    (tmp_path / "blanks.csv").write_text(text.replace(",", ",  ").replace("\n", "\r\n"))
    (tmp_path / "tabs.TSV").write_text(text.replace(",", "\t"))
    (tmp_path / "houses.csv.gz").write_bytes(gzip.compress(text.encode()))
    TABLE.to_parquet(tmp_path / "houses.parquet")
    TABLE.astype({"color": "category", "rooms": "Int64", "owned": "boolean"}).to_parquet(tmp_path / "houses.pq")
    for path in tmp_path.iterdir():
        data = ready(path)
        assert torch.equal(data.train.inputs, expected.train.inputs), path.name
        assert torch.equal(data.train.targets, expected.train.targets), path.name


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path = tmp_path / "grows.csv"
    TABLE.to_csv(path, index=False)
    assert ready(path).rows == N
    pd.concat([TABLE, TABLE]).to_csv(path, index=False)
    assert ready(path).rows == 2 * N


def test_the_name_is_the_stem_unless_given(file):
    assert ready(file, name="mine").name == "mine"
    assert ready(file).name == "houses"


@pytest.mark.parametrize(
    ("values", "kind", "names"),
    [
        (["b", "a"] * 10, "classification", ("a", "b")),
        ([True, False] * 10, "classification", ("False", "True")),
        ([2, 1, 10] * 10, "classification", ("1", "2", "10")),
        ([0.0, 1.0] * 10, "classification", ("0", "1")),
        (list(range(20)) * 2, "classification", tuple(map(str, range(20)))),
        (list(range(21)) * 2, "regression", ()),  # too many for classes
        (list(range(10)), "regression", ()),  # one row each
        ([0.5, 1.0] * 10, "regression", ()),
    ],
)
def test_the_kind_is_inferred_from_the_target(values, kind, names):
    encoded = encode_target(pd.Series(values, name="y"))
    assert (encoded.kind, encoded.names) == (kind, names)


def test_the_kind_can_be_given():
    assert encode_target(pd.Series([1, 2, 3] * 10, name="y"), "regression").kind == "regression"
    mixed = encode_target(pd.Series(["1", "2"] * 20 + ["many"] * 2, name="y"), "classification")
    assert mixed.names == ("1", "2", "many")


def test_columns_can_be_left_out(tmp_path):
    table = pd.DataFrame({"name": [f"n{row}" for row in range(60)], "x": np.arange(60.0), "y": np.arange(60.0) ** 2})
    table.to_csv(tmp_path / "t.csv", index=False)
    given = {"path": str(tmp_path / "t.csv"), "target": "y", "seed": 0, "split_seed": 0}
    with pytest.raises(ConfigError, match=r"column 'name' contains 60 .*data.ignore=\[name\]"):
        Csv(**given).setup()
    data = Csv(**given, ignore=["name"])
    data.setup()
    assert data.input_shape == (1,)
    with config_error("data.ignore=nam: no such column ... name?"):
        Csv(**given, ignore=["nam"]).setup()


def test_runs_from_before_the_setting_ignore_keep_their_identity(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    cfg = compose(["data=csv", f"data.path={tmp_path / 't.csv'}", "data.target=c"])
    assert "ignore" not in identity_parts(cfg)["data"]
    cfg.data.ignore = ["b"]
    assert identity_parts(cfg)["data"]["ignore"] == ["b"]
