"""What only data show is told before anything trains."""

from pathlib import Path

import pytest

from reglab.errors import ConfigError
from reglab.study.rehearsal import rehearse
from reglab.tracking import queries
from tests.study.studies import cells_of, conduct
from tests.study.sweeps import store


def table(folder: Path, rows: int, kind: str = "classes") -> str:
    """A task on a table of so many rows, half of each class or with a number as target."""
    file = folder / "table.csv"
    targets = [f"{'ab'[row % 2]}" if kind == "classes" else f"{row / 7}" for row in range(rows)]
    file.write_text("x,y\n" + "".join(f"{row * row % 11},{target}\n" for row, target in enumerate(targets)))
    return f"study.tasks=[{{data:csv,data.path:{file},data.target:y,data.batch_size:4,data.label_noise:0}}]"


SMALL = "study.common.data.train_size=null"


def test_more_seeds_than_splits_are_refused(tmp_path: Path) -> None:
    # Eight rows of two classes, a test part and a validation part of two, one of each class: 4 · 4 · 3 · 3 splits.
    task = table(tmp_path, 8)
    rehearse(*cells_of(task, SMALL, "study.seeds=3"))
    with pytest.raises(ConfigError) as told:
        rehearse(*cells_of(task, SMALL, "study.seeds=144"))
    assert str(told.value).startswith(
        "study.seeds=144: the 8 rows of table are too few for 145 seeds, of tuning and confirmation, to draw splits "
        "that all differ (they draw "
    )
    assert "\n" not in str(told.value)
    one = "+study.common.data.split_seed=0"
    rehearse(*cells_of(task, SMALL, one, "study.seeds=144"))  # one split for all, on purpose


def test_a_split_that_is_the_same_for_every_seed_has_to_be_meant(tmp_path: Path) -> None:
    file = tmp_path / "years.csv"
    file.write_text("x,year,y\n" + "".join(f"{row * row % 11},{row},{'ab'[row % 2]}\n" for row in range(40)))
    task = (
        f"study.tasks=[{{data:csv,data.path:{file},data.target:y,data.batch_size:4,data.label_noise:0,"
        "data.split_column:year,data.split_by:time}]"
    )
    with pytest.raises(ConfigError) as told:
        rehearse(*cells_of(task, SMALL))
    assert str(told.value) == (
        "study.seeds=3: years is split alike for every seed; say that this is meant by "
        "study.common.data.split_seed=0: seeds then vary initial weights and batch order alone"
    )
    rehearse(*cells_of(task, SMALL, "+study.common.data.split_seed=0"))


def test_rows_without_end_are_never_too_few() -> None:
    task = "study.tasks=[{data:seed_noise,data.label_noise:0,data.val_fraction:0.2}]"
    rehearse(*cells_of(task, SMALL, "study.seeds=300", "study.metric=test/rmse"))


@pytest.mark.parametrize(
    ("overrides", "kind", "message"),
    [
        (
            ["study.strategies=[none,label_smoothing]", "study.metric=test/rmse"],
            "numbers",
            "regularizer=label_smoothing: is for classification and language modeling, and this "
            "data is a regression task; leave it out",
        ),
        (["study.metric=test/accuracy"], "numbers", "study.metric=test/accuracy: is for classification, and table is"),
        (["study.metric=test/rmse"], "classes", "study.metric=test/rmse: is for regression, and table is"),
        (["study.common.data.train_size=900"], "classes", "study.common.data.train_size=900: only 24 rows are left"),
        (
            ["+study.common.model.norm=batch", "study.common.data.train_size=21"],
            "classes",
            "data.batch_size=4: of 21 training rows one is left for the last batch",
        ),
    ],
)
def test_what_data_show_is_told_before_anything_trains(
    tmp_path: Path, overrides: list[str], kind: str, message: str
) -> None:
    with pytest.raises(ConfigError) as told:
        conduct(tmp_path, table(tmp_path, 40, kind), SMALL, *overrides)
    assert str(told.value).startswith(message)
    assert queries.runs(store(tmp_path)) == []  # no parent either
