"""Parts that lack a class: an error for training, a note for validation and test."""

import numpy as np
import pytest
import torch

from reglab.data.base import TensorData
from reglab.data.source import Source
from reglab.data.tables.target import read_splitter
from reglab.schema.errors import ConfigError

N = 100
RARE = np.where(np.arange(N) % 33 == 5, 2, np.arange(N) % 2)  # classes of 49, 48 and 3 rows


class ArrayData(TensorData):
    def __init__(self, targets, column=None, way=None, held_out=0, **axes):
        super().__init__(name="given", seed=0, **{"split_seed": 0, **axes})
        self.targets, self.column, self.way, self.held_out = targets, column, way, held_out

    def load(self):
        import pandas as pd

        split = read_splitter(pd.Series(self.column, name="c"), self.way, "0", None) if self.way else None
        targets = torch.from_numpy(np.asarray(self.targets))
        names = ("ant", "bee", "cow", "dog")[: int(targets.max()) + 1]
        return Source(torch.zeros(N, 1), targets, len(names), held_out=self.held_out, class_names=names, splitter=split)


def ready(*args, **options):
    data = ArrayData(*args, **options)
    data.setup()
    return data


WAYS = {
    "random": {},
    "groups": {"column": np.arange(N) // 2, "way": "groups"},
    "parts": {"column": np.resize(["train", "train", "train", "val", "test"], N), "way": "parts"},
    "folds": {"column": np.arange(N) % 5, "way": "folds"},
    "time": {"column": np.arange(N), "way": "time"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_training_part_that_train_size_leaves_without_a_class_is_refused(way):
    assert ready(RARE, **WAYS[way]).train_rows >= 55
    with pytest.raises(ConfigError) as caught:
        ready(RARE, **WAYS[way], train_size=4)
    assert caught.value.where == ("data.train_size", 4)
    assert caught.value.problem == "class cow (3 rows) has no training row"


def test_a_class_in_the_own_test_rows_only_is_refused():
    targets = np.where(np.arange(N) >= 90, 3, np.arange(N) % 3)
    with pytest.raises(ConfigError, match=r"class dog \(10 rows\) has no training row"):
        ready(targets, held_out=20, test_fraction=None)


@pytest.mark.parametrize(("way", "column"), [("time", np.arange(N)), ("groups", np.arange(N) // 50)])
def test_a_class_in_the_latest_rows_or_in_one_group_only_is_refused(way, column):
    targets = np.where(np.arange(N) >= 90, 2, np.arange(N) % 2)
    if way == "groups":
        targets, column = np.where(np.arange(N) < 50, 0, 1 + np.arange(N) % 2), np.arange(N) // 50
    with pytest.raises(ConfigError, match=r"^data.split_column=c: "):
        ready(targets, column, way)


def test_a_class_with_fewer_rows_than_parts_is_refused():
    with pytest.raises(ConfigError, match=r"class cow has 2 of 100 rows, .* 3 parts"):
        ready(np.where(np.arange(N) < 2, 2, np.arange(N) % 2))


def test_parts_that_do_not_test_every_class_are_reported():
    early = np.where(np.arange(N) < 30, np.arange(N) % 2 + 1, 0)
    notes = ready(early, np.arange(N), "time").notes
    assert [part for part in ("validation", "test") for text in notes if f"all rows of the {part} part" in text] == [
        "validation",
        "test",
    ]
    assert all("(ant)" in note for note in notes)
    some = np.where(np.arange(N) < 30, 2, np.arange(N) % 2)
    assert ["class cow" in note for note in ready(some, np.arange(N), "time").notes] == [True, True]
    assert ready(np.arange(N) % 3).notes == ()
