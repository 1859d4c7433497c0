"""Copy the rows of a run in MLflow's sqlite tables."""

import hashlib
import random
import sqlite3
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from reglab.config.compose import compose
from reglab.training.run import run

Row = dict[str, Any]
_TABLES = ("runs", "tags", "params", "metrics", "latest_metrics")
_INTERVAL_MS = 20_000  # between the start times of two copies


def train_template(uri: str, epochs: int) -> str:
    """Train one run, tracked in a new store at `uri`, and return its id."""
    return run(compose([f"trainer.max_epochs={epochs}", f"tracking.uri={uri}"])).run_id


@dataclass(frozen=True)
class Template:
    """All rows of one run, by table."""

    rows: Mapping[str, list[Row]]

    @classmethod
    def read(cls, database: Path, run_id: str) -> "Template":
        """Read the rows of a run."""
        with sqlite3.connect(database) as connection:
            connection.row_factory = sqlite3.Row
            return cls(
                {
                    table: [
                        dict(row) for row in connection.execute(f"SELECT * FROM {table} WHERE run_uuid=?", [run_id])
                    ]
                    for table in _TABLES
                }
            )

    def final_metrics(self, tags: Mapping[str, str]) -> dict[str, float]:
        """Return the latest value of every metric of a copy with these tags."""
        return {row["key"]: _perturbed_value(row, tags) for row in self.rows["latest_metrics"]}


class Copier:
    """Context manager that writes copies of a template in one transaction, 20 s apart by their start times.

    Args:
        database: sqlite file with MLflow's schema.
        template: the rows to copy.
    """

    def __init__(self, database: Path, template: Template) -> None:
        self._connection = sqlite3.connect(database)
        self._connection.execute("PRAGMA cache_size=-200000")
        self._template = template
        self._copies = 0

    def __enter__(self) -> "Copier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._connection.commit()
        self._connection.close()

    def copy(self, name: str, tags: Mapping[str, str], params: Mapping[str, object]) -> str:
        """Write a FINISHED run with these params, and these tags added to the template's; return its id."""
        self._copies += 1
        run_id, later = uuid.uuid4().hex, self._copies * _INTERVAL_MS
        rows, own = self._template.rows, {"run_uuid": run_id}
        (run,) = rows["runs"]
        all_tags = (
            {row["key"]: row["value"] for row in rows["tags"]}
            | dict(tags)
            | _hash_tags(tags)
            | {"mlflow.runName": name}
        )
        times = {key: run[key] + later for key in ("start_time", "end_time")}
        artifact_uri = run["artifact_uri"].replace(run["run_uuid"], run_id)
        self._insert("runs", [run | own | times | {"name": name, "artifact_uri": artifact_uri}])
        self._insert("tags", [{"key": key, "value": value} | own for key, value in all_tags.items()])
        self._insert("params", [{"key": key, "value": str(value)} | own for key, value in params.items()])
        for table in ("metrics", "latest_metrics"):
            copies = [
                row | own | {"value": _perturbed_value(row, tags), "timestamp": row["timestamp"] + later}
                for row in rows[table]
            ]
            self._insert(table, copies)
        return run_id

    def _insert(self, table: str, rows: list[Row]) -> None:
        if rows:
            columns = ",".join(rows[0])
            values = ",".join("?" * len(rows[0]))
            self._connection.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({values})", [tuple(row.values()) for row in rows]
            )


def _perturbed_value(row: Row, tags: Mapping[str, str]) -> float:
    """Return the template's value with up to 1 % of noise drawn from the run's identity and 1 % from its setting."""
    name, value = row["key"], float(row["value"])
    if name.startswith("model/parameters") or name in ("best/step", "time/epochs"):
        return value
    noise = sum(
        random.Random(f"{name.rpartition('/')[2]} {row['step']} {text}").uniform(-0.01, 0.01)
        for text in (tags["config_hash"], tags["cell"])
    )
    return value * (0.97 + noise)


def _hash_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return hashes of split, order and initial weights: equal across strategies for one seed, as in real runs."""
    return {
        f"{part}_hash": hashlib.sha256(f"{part} {tags['setting']} {tags['seed']}".encode()).hexdigest()[:16]
        for part in ("split", "order", "init")
    }
