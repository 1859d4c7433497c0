"""Runs that cannot be rerun are refused with a one-line error before training."""

import json
from pathlib import Path

import pytest
import yaml

from reglab.config.trusted import Typed
from reglab.schema.errors import ConfigError
from reglab.study.rerun import rerun
from reglab.tracking import artifacts, queries
from reglab.tracking.store import Store, open_store
from tests.errors import check_error
from tests.study.test_rerun import train_run


@pytest.fixture
def store(store_uri: str) -> Store:
    return open_store(store_uri, "mine")


def rerun_error(store: Store, run_id: str, typed: Typed | None = None) -> ConfigError:
    """Return the error of a rerun; assert that no run was added."""
    before = len(queries.runs(store))
    with pytest.raises(ConfigError) as caught:
        rerun(store.uri, run_id, typed)
    assert len(queries.runs(store)) == before
    return caught.value


@pytest.mark.slow
def test_runs_that_cannot_be_run_again_are_refused_in_one_line(store: Store, tmp_path: Path) -> None:
    own = store.client.create_run(store.experiment_id).info.run_id
    check_error(rerun_error(store, own), f"run_id={own}: RUNNING ... FINISHED run")
    store.client.set_terminated(own, "FINISHED")
    check_error(rerun_error(store, own), f"run_id={own}: no overrides.yaml ... make train")
    mistyped = ("0" if own[0] != "0" else "1") + own[1:]
    for given in (own[:9], mistyped):
        check_error(rerun_error(store, given), f"run_id={given}: no such run ... {store.uri} ... did you mean {own}?")
    check_error(rerun_error(store, "?"), "run_id=?: make train")
    store.client.delete_run(own)
    restore = f"MLFLOW_TRACKING_URI={store.uri} mlflow runs restore --run-id {own}"
    check_error(rerun_error(store, own), f"run_id={own}: was deleted ... {restore}")
    with pytest.raises(ConfigError, match=r"nothing was tracked there .*make train$"):
        rerun(f"sqlite:///{tmp_path}/other.db", own)
    assert not (tmp_path / "other.db").exists()


@pytest.mark.slow
def test_missing_and_changed_data_are_refused(store: Store, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    rows = "x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60))
    table.write_text(rows)
    first = train_run(store, "data=csv", f"data.path={table}", "data.target=y")
    check_error(rerun_error(store, first), f"run_id={first}: data.path={table}: ... only in the tracking store")
    mine = Typed({"data.path": str(table)})
    table.write_text(rows + "7,a\n")
    check_error(
        rerun_error(store, first, mine), f"run_id={first}: data.path={table}: content has changed ... SHA-256 then"
    )
    table.unlink()
    check_error(rerun_error(store, first, mine), f"run_id={first}: data.path={table}: no such file")
    moved = tmp_path / "elsewhere.csv"
    moved.write_text(rows)
    assert rerun(store.uri, first, Typed({"data.path": str(moved)})) is True
    (again,) = [run for run in queries.runs(store) if "rerun_of" in run.tags]
    assert again.tags["data"] == "table"
    assert f"data.path={moved}" in yaml.safe_load(
        artifacts.of_run(store, again.run_id).read_text("overrides.yaml") or ""
    )


@pytest.mark.slow
def test_interpolations_are_kept_as_their_values_and_refused_from_a_tracker(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGLAB_TEST_SECRET", "s3cret")
    first = train_run(store, "seed=4", "data.split_seed=${seed}", "hydra.verbose=true")
    files = artifacts.of_run(store, first)
    kept = yaml.safe_load(files.read_text("overrides.yaml") or "")
    assert "data.split_seed=4" in kept
    assert not [override for override in kept if "hydra" in override or "$" in override]
    assert rerun(store.uri, first) is True
    files.write_text(yaml.safe_dump([*kept, "data.name=${oc.env:REGLAB_TEST_SECRET}"]), "overrides.yaml")
    check_error(rerun_error(store, first), f"run_id={first}: REGLAB_TEST_SECRET ... interpolations")
    for name, text in (("config.yaml", "[1]"), ("environment.json", "[1]"), ("environment.json", "{")):
        before = files.read_text(name) or ""
        files.write_text(text, name)
        assert name in rerun_error(store, first).problem
        files.write_text(before, name)


@pytest.mark.slow
def test_a_run_of_other_code_is_refused_without_code_changed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    first = train_run(store, "regularizer=l2")
    kept = json.loads(queries.runs(store)[0].tags["code"])
    store.client.set_tag(first, "code", json.dumps({**kept, "regularizer.l2": "0" * 16}))
    files = artifacts.of_run(store, first)
    environment = json.loads(files.read_text("environment.json") or "")
    environment["code"]["reglab.regularizers.l2"] = "0" * 16
    files.write_text(json.dumps(environment), "environment.json")
    error = rerun_error(store, first)
    check_error(error, f"run_id={first}: other code ... regularizers.l2 (commit")
    assert "code=changed" in error.remedy
    for damaged in ("[1]", "{}", "{"):
        store.client.set_tag(first, "code", damaged)
        check_error(rerun_error(store, first), f"run_id={first}: tag code is missing or damaged")
    store.client.set_tag(first, "code", json.dumps({**kept, "regularizer.l2": "0" * 16}))
    assert rerun(store.uri, first, Typed(changed=True)) is True
    assert ["code.reglab.regularizers.l2", "0" * 16] in [
        row.split()[:2] for row in capsys.readouterr().out.splitlines()
    ]


@pytest.mark.slow
def test_classes_and_files_named_only_in_the_store_are_refused(store: Store, tmp_path: Path) -> None:
    first = train_run(store)
    files = artifacts.of_run(store, first)
    for override in (
        "model._target_=os.system",
        "+model.extra={_target_:os.system}",
        "+regularizer.mine={_target_:antigravity.Mine}",
    ):
        files.write_text(f'["{override}", "no.such.key=1"]', "overrides.yaml")
        check_error(rerun_error(store, first), f"run_id={first}: {override}: ... only in the tracking store ... conf/")
    (tmp_path / "evil.yaml").write_text("_target_: os.system\nname: evil\n")
    files.write_text(f'["model=../../../../../../../../../../{tmp_path}/evil"]', "overrides.yaml")
    check_error(rerun_error(store, first), f"run_id={first}: model")
    files.write_text("[1, 2]", "overrides.yaml")
    assert "overrides.yaml is damaged" in rerun_error(store, first).problem
    files.write_text('["model.hiden_sizes=[8]"]', "overrides.yaml")
    check_error(rerun_error(store, first), f"run_id={first}: model.hiden_sizes=[8] ... model.hidden_sizes?")
