"""The checks before a closing report, and the status with which a parent run is closed."""

import pytest

from reglab.config.compose import compose
from reglab.execution.attempt import Outcome
from reglab.schema.errors import ConfigError
from reglab.stopping import Stopped
from reglab.study.closing import ParentRun, check_baseline, check_metric, closing, print_unfinished
from reglab.tracking import parent
from reglab.tracking.store import open_store


def test_a_metric_must_be_of_the_task_kind_of_a_run() -> None:
    classification, regression = compose(["data=digits"]), compose(["data=diabetes"])
    check_metric(None, [classification])
    check_metric("test/loss", [classification, regression])
    check_metric("test/rmse", [classification, regression])
    with pytest.raises(ConfigError) as refused:
        check_metric("test/rmse", [classification], "study.metric")
    assert (refused.value.key, refused.value.value) == ("study.metric", "test/rmse")
    assert "regression" in refused.value.problem
    assert "classification" in refused.value.problem


@pytest.mark.parametrize(
    ("metric", "fraction"), [("test/accuracy", "test_fraction"), ("best/val/loss", "val_fraction")]
)
def test_a_metric_needs_rows(metric: str, fraction: str) -> None:
    without, with_rows = compose(["data=digits", f"data.{fraction}=0"]), compose(["data=digits"])
    check_metric(metric, [without, with_rows])
    with pytest.raises(ConfigError, match=f"data.{fraction}=0") as refused:
        check_metric(metric, [without])
    assert refused.value.key == "metric"


def test_a_baseline_is_a_strategy_or_an_entry_of_the_leaderboard() -> None:
    strategies = {"l2", "dropout(p=0.3)"}
    for baseline in ("none", "l2", "dropout", "dropout(p=0.3)"):
        check_baseline(baseline, strategies)
    with pytest.raises(ConfigError, match="did you mean dropout") as refused:
        check_baseline("dropuot", strategies)
    assert refused.value.key == "baseline"


@pytest.mark.parametrize(
    ("error", "status"), [(None, "FINISHED"), (ValueError("broken"), "FAILED"), (Stopped(15), "KILLED")]
)
def test_the_parent_is_closed_with_the_status_of_the_block(
    store_uri: str, error: BaseException | None, status: str
) -> None:
    store = open_store(store_uri, "exp")
    run = ParentRun("mine", "sweep")

    def work() -> None:
        with closing(store, run):
            parent.enter(store, "mine", [])  # the id is not known yet: found by its name
            if error is not None:
                raise error
            run.status = "FINISHED"

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    run_id = parent.find(store, "mine")
    assert run_id is not None
    assert store.client.get_run(run_id).info.status == status
    assert not run.store_lost


def test_failed_and_missing_runs_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    print_unfinished([], 0, 4)
    assert capsys.readouterr().out == ""
    print_unfinished([Outcome("hash", "l2 seed=0", error="out of memory")], 2, 4)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("1 of 4 runs failed")
    assert "l2 seed=0  out of memory  run none" in lines[1]
    assert lines[2].startswith("2 of 4 runs")
