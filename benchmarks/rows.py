"""Rows of a run in MLflow's sqlite tables: read once, written thousands of times."""

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
_EVERY_MS = 20_000  # one run after the other


def train_template(uri: str, epochs: int) -> str:
    """Trains one real run into a new store at `uri`; its id."""
    return run(compose([f"trainer.max_epochs={epochs}", f"tracking.uri={uri}"])).run_id


@dataclass(frozen=True)
class Template:
    """All rows of one run, by table."""

    rows: Mapping[str, list[Row]]

    @classmethod
    def read(cls, database: Path, run_id: str) -> "Template":
        """The rows of a run."""
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

    def told(self, tags: Mapping[str, str]) -> dict[str, float]:
        """The last metrics that a copy with these tags has."""
        return {row["key"]: _moved(row, tags) for row in self.rows["latest_metrics"]}


class Copier:
    """A context manager: copies of a template in one transaction, each started some seconds after the one before.

    Args:
        database: sqlite, of MLflow's schema.
        template: what is copied.
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
        """One more run, FINISHED, with these tags and params and the template's others; returns its id."""
        self._copies += 1
        run_id, later = uuid.uuid4().hex, self._copies * _EVERY_MS
        rows, own = self._template.rows, {"run_uuid": run_id}
        (run,) = rows["runs"]
        named = (
            {row["key"]: row["value"] for row in rows["tags"]} | dict(tags) | _proof(tags) | {"mlflow.runName": name}
        )
        times = {key: run[key] + later for key in ("start_time", "end_time")}
        place = run["artifact_uri"].replace(run["run_uuid"], run_id)
        self._insert("runs", [run | own | times | {"name": name, "artifact_uri": place}])
        self._insert("tags", [{"key": key, "value": value} | own for key, value in named.items()])
        self._insert("params", [{"key": key, "value": str(value)} | own for key, value in params.items()])
        for table in ("metrics", "latest_metrics"):
            moved = [
                row | own | {"value": _moved(row, tags), "timestamp": row["timestamp"] + later} for row in rows[table]
            ]
            self._insert(table, moved)
        return run_id

    def _insert(self, table: str, rows: list[Row]) -> None:
        if rows:
            columns = ",".join(rows[0])
            values = ",".join("?" * len(rows[0]))
            self._connection.executemany(
                f"INSERT INTO {table} ({columns}) VALUES ({values})", [tuple(row.values()) for row in rows]
            )


def _moved(row: Row, tags: Mapping[str, str]) -> float:
    """The template's value with noise of 1 % that the run's identity decides, and 1 % that its setting does."""
    name, value = row["key"], float(row["value"])
    if name.startswith("model/parameters") or name in ("best/step", "time/epochs"):
        return value
    noise = sum(
        random.Random(f"{name.rpartition('/')[2]} {row['step']} {text}").uniform(-0.01, 0.01)
        for text in (tags["config_hash"], tags["cell"])
    )
    return value * (0.97 + noise)


def _proof(tags: Mapping[str, str]) -> dict[str, str]:
    """Hashes that are equal across strategies for one seed of a setting, as those of real runs are."""
    return {
        f"{what}_hash": hashlib.sha256(f"{what} {tags['setting']} {tags['seed']}".encode()).hexdigest()[:16]
        for what in ("split", "order", "init")
    }
