"""Cross-validation folds from a column of the table."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reglab.config.check_run import check
from reglab.config.compose import Composer
from reglab.config.identity import config_hash, setting_hash
from reglab.data import Csv
from reglab.data.settings import fold_name
from reglab.schema.errors import ConfigError
from reglab.training.run_record import arm_label
from tests.errors import check_error

N = 60
FOLD = np.resize([0, 1, 2, 3, 4], N)
WORDS = np.resize(["Oslo", "Rome", "Lima"], N)
TABLE = pd.DataFrame({"x": np.arange(N) % 7 + 0.5, "fold": FOLD, "label": np.repeat(["a", "b"], N // 2)})


def ready(folder: Path, table: pd.DataFrame = TABLE, **options: Any) -> Csv:
    path = folder / "table.csv"
    table.to_csv(path, index=False)
    named = {"split_column": "fold", "split_by": "folds", "seed": 0, "split_seed": 0, **options}
    data = Csv(path=str(path), target="label", **named)
    data.setup()
    return data


def parts(data: Csv) -> list[list[int]]:
    return [sorted(rows.tolist()) for rows in (data.parts.train, data.parts.val, data.parts.test)]


def of(*numbers: int) -> list[int]:
    return np.flatnonzero(np.isin(FOLD, numbers)).tolist()


def test_one_fold_is_the_test_one_validation_the_others_train(tmp_path: Path) -> None:
    assert parts(ready(tmp_path, test_fold=3, val_fold=0)) == [of(1, 2, 4), of(0), of(3)]
    assert ready(tmp_path, test_fold=3).input_shape == (1,)


def test_over_all_folds_each_row_is_tested_once(tmp_path: Path) -> None:
    tested = [row for fold in range(5) for row in parts(ready(tmp_path, test_fold=fold))[2]]
    assert sorted(tested) == list(range(N))


def test_validation_is_drawn_from_the_other_folds_and_keeps_classes(tmp_path: Path) -> None:
    first, second = (parts(ready(tmp_path, test_fold=3, split_seed=seed)) for seed in range(2))
    assert first[2] == second[2] == of(3)
    assert first[1] != second[1]
    assert sorted(first[0] + first[1]) == of(0, 1, 2, 4)
    assert len(first[1]) == 10  # a fifth of 48, rounded
    assert sum(row < N // 2 for row in first[1]) == 5


def test_a_fraction_of_zero_skips_a_part(tmp_path: Path) -> None:
    assert parts(ready(tmp_path, test_fold=3, val_fold=0, test_fraction=0.0)) == [of(1, 2, 4), of(0), []]
    assert parts(ready(tmp_path, test_fold=3, val_fold=0, val_fraction=0.0)) == [of(1, 2, 4), [], of(3)]
    assert parts(ready(tmp_path, val_fold=0, test_fraction=0.0)) == [of(1, 2, 3, 4), of(0), []]
    assert parts(ready(tmp_path, test_fold=3, val_fold=0, test_fraction=None))[2] == of(3)


def test_the_seed_has_no_effect_if_both_folds_are_given(tmp_path: Path) -> None:
    hashes = {ready(tmp_path, test_fold=3, val_fold=0, seed=s, split_seed=s).split_hash for s in range(3)}
    assert len(hashes) == 1
    assert ready(tmp_path, test_fold=4, val_fold=0).split_hash not in hashes


@pytest.mark.parametrize("fold", [3, "3", 3.0, "3.0", " 03"])
@pytest.mark.parametrize("column", [FOLD, FOLD.astype(float), np.char.mod("%02d", FOLD)], ids=["int", "float", "text"])
def test_notations_of_a_fold_number_are_equal(tmp_path: Path, fold: Any, column: np.ndarray) -> None:
    assert parts(ready(tmp_path, TABLE.assign(fold=column), test_fold=fold, val_fold=0))[2] == of(3)


def test_folds_may_be_words(tmp_path: Path) -> None:
    data = ready(tmp_path, TABLE.assign(fold=WORDS), test_fold="Rome", val_fold="Lima")
    assert parts(data) == [np.flatnonzero(word == WORDS).tolist() for word in ("Oslo", "Lima", "Rome")]
    assert [fold_name(value) for value in ("1e3", 0.5, True, "-0", 10**20)] == ["1e3", "0.5", "True", "0", f"{10**20}"]


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        ({}, {"test_fold": 5}, "data.test_fold=5: =fold ... 0, 1, 2, 3, 4"),
        ({}, {"test_fold": 1, "val_fold": "x"}, "data.val_fold=x: =fold ... 0, 1"),
        (
            {"fold": WORDS},
            {"test_fold": "rom"},
            "data.test_fold=rom: Lima, Oslo, Rome ... Rome?",
        ),
        (
            {"fold": np.arange(N)},
            {"test_fold": 60},
            "data.test_fold=60: 0, 1, 2, 3, ..., 56, 57,",
        ),
        (
            {"fold": FOLD % 2},
            {"test_fold": 0, "val_fold": 1},
            "data.split_column=fold: besides 0 and 1",
        ),
        ({}, {}, "data.test_fold=null: split_by=folds"),
        ({}, {"test_fold": 3, "val_fold": "3.0"}, "data.val_fold=3.0: is also the test fold"),
        (
            {"label": np.where(FOLD == 1, "rare", "a")},
            {"test_fold": 1, "val_fold": 0},
            "data.split_column=fold: class rare (12 rows)",
        ),
        ({"fold": np.where(FOLD == 1, np.nan, FOLD)}, {"test_fold": 2}, "data.split_column=fold: 12 of 60 rows have"),
    ],
)
def test_unusable_split_columns_are_refused(
    tmp_path: Path, changed: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        ready(tmp_path, TABLE.assign(**changed), **options)
    check_error(caught.value, message)


def composed(folder: Path, *overrides: str) -> Any:
    (folder / "table.csv").write_text("never read")
    return Composer().compose(["data=csv", f"data.path={folder / 'table.csv'}", "data.target=label", *overrides])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.test_fold=3"], "data.test_fold=3: split_by=folds ... null"),
        (
            ["data.val_fold=a", "data.split_column=day", "data.split_by=time"],
            "data.val_fold=a: data.split_by=folds ... time",
        ),
        (["data.split_by=folds", "data.split_column=day"], "data.test_fold=null: split_by=folds"),
        (
            ["data.split_by=folds", "data.split_column=day", "data.test_fold=3", "data.val_fold='3'"],
            "data.val_fold=3: is also the test fold",
        ),
        (
            ["data.split_by=folds", "data.split_column=day", "data.test_fold=[3]"],
            "data.test_fold=[3]: number or a word",
        ),
    ],
)
def test_wrong_settings_are_refused_by_the_config_alone(tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(composed(tmp_path, *overrides))
    check_error(caught.value, message)


def test_another_test_fold_is_another_run_and_another_task(tmp_path: Path) -> None:
    folds = ["data.split_column=fold", "data.split_by=folds"]
    first, same, of_other_fold = (composed(tmp_path, *folds, f"data.test_fold={fold}") for fold in ("0", "'0'", "1"))
    assert config_hash(first) == config_hash(same) != config_hash(of_other_fold)
    assert setting_hash(first) == setting_hash(same) != setting_hash(of_other_fold)  # not averaged as seeds of one task
    assert arm_label(first).endswith(", test_fold 0")
