"""Gene data, read from files of a package without its import."""

import sys

import numpy as np
import torch

from reglab.data import Khan, Nci60
from reglab.data.files import package_file, package_folder
from reglab.data.preprocessing import StandardizedColumns
from reglab.schema.errors import Setting
from tests.errors import config_error

AXES = {"name": "genes", "seed": 0, "split_seed": 0}


def test_khan_has_the_published_rows_and_its_own_test() -> None:
    data = Khan(**AXES, test_fraction=None)
    data.setup()
    assert data.class_names == ("BL", "EWS", "NB", "RMS")
    assert data.parts.test.tolist() == list(range(63, 83))
    # First labels of the published test part, and the rows per class of both parts.
    assert data.test.targets[:6].tolist() == [2, 1, 3, 1, 0, 2]
    assert torch.bincount(data.test.targets).tolist() == [3, 6, 6, 5]
    rest = torch.cat([data.train.targets, data.val.targets])
    assert torch.bincount(rest).tolist() == [8, 23, 12, 20]


def test_khan_equals_its_files_and_is_standardized_on_the_training_rows() -> None:
    data = Khan(**AXES, test_fraction=None)
    data.setup()
    file = package_file("ISLP", "data/Khan_xtest.csv", Setting("data", "khan"))
    genes_of_file = np.loadtxt(file, delimiter=",", skiprows=1)
    source = data.load()
    assert isinstance(source.inputs, StandardizedColumns)
    genes = source.inputs.columns
    assert np.array_equal(genes[63:], genes_of_file)
    training_genes = genes[data.parts.train]
    expected = (genes_of_file - training_genes.mean(axis=0)) / training_genes.std(axis=0)
    torch.testing.assert_close(data.test.inputs, torch.from_numpy(expected).float())


def test_nci60_keeps_the_types_with_five_rows_or_more() -> None:
    data = Nci60(**AXES)
    data.setup()
    parts = (data.train, data.val, data.test)
    counts = torch.bincount(torch.cat([part.targets for part in parts])).tolist()
    assert dict(zip(data.class_names, counts, strict=True)) == {
        "BREAST": 7,
        "CNS": 5,
        "COLON": 7,
        "LEUKEMIA": 6,
        "MELANOMA": 8,
        "NSCLC": 9,
        "OVARIAN": 6,
        "RENAL": 9,
    }
    assert all(torch.bincount(part.targets, minlength=8).min() > 0 for part in parts)
    first = data.load().targets[:4].tolist()
    assert [data.class_names[label] for label in first] == ["CNS", "CNS", "CNS", "RENAL"]


def test_the_package_is_not_imported() -> None:
    Khan(**AXES).setup()
    Nci60(**AXES).setup()
    assert "ISLP" not in sys.modules


def test_a_missing_package_is_refused_with_the_command_to_install_it() -> None:
    with config_error("data=khan: make setup ... pip install ... no_such_package"):
        package_folder("no_such_package", Setting("data", "khan"))
    with config_error("data=khan: no file data/x.csv ... ISLP==0.6.0"):
        package_file("ISLP", "data/x.csv", Setting("data", "khan"))
