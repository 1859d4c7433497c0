"""Random splits: exact counts, class shares and effects of the seeds."""

import numpy as np
import pytest

from reglab.data.splitting.random import RandomSplit, Rows, SplitSettings
from tests.errors import config_error

CLASSES = np.repeat([0, 1, 2], [50, 30, 20])


def parts(rows=100, classes=None, held_out=0, **changed) -> Rows:
    options = {"split_seed": 0, "train_size": None, "val_fraction": 0.2, "test_fraction": 0.2, **changed}
    return RandomSplit(rows, held_out).split(SplitSettings(**options, classes=classes))


def counts(rows):
    return np.bincount(CLASSES[rows], minlength=3).tolist()


@pytest.mark.parametrize("classes", [None, CLASSES], ids=["plain", "stratified"])
def test_parts_are_disjoint_and_cover_all_rows(classes):
    cut = parts(classes=classes)
    assert [len(cut.train), len(cut.val), len(cut.test)] == [60, 20, 20]
    assert sorted([*cut.train, *cut.val, *cut.test]) == list(range(100))


def test_classes_keep_their_shares():
    cut = parts(classes=CLASSES, train_size=10)
    assert counts(cut.test) == [10, 6, 4]
    assert counts(cut.val) == [10, 6, 4]
    assert counts(cut.train) == [5, 3, 2]


def test_shares_that_are_not_whole_add_up_by_largest_remainder():
    classes = np.repeat([0, 1, 2], [34, 33, 33])
    cut = parts(classes=classes, test_fraction=0.1, val_fraction=0.0)
    assert np.bincount(classes[cut.test]).tolist() == [4, 3, 3]  # shares 3.4, 3.3, 3.3


def test_train_size_does_not_change_validation_and_test():
    full, few = parts(classes=CLASSES), parts(classes=CLASSES, train_size=17)
    assert np.array_equal(full.val, few.val)
    assert np.array_equal(full.test, few.test)
    assert len(few.train) == 17
    assert set(few.train) <= set(full.train)


def test_the_test_part_does_not_depend_on_the_validation_fraction():
    assert np.array_equal(parts(val_fraction=0.1).test, parts(val_fraction=0.4).test)


def test_splits_depend_on_the_seed():
    assert np.array_equal(parts().train, parts().train)
    assert set(parts().test) != set(parts(split_seed=1).test)


def test_parts_are_in_random_order():
    # Training metrics are measured on the first rows of a part, which must not be of one class if a file is sorted.
    assert all(count > 0 for count in counts(parts(classes=CLASSES).train[:20]))


def test_a_fraction_of_zero_skips_the_stage():
    cut = parts(val_fraction=0.0, test_fraction=0.0)
    assert [len(cut.train), len(cut.val), len(cut.test)] == [100, 0, 0]


def test_held_out_rows_are_the_test_part_on_request():
    cut = parts(test_fraction=None, held_out=30, val_fraction=0.1)
    assert cut.test.tolist() == list(range(70, 100))
    assert sorted([*cut.train, *cut.val]) == list(range(70))
    assert len(cut.val) == 7
    assert len(parts(held_out=30).test) == 20  # with a fraction, test rows are drawn from all rows


BOTH = "data.val_fraction, data.test_fraction"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_size": 61}, "data.train_size=61: 60 rows ... (20) ... (20)"),
        ({"test_fraction": 0.001}, "data.test_fraction=0.001: 100 ... 0.01, or 0"),
        ({"val_fraction": 0.001}, "data.val_fraction=0.001: one row of 100"),
        (
            {"val_fraction": 0.5, "test_fraction": 0.499},
            "data.val_fraction=0.5: no row of 100",
        ),
        ({"test_fraction": None}, "data.test_fraction=null: predefined"),
        (
            {"rows": 7, "classes": np.array([0, 0, 0, 0, 0, 1, 1])},
            f"{BOTH}: class 1 has 2 of 7 rows ... 3 parts",
        ),
        (
            {"rows": 7, "classes": np.array([0, 0, 0, 0, 0, 1, 1]), "class_names": ("ham", "spam")},
            f"{BOTH}: class spam has 2 of 7 rows",
        ),
        (
            {"rows": 1000, "classes": np.repeat([0, 1], [997, 3]), "val_fraction": 0.45, "test_fraction": 0.45},
            f"{BOTH}: class 1 (3 rows) ... no training row",
        ),
    ],
)
def test_invalid_splits_are_refused(changed, message):
    with config_error(message):
        parts(**changed)
