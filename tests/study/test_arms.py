"""The arms of a study: names, search spaces and the runs of their points."""

from pathlib import Path

import pytest

from reglab.schema.errors import ConfigError
from tests.study.studies import arms_of


@pytest.mark.slow
def test_arms_are_ordered_by_task() -> None:
    _, arms, _ = arms_of("study.tasks=[{data:digits,data.train_size:[50,200]}]", "study.strategies=[none,l2+dropout]")
    assert [(arm.task, arm.strategy) for arm in arms] == [
        (0, "none"), (0, "dropout+l2"), (1, "none"), (1, "dropout+l2")
    ]  # fmt: skip
    assert [arm.task_name for arm in arms[::2]] == [
        "digits mlp, train_size 50, label_noise 0.4", "digits mlp, train_size 200, label_noise 0.4"
    ]  # fmt: skip
    assert {arm.data_and_model for arm in arms} == {"digits mlp"}
    assert {arm.epochs for arm in arms} == {1}


@pytest.mark.slow
def test_arms_contain_the_hash_of_their_file(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    task = f"study.tasks=[{{data:csv,data.path:{file},data.target:y,data.label_noise:0}}]"
    hashes = []
    for last in ("a", "b"):
        file.write_text("x,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(40)) + f"9,{last}\n")
        _, arms, _ = arms_of(task)
        hashes.append({arm.content for arm in arms})
    assert all(len(contents) == 1 for contents in hashes)
    assert hashes[0] != hashes[1]


def test_a_run_has_the_values_the_seed_and_the_epochs_that_are_given() -> None:
    _, (none, _), composer = arms_of()
    job = none.job(composer, {"optimizer.lr": 0.002}, 7, "none trial 3", epochs=5)
    assert job.label == "none trial 3 seed=7"
    assert (job.config.optimizer.lr, job.config.seed, job.config.trainer.max_epochs) == (0.002, 7, 5)
    assert none.job(composer, {"optimizer.lr": 0.002}, 7, "none trial 3", epochs=5) is job
    assert none.job(composer, {"optimizer.lr": 0.002}, 7, "none trial 3").config_hash != job.config_hash


def test_an_error_about_a_shared_key_names_its_section_and_how_to_remove_it() -> None:
    study, _, _ = arms_of()
    with pytest.raises(ConfigError) as shared, study.naming_common_keys(0):
        raise ConfigError("data.label_noise", "is not possible", "set it to 0")
    assert shared.value.key == "study.common.data.label_noise"
    assert shared.value.remedy.startswith("set it to 0; or ")
    assert shared.value.remedy.endswith(" ~study.common.data.label_noise")
    with pytest.raises(ConfigError) as other, study.naming_common_keys(0):
        raise ConfigError("optimizer.lr", "is not possible")
    assert other.value.key == "optimizer.lr"
