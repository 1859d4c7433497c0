"""Help on the keys of each pipeline, as printed by ``--help``, and synonyms of the keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reglab.schema.text import format_value


@dataclass(frozen=True)
class Help:
    """Help on a key.

    Args:
        text: meaning of the key, with that of null in parentheses. Defaults are read from ``conf/``.
        synonyms: names that users type instead.
        example: value shown in the list, as in ``dry_run=true``.
    """

    text: str
    synonyms: tuple[str, ...] = ()
    example: str = ""


_URI = {"tracking.uri": Help("the tracking store (null: mlflow.db in the project)")}
_EXPERIMENT = {"tracking.experiment": Help("the experiment with the runs"), **_URI}
_ANY_EXPERIMENT = {"tracking.experiment": Help("the experiment of the run (null: any)"), **_URI}
_BEST_OF = {"tracking.experiment": Help("the experiment to search for the best run"), **_URI}
_RUN_PATH_HELP = "the run's file or folder, which must be typed again to be read; its content is compared"
_FILES = {f"data.{key}": Help(_RUN_PATH_HELP) for key in ("path", "root", "tokenizer", "cache")}
_TYPED_AGAIN = {
    "model.target": Help("the class of your own network, which must be typed again to be run: my_net.Net"),
    "model.args": Help("arguments of model.target, if they name files"),
    "model.path": Help("the folder of a pretrained decoder, if the run started from one"),
}
_CODE = {"code": Help("changed: accept other code than the run was trained with")}

HELP: dict[str, dict[str, Help]] = {
    "train": {
        "regularizer.<name>.<strength>": Help("strength of a chosen regularizer"),
        "seed": Help("split, initial weights, batch order, label noise"),
        "data.train_size": Help("training rows kept (null: all)"),
        "data.label_noise": Help("share of training rows with a wrong label"),
        "data.batch_size": Help("rows of a training batch (null: full batch)"),
        "model.hidden_sizes": Help("units of each hidden layer"),
        "optimizer.lr": Help("learning rate", ("learning_rate",)),
        "trainer.max_epochs": Help("passes over the training rows", ("passes", "epochs")),
        **_URI,
    },
    "study": {
        "dry_run": Help("check data and models, print the plan, and train nothing", example="true"),
        "workers": Help("processes that train at once (null: as many as there are cores)", ("processes",)),
        "seeds": Help("confirmation seeds; a larger number later adds only the missing ones"),
        "study.strategies": Help("the compared strategies, as in [none,l2,dropout+l2]"),
        "study.trials": Help("trials of each strategy, each a point of its search space"),
        "study.space": Help("search ranges, as in study.space.optimizer.lr.high=1e-2"),
        "study.common": Help("overrides of all runs, as in study.common.trainer.max_epochs=30"),
        "study.metric": Help("the compared metric"),
        "study.version": Help("version of the definition; a new number starts a new study of the same name"),
        **_URI,
    },
    "report": {
        "metric": Help("the compared metric (null: that of the kind of task, such as test/accuracy)"),
        "direction": Help("max or min (null: the metric's)"),
        "baseline": Help("the strategy that others are compared with"),
        "sweep": Help("the runs that a sweep or study declared (null: all of the experiment)"),
        "filter": Help("MLflow's filter language, for runs without a sweep"),
        "select_by": Help("the metric that selects strengths (null: the metric's validation counterpart)"),
        "force": Help("true: allow selection by a test metric; the headline mentions it"),
        "report.dir": Help("folder of the report (null: reports/<sweep or experiment>)"),
        **_EXPERIMENT,
    },
    "status": {"name": Help("one sweep or study (null: all of the experiment)"), **_EXPERIMENT},
    "rerun": {"run_id": Help("the tracked run"), **_TYPED_AGAIN, **_FILES, **_CODE, **_ANY_EXPERIMENT},
    "evaluate": {
        "run_id": Help("a finished run with dropout; not of a language model"),
        "mc_dropout": Help("passes over the test part with dropout on", ("passes",)),
        "seed": Help("seed of the dropout masks"),
        **_TYPED_AGAIN,
        **_FILES,
        **_CODE,
        **_ANY_EXPERIMENT,
    },
    "export": {
        "run_id": Help("a finished run (null: the best of the experiment)"),
        "register": Help("a name in MLflow's registry (null: the model is logged on its run only)"),
        "metric": Help("the metric whose validation counterpart selects the best run (null: that of the kind of task)"),
        "data.name": Help("the data set of the best run, if the experiment has several"),
        **_TYPED_AGAIN,
        **_FILES,
        **_CODE,
        **_BEST_OF,
    },
    "generate": {
        "prompt": Help("the beginning of the text; everything after the = is taken literally"),
        "run_id": Help("a tracked decoder (null: the best of the experiment on the text trained last)"),
        "max_new_tokens": Help("maximum number of tokens to generate"),
        "temperature": Help("0: always the most likely token; 1: sampled from the model's distribution"),
        "top_k": Help("sample among this many most likely tokens (null: all)"),
        "top_p": Help("sample among the most likely tokens with this total probability (null: all)"),
        "generation.seed": Help("seed of the sampled tokens"),
        "cache": Help("keep keys and values of earlier tokens"),
        "train_mode": Help("true: several passes with dropout on, and the spread of the next token"),
        "passes": Help("number of passes with train_mode=true"),
        "threads": Help("number of torch's threads"),
        **_TYPED_AGAIN,
        **_CODE,
        **_BEST_OF,
    },
    "ui": {
        "ui.port": Help("port on 127.0.0.1; another one if it is in use"),
        "ui.open": Help("true: open the page in your browser"),
        **_EXPERIMENT,
    },
}
"""Help on keys by pipeline. Those of train and study are the most used ones, the others are complete."""

_LONGEST_DEFAULT = 20  # characters

PARTIAL = ("train", "study")
"""Pipelines whose list leaves keys out."""


def list_of_keys(pipeline: str, defaults: Mapping[str, Any]) -> str:
    """Return the section on keys of a pipeline's ``--help``.

    Args:
        pipeline: a key of `HELP`.
        defaults: values of keys in the pipeline's config.
    """
    entries = {}
    for key, one in HELP[pipeline].items():
        default = format_value(defaults.get(key))
        shown = 0 < len(default) <= _LONGEST_DEFAULT and default not in ("null", "false") and "$" not in default
        example = f"={one.example}" if one.example else ""
        entries[key + example] = one.text + (f" (default: {default})" if shown else "")
    width = max(map(len, entries)) + 2
    lines = [f"  {key:<{width}}{text}" for key, text in entries.items()]
    return "\n".join(["Most used keys" if pipeline in PARTIAL else "Keys", *lines])
