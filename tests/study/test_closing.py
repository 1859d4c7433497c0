"""The status with which a parent run is closed, and the lines about unfinished runs."""

import pytest

from reglab.execution.attempt import Outcome
from reglab.stopping import Stopped
from reglab.study.closing import ParentRun, closing, print_unfinished
from reglab.tracking import parent
from reglab.tracking.store import open_store


@pytest.mark.slow
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
            parent.open_parent(store, "mine", [])  # without its id the parent is looked up by name
            if error is not None:
                raise error
            run.status = "FINISHED"

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    run_id = parent.find_parent(store, "mine")
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
