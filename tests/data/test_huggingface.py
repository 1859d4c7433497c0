"""Data sets saved by the library datasets, and folders of files."""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from reglab.config.check_run import check
from reglab.config.compose import compose
from reglab.config.identity import config_hash
from reglab.data import Huggingface, HuggingfaceText
from reglab.schema.errors import ConfigError
from tests.data.test_image_folder import pixels
from tests.errors import check_error, config_error

NAMES = ["ant", "bee", "never"]


@pytest.fixture(scope="module")
def insects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in two parts, with one class that does not occur."""
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})

    def part(numbers: range) -> datasets.Dataset:
        images = [Image.fromarray(pixels(number)) for number in numbers]
        labels = [number % 2 for number in numbers]
        return datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)

    path = tmp_path_factory.mktemp("hub") / "insects"
    datasets.DatasetDict(test=part(range(20, 30)), train=part(range(20))).save_to_disk(path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    size = generator.normal(2, 3, 40)
    place = generator.choice(["field", "wood"], 40)
    (tmp_path / "table").mkdir()
    frame = pd.DataFrame({"size": size, "place": place, "weight": size * 2 + 1})
    frame.to_csv(tmp_path / "table" / "train.csv", index=False)
    return tmp_path / "table"


def ready(path: Path | str, **options: Any) -> Huggingface:
    data = Huggingface(path=str(path), **{"seed": 0, "split_seed": 0, **options})
    data.setup()
    return data


def test_images_equal_the_saved_images(insects: Path) -> None:
    data = ready(insects, test_fraction=None)
    assert (data.name, data.kind, data.input_shape, data.class_names) == (
        "insects",
        "classification",
        (1, 6, 5),
        ("ant", "bee"),
    )
    for part, rows in ((data.train, data.parts.train), (data.val, data.parts.val), (data.test, data.parts.test)):
        for image, target, row in zip(part.inputs, part.targets, rows, strict=True):
            np.testing.assert_array_equal(image[0], pixels(row).astype(np.float32) / 255)
            assert int(target) == row % 2
    assert sorted(data.parts.test) == list(range(20, 30))  # its own


def test_a_data_set_of_columns_is_read_as_a_table(table: Path) -> None:
    data = ready(table, target="weight")
    assert (data.name, data.kind, data.input_shape, data.rows) == ("table", "regression", (3,), 40)
    assert data.train.inputs[:, 0].mean().abs() < 1e-6
    torch.testing.assert_close(data.train.inputs[:, 0], data.train.targets, atol=1e-5, rtol=1e-5)  # both standardized
    classes = ready(table, target="place")
    assert classes.class_names == ("field", "wood")


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with class labels, an image column, and predefined parts."""
    kinds = datasets.ClassLabel(names=["low", "high", "none"])
    features = {"dose": kinds, "age": datasets.Value("int64"), "site": datasets.ClassLabel(names=list("dcba"))}
    features |= {"photo": datasets.Image(), "label": datasets.ClassLabel(names=["well", "ill"])}

    def part(numbers: range) -> datasets.Dataset:
        columns = {
            "dose": [number % 3 - 1 for number in numbers],
            "age": [20 + number for number in numbers],
            "site": [number // 6 % 4 for number in numbers],
            "photo": [Image.fromarray(pixels(number)) for number in numbers],
            "label": [number % 2 for number in numbers],
        }
        return datasets.Dataset.from_dict(columns, features=datasets.Features(features))

    path = tmp_path_factory.mktemp("hub") / "visits"
    datasets.DatasetDict(test=part(range(24, 36)), train=part(range(24))).save_to_disk(path)
    return path


def test_class_labels_are_categories_in_features_and_target(visits: Path) -> None:
    data = ready(visits, ignore=["photo", "site"])
    assert (data.input_shape, data.class_names) == ((4,), ("well", "ill"))  # age; dose hidden, high and low
    data = ready(visits, ignore=["photo", "site"], standardize=False, test_fraction=None)
    for part, rows in ((data.train, data.parts.train), (data.val, data.parts.val), (data.test, data.parts.test)):
        ages, doses = part.inputs[:, 0], part.inputs[:, 1:]
        np.testing.assert_array_equal(ages, 20 + rows)
        np.testing.assert_array_equal(doses.argmax(1), np.array([0, 2, 1])[rows % 3])  # missing, high, low
        np.testing.assert_array_equal(part.targets, rows % 2)
    numbers = ready(visits, target="dose", kind="regression", ignore=["photo"], standardize=False)
    np.testing.assert_array_equal(numbers.train.targets, numbers.parts.train % 3 - 1)


def test_rows_can_be_split_by_a_column(visits: Path) -> None:
    data = ready(visits, ignore=["photo"], split_column="site", split_by="folds", test_fold="d", val_fold="a")
    site = np.arange(36) // 6 % 4
    assert [set(site[rows]) for rows in (data.parts.train, data.parts.val, data.parts.test)] == [{1, 2}, {3}, {0}]
    assert data.input_shape == (4,)
    images = ready(visits, split_column="site", split_by="groups", val_fraction=0.25, test_fraction=0.25)
    assert images.input_shape == (1, 6, 5)
    sites = [set(site[rows]) for rows in (images.parts.train, images.parts.val, images.parts.test)]
    assert sum(map(len, sites)) == len(set.union(*sites)) == 4
    for options, problem in (
        ({"ignore": ["phot"]}, "data.ignore=phot: no such column ... photo?"),
        ({"target": "photo"}, "data.target=photo: contains images"),
        ({"split_column": "photo", "split_by": "groups"}, "data.split_column=photo: contains images"),
        ({"image": "age"}, "data.image=age: column of images ... photo"),
    ):
        with config_error(problem):
            ready(visits, **options)
    with config_error("data.test_fraction=null: data.split_column=site"):
        ready(visits, split_column="site", split_by="groups", test_fraction=None)


def test_texts_are_documents_and_the_last_are_the_test(tmp_path: Path) -> None:
    texts = {"test": ["the end"], "train": ["in the begin was the word", None, "and so on"], "validation": ["", "more"]}
    parts = {
        name: datasets.Dataset.from_dict({"said": documents, "number": range(len(documents))})
        for name, documents in texts.items()
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "words")
    options = {"path": str(tmp_path / "words"), "seed": 0, "split_seed": 0, "context_length": 4}
    data = HuggingfaceText(column="said", **options)
    assert data.documents() == ("in the begin was the word", "and so on", "more", "the end")
    data.setup()
    assert (data.name, data.kind) == ("words", "language modeling")
    for column, problem in (("text", "no such column in .*; it has said, number"), ("number", "contains no text")):
        with pytest.raises(ConfigError, match=rf"^data.column={column}: {problem}"):
            HuggingfaceText(column=column, **options).documents()


@pytest.mark.slow
def test_a_folder_identifies_a_run_by_its_content_and_a_name_by_itself(table: Path) -> None:
    def identity(path: Path | str) -> str:
        cfg = compose(["data=huggingface", f"data.path={path}"])
        check(cfg)
        return config_hash(cfg)

    before = identity(table)
    moved = table.rename(table.parent / "moved")
    assert identity(moved) == before
    (moved / "train.csv").write_text("a,label\n1,2\n2,4\n")
    assert identity(moved) != before
    assert identity("org/name") != identity("org/other")
    for name in (".hidden", "__MACOSX", "@eaDir"):  # the library leaves out the first two
        before = identity(moved)
        (moved / name).mkdir()
        (moved / name / "train.csv").write_text("a,label\n3,4\n5,6\n")
        assert identity(moved) == before
        if name != "@eaDir":
            assert ready(moved, val_fraction=0.0, test_fraction=0.0, kind="regression").rows == 2
    with pytest.raises(ConfigError, match="contains @eaDir"):
        ready(moved)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"path": None}, "data.path=null: required"),
        ({"path": "nowhere/set"}, "data.path=nowhere/set: (Couldn't "),
        ({"target": "height"}, "data.target=height: no such column ... weight?"),
        ({}, "data.target=null: labels ... size, place, weight"),
        ({"target": "size", "image": "place"}, "data.image=place: not a column of images"),
        ({"config": "odd", "target": "size"}, "data.path={path}: BuilderConfig 'odd'"),
    ],
    ids=["null", "nowhere", "column", "target", "image", "config"],
)
def test_unusable_data_sets_are_refused(table: Path, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Huggingface(**{"path": str(table), "seed": 0, "split_seed": 0, **options}).setup()
    check_error(caught.value, problem.format(path=table))


PLACES = ["{nowhere}/x", "./nowhere", "../nowhere/x", "~/nowhere", "~nobody-of-that-name/x", "a/b/c"]


@pytest.mark.slow
@pytest.mark.parametrize("written", PLACES)
def test_a_missing_folder_is_refused_by_the_config_alone(tmp_path: Path, written: str) -> None:
    path = written.format(nowhere=tmp_path)
    note = "" if path[0] in "/~" else f" relative to {Path.cwd()}"
    expected = f"data.path={path}: no such folder{note}; "
    for kind in ("huggingface", "huggingface_text"):
        with config_error(expected):
            check(compose([f"data={kind}", f"data.path='{path}'"]))
    with config_error(expected):
        ready(path)


def test_a_missing_label_is_refused(tmp_path: Path) -> None:
    features = datasets.Features({"x": datasets.Value("float32"), "label": datasets.ClassLabel(names=NAMES)})
    rows = datasets.Dataset.from_dict({"x": [1.0, 2.0, 3.0], "label": [0, 1, -1]}, features=features)
    rows.save_to_disk(tmp_path / "hidden")
    with config_error("data.target=label: 1 rows have no label"):
        ready(tmp_path / "hidden")


def test_a_file_is_for_another_kind_of_data(table: Path) -> None:
    expected = f"data.path={table / 'train.csv'}: is a file ... data=csv"
    with config_error(expected):
        check(compose(["data=huggingface", f"data.path={table / 'train.csv'}"]))
    with config_error(expected):
        ready(table / "train.csv")
