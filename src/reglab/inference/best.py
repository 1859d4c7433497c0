"""The best run of an experiment: validation chooses, never the test."""

from reglab.config.metrics import guess_direction, validation_twins
from reglab.config.suggest import did_you_mean
from reglab.errors import ConfigError
from reglab.tracking import queries
from reglab.tracking.queries import Record
from reglab.tracking.store import Store

_METRICS = {
    "classification": "test/accuracy",
    "regression": "test/rmse",
    "language modeling": "test/bits_per_character",
}


def best_run(store: Store, metric: str | None = None, data: str | None = None) -> tuple[Record, str]:
    """The best finished run, the earliest of equals; and the validation metric that chose it.

    Args:
        store: the experiment.
        metric: whose validation twin chooses; None: accuracy of classes, rmse of numbers, bits per character of text.
        data: the data set's name; None: the experiment has one alone.

    Raises:
        ConfigError: nothing finished, several data sets and none named, or no run that was validated by the metric.
    """
    finished = [r for r in queries.runs(store, status="FINISHED") if r.tags.get("phase") != "parent"]
    names = sorted({record.tags["data"] for record in finished if "data" in record.tags})
    if not names:
        raise ConfigError(
            f"run_id=null: the experiment {store.experiment} holds no finished run; make one: make train, or name "
            "another tracking.experiment"
        )
    if data is not None and data not in names:
        raise ConfigError(
            f"data.name={data}: the experiment {store.experiment} holds no finished run on it"
            f"{did_you_mean(data, names) or f' (it has {_some(names)})'}"
        )
    if data is None and len(names) > 1:
        raise ConfigError(
            f"run_id=null: the experiment {store.experiment} holds runs on {_some(names)}, and none is the best across "
            f"data sets; choose one, as in data.name={names[0]}, or give run_id"
        )
    here = [record for record in finished if record.tags.get("data") == (data or names[0])]
    return _best(here, metric, data or names[0])


def _best(records: list[Record], metric: str | None, data: str) -> tuple[Record, str]:
    wanted = metric or _METRICS.get(records[-1].tags.get("task", ""), "test/loss")
    candidates = validation_twins(wanted) + (() if metric else validation_twins("test/loss"))
    for twin in candidates:
        told = [record for record in records if twin in record.metrics]
        if told:
            sign = -1.0 if guess_direction(twin) == "max" else 1.0
            return min(told, key=lambda record: sign * record.metrics[twin]), twin
    raise ConfigError(
        f"run_id=null: no finished run on {data} has {candidates[0]}, which would choose the best; give run_id"
        + (f", or another metric than {metric}" if metric else "")
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
