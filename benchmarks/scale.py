"""Cost of commands on a store of many runs: a search, planning and resuming a study, a report.

Each command is a separate process, imports included. Planning reads all runs, so its cost is the time beyond that of a
process which only reads them with MLflow's client. The run whose share of tracking is measured uses the same store.
"""

import json
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.child import Cost, measure_command
from benchmarks.synthetic_store import LARGE_STORE, SyntheticRuns, fill_store

STUDY = (sys.executable, "pipelines/study.py", "dry_run=true", "workers=2")
# Run whose tracking is measured: fast steps, so that its few seconds contain many epochs with metrics.
TRAINED = ("data=digits", "data.train_size=1000", "data.batch_size=35")
SECONDS = 5.0  # of training


def measure(rounds: int, contents: SyntheticRuns = LARGE_STORE) -> dict[str, Any]:
    """Return medians over rounds: seconds and MB of each process, and the share of tracking in a run.

    Args:
        rounds: number of measurements; the store is created once.
        contents: runs in the store.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "mlflow.db")
        fill_store(database, contents)
        return measure_on_store(database, contents, rounds)


def measure_on_store(database: Path, contents: SyntheticRuns, rounds: int, seconds: float = SECONDS) -> dict[str, Any]:
    """Measure on an existing store, as `measure` does; the runs whose tracking is measured are added to it."""
    uri = f"tracking.uri=sqlite:///{database}"
    commands = {
        "search": [sys.executable, "benchmarks/search.py", uri.partition("=")[2], "reglab"],
        "plan_none_done": [*STUDY, uri, *contents.study(version=2)],
        "plan_all_done": [*STUDY, uri, *contents.study()],
        "report": [sys.executable, "pipelines/report.py", uri, f"report.dir={database.parent / 'report'}"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    shares = []
    for number in range(rounds):
        for name, command in commands.items():
            costs[name].append(measure_command(command))
        seed = str(3 * number + 1_000_000)
        tracked = measure_command(
            [sys.executable, "-m", "benchmarks.tracking_share", seed, str(seconds), uri, *TRAINED]
        )
        shares.append(json.loads(tracked.output))
    alone = statistics.median(json.loads(cost.output)["seconds"] for cost in costs["search"])
    return {
        "runs": json.loads(costs["search"][0].output)["runs"],
        "study_runs": contents.study_runs,
        **{f"{name}_left": _runs_left(values[0]) for name, values in costs.items() if name.startswith("plan")},
        "search_alone_s": alone,
        **{f"{name}_s": statistics.median(cost.seconds for cost in values) for name, values in costs.items()},
        **{f"{name}_cpu_s": statistics.median(cost.cpu for cost in values) for name, values in costs.items()},
        **{f"{name}_mb": max(cost.peak_mb for cost in values) for name, values in costs.items()},
        **{name: statistics.median(share[name] for share in shares) for name in shares[0]},
    }


def _runs_left(plan: Cost) -> int:
    """Return the number of unfinished runs that a plan printed."""
    (number,) = re.findall(r"(\d+) runs? left for", plan.output + plan.stderr)
    return int(number)
