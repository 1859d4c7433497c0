"""Run sweeps of tiny runs through the real sweeper, tracked in a temporary store."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.types import HydraContext, RunMode

from reglab.cli import HydraBypass
from reglab.paths import CONF
from reglab.tracking import queries
from reglab.tracking.store import Store, open_store

TINY = ["data=digits", "model.hidden_sizes=[8]", "trainer.max_epochs=1", "tracking.weights=none"]


@contextmanager
def composed(overrides: Sequence[str], config_name: str = "train") -> Iterator[tuple[Any, HydraContext]]:
    """Yield the config of a multirun and the `HydraContext` that Hydra passes to its sweeper."""
    with initialize_config_dir(str(CONF), job_name=config_name, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration(config_name, list(overrides), RunMode.MULTIRUN)
        yield config, HydraContext(loader, Callbacks(config))


def run_sweeper(overrides: Sequence[str], config_name: str = "train") -> int:
    """Run the sweeper of a multirun in this process, as Hydra does; return its exit code.

    Raises:
        ConfigError: the error that the command line would print.
    """
    with composed(overrides, config_name) as (config, context):
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=context, task_function=_task_function, config=config
        )
        try:
            sweeper.sweep(list(config.hydra.overrides.task))
        except SystemExit as end:
            return int(str(end.code))
        except HydraBypass as carried:
            raise carried.error from None
    return 0


def output_overrides(folder: Path) -> list[str]:
    """Return overrides with which a sweep writes only into a folder."""
    return [f"tracking.uri=sqlite:///{folder}/mlflow.db", f"report.dir={folder}/report"]


def sweep(folder: Path, *overrides: str, base: Sequence[str] = TINY) -> int:
    """Run a sweep of tiny runs; see `run_sweeper`."""
    return run_sweeper([*base, *output_overrides(folder), *overrides])


def store(folder: Path) -> Store:
    """Open the store of the sweeps in a folder."""
    return open_store(f"sqlite:///{folder}/mlflow.db", "reglab")


def children(folder: Path) -> list[queries.Record]:
    """Return all runs except parent runs, oldest first."""
    return [record for record in queries.runs(store(folder)) if record.tags["phase"] != "parent"]


def parent(folder: Path) -> queries.Record:
    """Return the only parent run."""
    (record,) = queries.runs(store(folder), tags={"phase": "parent"})
    return record


def worker_processes(pid: int) -> list[psutil.Process]:
    """Return the worker processes of a sweep, which its fork server started."""
    workers = []
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):  # it may have ended
            if "multiprocessing.forkserver" in " ".join(child.cmdline()) and child.ppid() != pid:
                workers.append(child)
    return workers


def _task_function(_config: Any) -> None:
    raise AssertionError("the sweeper places runs itself")
