"""The best run of an experiment: validation chooses, never the test."""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.inference.one_text import of_the_last
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import direction_of, validation_twins
from reglab.schema.suggest import did_you_mean
from reglab.tasks import LanguageModeling
from reglab.tracking import queries
from reglab.tracking.queries import Record
from reglab.tracking.store import Store

_METRICS = {
    "classification": "test/accuracy",
    "regression": "test/rmse",
    LanguageModeling.kind: "test/bits_per_character",
}


@dataclass(frozen=True)
class Best:
    """The best of the runs that can be compared.

    Attributes:
        record: the run, the earliest of equals.
        metric: the validation metric that chose it.
        others: of a decoder what else there are texts of, whose runs were left out.
    """

    record: Record
    metric: str
    others: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """What to say behind it where runs were left out."""
        if not self.others:
            return ""
        return f"; the best on the text trained last (run_id= takes one of another: {_some(self.others)})"


def best_decoder(store: Store) -> Best:
    """The best finished language model of the text that was trained last, by `best_run`'s metric.

    Raises:
        ConfigError: the experiment holds none, or none that was validated.
    """
    finished = queries.runs(store, status="FINISHED", tags={"task": LanguageModeling.kind})
    if not finished:
        raise ConfigError(
            Setting("run_id", None),
            f"the experiment {store.experiment} holds no finished language model",
            'make one: make train ARGS="experiment=decoder"',
        )
    return _best(finished, None, finished[-1].tags["data"])


def best_run(store: Store, metric: str | None = None, data: str | None = None) -> Best:
    """The best finished run; of runs on text, that of the text that was trained last.

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
            Setting("run_id", None),
            f"the experiment {store.experiment} holds no finished run",
            "make one: make train, or name another tracking.experiment",
        )
    if data is not None and data not in names:
        raise ConfigError(
            Setting("data.name", data),
            f"the experiment {store.experiment} holds no finished run on "
            f"it{did_you_mean(data, names) or f' (it has {_some(names)})'}",
        )
    if data is None and len(names) > 1:
        raise ConfigError(
            Setting("run_id", None),
            f"the experiment {store.experiment} holds runs on {_some(names)}, and none is the best across data sets",
            f"choose one, as in data.name={names[0]}, or give run_id",
        )
    here = [record for record in finished if record.tags.get("data") == (data or names[0])]
    return _best(here, metric, data or names[0])


def _best(records: list[Record], metric: str | None, data: str) -> Best:
    kind = records[-1].tags.get("task", "")
    candidates = validation_twins(metric or _METRICS.get(kind, "test/loss"))
    candidates += () if metric else validation_twins("test/loss")
    judged = [record for record in records if any(twin in record.metrics for twin in candidates)]
    others: tuple[str, ...] = ()
    if judged and kind == LanguageModeling.kind:
        judged, others = of_the_last(judged)
    for twin in candidates:
        told = [record for record in judged if twin in record.metrics]
        if told and kind == LanguageModeling.kind and not twin.endswith("/bits_per_character"):
            told, left = of_the_last(told, tokens=True)
            others = tuple(sorted({*others, *left}))
        if told:
            sign = -1.0 if direction_of(twin) == "max" else 1.0
            return Best(min(told, key=lambda record: sign * record.metrics[twin]), twin, others)
    raise ConfigError(
        f"run_id=null: no finished run on {data} has {candidates[0]}, which would choose the best; give run_id"
        + (f", or another metric than {metric}" if metric else "")
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
