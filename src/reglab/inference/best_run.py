"""Choose the best run of an experiment by validation, never by the test.

Language models are compared only if they were validated on the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import direction_of, validation_counterparts
from reglab.schema.suggest import did_you_mean
from reglab.schema.task_kinds import TASK_KINDS
from reglab.tasks import LanguageModeling
from reglab.tracking import queries
from reglab.tracking.queries import Record
from reglab.tracking.store import Store
from reglab.tracking.values import json_object

FIRST_DECODER = 'train a decoder: make train ARGS="experiment=decoder"'
"""The remedy for experiments without language models."""

_METRICS = {kind.name: f"test/{kind.choose_by}" for kind in TASK_KINDS.values()}
_TOKENS = {"data.tokenizer", "data.vocab_size"}
# Settings of language modeling that do not change which characters are used for validation.
_TRAINING = {"data.context_length", "data.train_size", "data.batch_size", "data.label_noise"}


@dataclass(frozen=True)
class Best:
    """The best of the runs that can be compared.

    Attributes:
        record: the run; of equally good runs the earliest.
        metric: the validation metric by which it was chosen.
        others: for language models, names of other texts, whose runs were left out.
    """

    record: Record
    metric: str
    others: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """A note on runs that were left out; empty if there are none."""
        if not self.others:
            return ""
        return (
            f"; the best run on the text of the latest run (for another text set run_id: {_first_names(self.others)})"
        )


def best_decoder(store: Store) -> Best:
    """Return the best finished language model on the text of the latest run, by the metric of `best_run`.

    Raises:
        ConfigError: the experiment has none, or none that was validated.
    """
    finished = queries.runs(store, status="FINISHED", tags={"task": LanguageModeling.kind})
    if not finished:
        raise ConfigError(
            Setting("run_id", None),
            f"the experiment {store.experiment} has no finished language model",
            FIRST_DECODER,
        )
    return _best(finished, None, finished[-1].tags["data"])


def best_run(store: Store, metric: str | None = None, data: str | None = None) -> Best:
    """Return the best finished run; for language models, the best one on the text of the latest run.

    Args:
        store: the experiment.
        metric: test metric whose validation metric selects; None: accuracy, rmse, or bits per character.
        data: the data set's name; None: the experiment has a single one.

    Raises:
        ConfigError: nothing finished, several data sets and none named, or no run that was validated by the metric.
    """
    finished = [r for r in queries.runs(store, status="FINISHED") if r.tags.get("phase") != "parent"]
    names = sorted({record.tags["data"] for record in finished if "data" in record.tags})
    if not names:
        raise ConfigError(
            Setting("run_id", None),
            f"the experiment {store.experiment} has no finished run",
            "train one: make train, or name another tracking.experiment",
        )
    if data is not None and data not in names:
        raise ConfigError(
            Setting("data.name", data),
            f"the experiment {store.experiment} has no finished run on "
            f"it{did_you_mean(data, names) or f' (it has {_first_names(names)})'}",
        )
    if data is None and len(names) > 1:
        raise ConfigError(
            Setting("run_id", None),
            f"the experiment {store.experiment} has runs on {_first_names(names)}, which cannot be compared",
            f"choose one, as in data.name={names[0]}, or give run_id",
        )
    runs_on_data = [record for record in finished if record.tags.get("data") == (data or names[0])]
    return _best(runs_on_data, metric, data or names[0])


def _best(records: list[Record], metric: str | None, data: str) -> Best:
    kind = records[-1].tags.get("task", "")
    candidates = validation_counterparts(metric or _METRICS.get(kind, "test/loss"))
    candidates += () if metric else validation_counterparts("test/loss")
    validated = [record for record in records if any(name in record.metrics for name in candidates)]
    others: tuple[str, ...] = ()
    if validated and kind == LanguageModeling.kind:
        validated, others = on_latest_text(validated)
    for name in candidates:
        measured = [record for record in validated if name in record.metrics]
        if measured and kind == LanguageModeling.kind and not name.endswith("/bits_per_character"):
            measured, left_out = on_latest_text(measured, tokens=True)
            others = tuple(sorted({*others, *left_out}))
        if measured:
            sign = -1.0 if direction_of(name) == "max" else 1.0
            return Best(min(measured, key=lambda record: sign * record.metrics[name]), name, others)
    raise ConfigError(
        Setting("run_id", None),
        f"no finished run on {data} has {candidates[0]}, by which the best run is selected",
        "give run_id" + (f", or a metric other than {metric}" if metric else ""),
    )


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")


def on_latest_text(decoders: Sequence[Record], *, tokens: bool = False) -> tuple[list[Record], tuple[str, ...]]:
    """Return the runs that were validated on the text of the latest run, and the names of the other texts.

    Args:
        decoders: finished runs, at least one.
        tokens: require the same tokenizer too: for metrics per token.
    """
    last = max(decoders, key=lambda record: record.ended or record.started)
    text = _text(last, tokens)
    same = [record for record in decoders if _text(record, tokens) == text]
    others = {_name_of_text(record, last, tokens) for record in decoders if record not in same}
    return same, tuple(sorted(others))


def _text(record: Record, tokens: bool) -> dict[str, object]:
    """Return the settings that identify a run's text, a file by its content; without the tag, the data set's name."""
    about = json_object(record.tags.get("about"))
    ignored = _TRAINING if tokens else _TRAINING | _TOKENS
    text = {key: value for key, value in about.items() if key.startswith("data.") and key not in ignored}
    return text or {"data.name": record.tags.get("data")}


def _name_of_text(other: Record, last: Record, tokens: bool) -> str:
    name = str(other.tags.get("data"))
    if name != last.tags.get("data"):
        return name
    settings, last_settings = _text(other, tokens), _text(last, tokens)
    keys = sorted(settings.keys() | last_settings.keys())
    return f"{name} with other {', '.join(key for key in keys if settings.get(key) != last_settings.get(key))}"
