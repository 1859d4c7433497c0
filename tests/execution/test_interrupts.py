"""Interrupts of a sweep in several processes: a dead worker, SIGTERM, resuming (SIGKILL: test_study_interrupts.py)."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from reglab.paths import PROJECT
from tests.conftest import fresh_store
from tests.execution.sweeps import TINY, children, output_overrides, parent, sweep, worker_processes
from tests.processes import Process

SWEEP = ["regularizer=none,dropout", "seed=range(5)", "trainer.max_epochs=8"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


class StartedSweep:
    """A sweep with two joblib workers in its own process group."""

    def __init__(self, folder: Path) -> None:
        launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
        pipeline = PROJECT / "pipelines" / "train.py"
        self.main = Process(pipeline, "-m", *launcher, *TINY, *output_overrides(folder), *SWEEP, cwd=folder)
        self.lines: list[str] = []

    def until_a_run_ends(self) -> list[psutil.Process]:
        """Wait for the next line of a run and return the descendants of the sweep's process."""
        while not self.line().startswith("["):
            pass
        return psutil.Process(self.main.pid).children(recursive=True)

    def line(self) -> str:
        """Return the next line of output."""
        line = self.main.stdout.readline()
        assert line, "ended early:\n" + "".join(self.lines)
        self.lines.append(line)
        return line

    def end(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and the remaining output."""
        output = self.main.communicate()
        return self.main.wait(), output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    fresh_store(empty_database, folder)
    return folder


@pytest.fixture
def started(folder: Path) -> Iterator[StartedSweep]:
    process = StartedSweep(folder)
    yield process
    process.main.kill()
    process.main.wait()


def statuses(folder: Path) -> set[str]:
    return {record.status for record in children(folder)}


def processes_end(processes: list[psutil.Process], within: float) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=within)
    return not alive


def test_other_workers_continue_after_a_death_and_sigterm_ends_all(folder: Path, started: StartedSweep) -> None:
    processes = started.until_a_run_ends()
    worker_processes(started.main.pid)[0].kill()
    while not started.line().startswith("a worker process died"):
        pass
    processes += started.until_a_run_ends()
    assert statuses(folder) <= {"FINISHED", "KILLED", "RUNNING"}
    started.main.terminate()
    code, after = started.end()
    assert code == 143
    assert processes_end(processes, within=10)
    done = sum(record.status == "FINISHED" for record in children(folder))
    assert done >= 2
    output = f"stopped by SIGTERM: {done} of 10 runs are finished; the same command resumes here"
    waits = ("[", "waiting for ")  # for the lock of another worker that opens its run
    assert [line for line in after.splitlines() if not line.startswith(waits)] == [output]
    assert statuses(folder) <= {"FINISHED", "KILLED"}
    assert parent(folder).status == "KILLED"


@pytest.mark.usefixtures("store_uri")
def test_the_interrupted_sweep_resumes_with_the_metrics_of_one_process(folder: Path, tmp_path: Path) -> None:
    parallel = metrics_by_identity(folder)
    assert sweep(folder, *SWEEP) == 0
    assert len(metrics_by_identity(folder)) == 10
    assert parent(folder).status == "FINISHED"
    assert sweep(tmp_path, *SWEEP, "seed=0") == 0
    single = metrics_by_identity(tmp_path)
    common = single.keys() & parallel.keys()
    assert common
    assert {identity: single[identity] for identity in common} == {i: parallel[i] for i in common}


def metrics_by_identity(folder: Path) -> dict[str, dict[str, float]]:
    """Return the metrics of FINISHED runs by identity; assert that none was trained twice."""
    done = [record for record in children(folder) if record.status == "FINISHED"]
    by_identity = {
        record.tags["config_hash"]: {k: v for k, v in record.metrics.items() if not k.startswith("time/")}
        for record in done
    }
    assert len(by_identity) == len(done)
    return by_identity
