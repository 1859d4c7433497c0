"""What a crowd of tracked runs costs whoever works among them: a search, planning and resume of a study, a report.

Each is a process of its own, imports included. Planning reads all runs, so what counts is its time beyond a process
that reads them with MLflow's client and does nothing else. Runs are tracked in the same store.
"""

import json
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.child import Cost, measured
from benchmarks.crowd import CROWD, Crowd, fill

STUDY = (sys.executable, "pipelines/study.py", "dry_run=true", "workers=2")
# The run whose tracking is measured: small steps, so that many epochs and their metrics fit into its seconds.
TRAINED = ("data=digits", "data.train_size=1000", "data.batch_size=35")
SECONDS = 5.0  # of training


def measure(rounds: int, crowd: Crowd = CROWD) -> dict[str, Any]:
    """Medians over rounds: seconds and MB of each process, and the share of tracking in a run.

    Args:
        rounds: each does everything once; the store is made once.
        crowd: what the store holds.
    """
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder, "mlflow.db")
        fill(database, crowd)
        return of_store(database, crowd, rounds)


def of_store(database: Path, crowd: Crowd, rounds: int, seconds: float = SECONDS) -> dict[str, Any]:
    """The same on a store that is there; the runs whose tracking is measured are added to it, none twice."""
    uri = f"tracking.uri=sqlite:///{database}"
    commands = {
        "search": [sys.executable, "benchmarks/search.py", uri.partition("=")[2], "reglab"],
        "plan_none_done": [*STUDY, uri, *crowd.study(version=2)],
        "plan_all_done": [*STUDY, uri, *crowd.study()],
        "report": [sys.executable, "pipelines/report.py", uri, f"report.dir={database.parent / 'report'}"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    shares = []
    for number in range(rounds):
        for name, command in commands.items():
            costs[name].append(measured(command))
        seed = str(3 * number + 1_000_000)
        tracked = measured([sys.executable, "-m", "benchmarks.tracking_share", seed, str(seconds), uri, *TRAINED])
        shares.append(json.loads(tracked.output))
    alone = statistics.median(json.loads(cost.output)["seconds"] for cost in costs["search"])
    return {
        "runs": json.loads(costs["search"][0].output)["runs"],
        "study_runs": crowd.study_runs,
        **{f"{name}_left": _left(some[0]) for name, some in costs.items() if name.startswith("plan")},
        "search_alone_s": alone,
        **{f"{name}_s": statistics.median(cost.seconds for cost in some) for name, some in costs.items()},
        **{f"{name}_cpu_s": statistics.median(cost.cpu for cost in some) for name, some in costs.items()},
        **{f"{name}_mb": max(cost.peak_mb for cost in some) for name, some in costs.items()},
        **{name: statistics.median(share[name] for share in shares) for name in shares[0]},
    }


def _left(plan: Cost) -> int:
    """How many runs a plan says are to be done."""
    (found,) = re.findall(r"(\d+) runs? left for", plan.output + plan.told)
    return int(found)
