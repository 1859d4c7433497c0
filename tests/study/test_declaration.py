"""The declaration of a study on its parent run: its fields, and the changes that require another version."""

import json
from typing import Any

import pytest

from reglab.schema.errors import ConfigError
from reglab.study.declaration import FILE, check_declared, read_declaration, study_declaration, write_declaration
from reglab.tracking import artifacts, parent
from reglab.tracking.store import Store, open_store
from tests.study.studies import arms_of


@pytest.fixture
def store(store_uri: str) -> Store:
    return open_store(store_uri, "exp")


def write_declared_parent(store: Store, *overrides: str) -> str:
    """Track a parent run with the declaration of a tiny study and return its id."""
    study, arms, _ = arms_of(*overrides)
    run_id = parent.open_parent(store, study.title, [], kind="study")
    write_declaration(store, run_id, study, arms)
    return run_id


@pytest.mark.slow
def test_a_declaration_is_json_with_the_search_spaces_of_the_arms() -> None:
    study, arms, _ = arms_of("study.strategies=[none,max_norm]")
    fields = study_declaration(study, arms)
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields
    assert set(fields["space"]) == {"none", "max_norm"}
    assert fields["space"]["max_norm"]["regularizer.max_norm.max_norm"]["off"] == "inf"
    assert "seeds" not in fields
    assert fields["trials"] == 2


@pytest.mark.slow
def test_a_declaration_is_read_as_it_was_written(store: Store) -> None:
    study, arms, _ = arms_of()
    assert read_declaration(store, write_declared_parent(store)) == study_declaration(study, arms)
    assert read_declaration(store, parent.open_parent(store, "a sweep", [])) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["study.trials=3"], ["study.trials was 2 and is 3"]),
        (["study.strategies=[none,l2]", "study.baseline=none"], ["study.strategies is now", "with l2"]),
        (["+study.space.regularizer.dropout.p.high=0.7"], ["study.space.dropout.regularizer.dropout.p.high"]),
    ],
)  # fmt: skip
def test_another_definition_is_another_study(store: Store, overrides: list[str], words: list[str]) -> None:
    run_id = write_declared_parent(store)
    study, arms, _ = arms_of(*overrides)
    with pytest.raises(ConfigError) as refused:
        check_declared(store, run_id, study, arms)
    assert (refused.value.key, refused.value.value) == ("study.name", "tiny")
    assert all(word in refused.value.problem for word in words), refused.value.problem
    assert "study.version=2" in refused.value.remedy


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], ["seeds=7"], ["workers=3"]])
def test_the_same_study_may_have_more_seeds_and_workers(store: Store, overrides: list[str]) -> None:
    study, arms, _ = arms_of(*overrides)
    check_declared(store, write_declared_parent(store), study, arms)
    check_declared(store, None, study, arms)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trials", "many"),
        ("sampler", "grid"),
        ("space", {"none": {"optimizer.lr": {"key": "optimizer.lr", "low": "x", "high": 1.0}}}),
        ("space", {"none": {"optimizer.lr": {"key": 3, "options": [1]}}}),
        ("pruning", {"eta": 3}),
        ("direction", None),
    ],
)
def test_a_damaged_declaration_names_the_file(store: Store, key: str, value: Any) -> None:
    run_id = write_declared_parent(store)
    files = artifacts.of_run(store, run_id)
    fields = files.read_json(FILE, dict)
    assert fields is not None
    files.write_text(json.dumps({**fields, key: value}), FILE)
    with pytest.raises(ConfigError, match=FILE) as refused:
        read_declaration(store, run_id)
    assert key in str(refused.value)
