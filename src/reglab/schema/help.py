"""Help on the keys of each pipeline, as printed by ``--help``, and synonyms of the keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reglab.schema.text import format_value


@dataclass(frozen=True)
class Help:
    """Help on a key.

    Args:
        text: meaning of the key, with that of null in parentheses. Defaults are read from ``conf/``. Code may be in
            backticks, which the reference keeps and ``--help`` leaves out.
        synonyms: names that users type instead.
        example: value shown in the list, as in ``dry_run=true``.
    """

    text: str
    synonyms: tuple[str, ...] = ()
    example: str = ""


_URI = {"tracking.uri": Help("the tracking store (null: mlflow.db in the project)")}
_OF_MLFLOW = {"tracking.experiment": Help("the MLflow experiment"), **_URI}
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
_DIRECTION = Help("max or min (null: the metric's)")
_BASELINE = Help("the strategy that others are compared with")
_RESUME = Help("reuse finished runs with the same identity")

HELP: dict[str, dict[str, Help]] = {
    "train": {
        "seed": Help("split, initial weights, batch order, label noise"),
        "resume": _RESUME,
        "fail_fast": Help("the first failing run ends a sweep"),
        "workers": Help("runs of a sweep that train at once on this machine"),
        "sweep.name": Help("name of the sweep and of its parent run (null: `<data>-<model>`)"),
        "metric": Help("the metric that the report of a sweep compares (null: that of the kind of task)"),
        "direction": _DIRECTION,
        "baseline": _BASELINE,
        "select_by": Help("the metric that chooses among strengths (null: the metric's validation counterpart)"),
        "report.dir": Help("folder of the report (null: `reports/<sweep name>`)"),
        "task.class_weights": Help("classification: weights of the classes in the loss"),
        "task.loss": Help("regression: the loss, on the standardized target (null: squared)"),
        "task.huber_delta": Help(
            "with `task.loss=huber`: the error at which the loss turns from squared to absolute (null: 1)"
        ),
        "data.train_size": Help("training rows kept (null: all)"),
        "data.label_noise": Help("share of training rows with a wrong label"),
        "data.batch_size": Help("rows of a training batch (null: full batch)"),
        "data.val_fraction": Help("share of rows for validation; 0: no validation, and the best weights are the last"),
        "data.test_fraction": Help("share of rows for the test; 0: no test; null: the predefined test rows"),
        "data.split_seed": Help("seed of the split into training, validation and test rows"),
        "data.seed": Help("seed of label noise and batch order"),
        "data.target": Help("column to predict; of `csv` also a list of columns, for multi-label classification"),
        "data.kind": Help("kind of task; `auto`: from the target"),
        "data.standardize": Help("numeric features and a regression target, fitted on the training rows"),
        "data.ignore": Help("columns that are not features"),
        "data.split_column": Help("column that splits the rows"),
        "data.split_by": Help("how it splits them"),
        "data.test_fold": Help("with `split_by=folds`: fold of the test"),
        "data.val_fold": Help("with `split_by=folds`: fold of the validation"),
        "data.path": Help("file, folder, or name in the Hugging Face cache"),
        "data.root": Help("folder with the files"),
        "data.config": Help("name of a subset"),
        "data.image": Help("column of images (null: the only one, or a table if there is none)"),
        "data.size": Help("size that all images are scaled to (null: they have one size)"),
        "data.tokenizer": Help("tokenizer of the text; `characters` and `bpe` are trained on the training part"),
        "data.vocab_size": Help("maximum number of tokens of `bpe`"),
        "data.context_length": Help("tokens of a window"),
        "data.column": Help("column of the texts"),
        "data.id": Help("OpenML's number, in place of `data.name` and `data.version`"),
        "data.version": Help("version of the data set of that name"),
        "data.cache": Help("folder for downloads"),
        "model.channels": Help("channels of each block or stage"),
        "model.kernel_size": Help("side of the convolutions"),
        "model.activation": Help("activation of the hidden layers"),
        "model.norm": Help("normalization of the hidden layers"),
        "model.hidden_sizes": Help("units of each hidden layer"),
        "model.path": Help("folder or name of a pretrained decoder"),
        "model.lora": Help("low-rank adapters, which alone are trained"),
        "model.dtype": Help("type of the pretrained weights"),
        "model.hidden_size": Help("width of the residual stream, a multiple of `heads`"),
        "model.heads": Help("attention heads"),
        "model.key_value_heads": Help("heads of keys and values, a divisor of `heads`"),
        "model.intermediate_size": Help("units of the feed-forward layers"),
        "model.layers": Help("blocks of attention and feed-forward layers"),
        "model.tie_embeddings": Help("the output layer has the weights of the embedding"),
        "model.rope_theta": Help("base of the rotary positions"),
        "model.blocks": Help("blocks, or residual blocks of a stage"),
        "model.depths": Help("residual blocks of each stage"),
        "model.stem": Help("first layers: `large` for images of 100 pixels and more"),
        "model.target": Help("your class with its module, as in `my_net.Net`"),
        "model.args": Help("arguments of its constructor"),
        "model.width": Help("width of the residual stream, a multiple of `heads`"),
        "model.feed_forward_units": Help("units of the feed-forward layers"),
        "model.patch_size": Help("side of an image's patches"),
        "regularizer.<name>.<strength>": Help("strength of a chosen regularizer"),
        "optimizer.lr": Help("learning rate", ("learning_rate",)),
        "optimizer.weight_decay": Help("the optimizer's own weight decay"),
        "optimizer.momentum": Help("momentum of `sgd`"),
        "optimizer.nesterov": Help("Nesterov's momentum, of `sgd`"),
        "optimizer.betas": Help("decay rates of the moments, of `adam` and `adamw`"),
        "optimizer.eps": Help("added to the denominator, of `adam` and `adamw`"),
        "scheduler.eta_min": Help("the last learning rate, of `cosine`"),
        "scheduler.warmup": Help("share of the steps in which the rate rises linearly to `optimizer.lr`"),
        "scheduler.decay": Help("decay of the rate in the other steps, to 0"),
        "trainer.accelerator": Help("the device"),
        "trainer.max_epochs": Help("passes over the training rows", ("passes", "epochs")),
        "trainer.max_steps": Help("maximum number of steps; training ends with the first of both limits"),
        "trainer.min_epochs": Help("minimum number of epochs, with early stopping"),
        "trainer.min_steps": Help("minimum number of steps, with early stopping"),
        "trainer.check_val_every_n_epoch": Help("epochs between evaluations"),
        "trainer.accumulate_grad_batches": Help("batches of a step, which takes their mean gradient"),
        "trainer.precision": Help("precision of the arithmetic, as in Lightning"),
        "trainer.threads": Help("number of torch's threads"),
        "trainer.progress": Help("a progress bar of a single run"),
        "trainer.limit_train_batches": Help("batches of an epoch"),
        "trainer.limit_val_batches": Help("batches of `data.batch_size` rows that are evaluated"),
        "trainer.limit_test_batches": Help("the same for the test"),
        "trainer.gradient_clip_val": Help("largest norm (or value) of the gradient"),
        "trainer.gradient_clip_algorithm": Help("what `gradient_clip_val` limits"),
        "trainer.deterministic": Help("only operations that repeat exactly"),
        "trainer.benchmark": Help("let cuDNN choose kernels by speed"),
        "trainer.detect_anomaly": Help("report the operation whose gradient is NaN"),
        "trainer.inference_mode": Help("evaluate under `torch.inference_mode`"),
        "tracking.weights": Help("weights that are kept: those of the lowest val/loss, these and the last, or none"),
        **_OF_MLFLOW,
    },
    "study": {
        "dry_run": Help("check data and models, print the plan, and train nothing", example="true"),
        "workers": Help("processes that train at once (null: as many as there are cores)", ("processes",)),
        "seeds": Help("confirmation seeds; a larger number later adds only the missing ones"),
        "resume": _RESUME,
        "fail_fast": Help("the first failing run ends the study"),
        "report.dir": Help("folder of the report (null: `reports/<study name>`)"),
        "study.name": Help("name of the study and of its parent run"),
        "study.version": Help("version of the definition; a new number starts a new study of the same name"),
        "study.tasks": Help("overrides of each task; a list as a value is an axis: one task for each item"),
        "study.common": Help("overrides of all runs, as in `study.common.trainer.max_epochs=30`"),
        "study.strategies": Help("the compared strategies, as in `[none,l2,dropout+l2]`"),
        "study.space": Help("search ranges, as in `study.space.optimizer.lr.high=1e-2`"),
        "study.trials": Help("trials of each strategy, each a point of its search space"),
        "study.max_seconds": Help("seconds of training after which a strategy starts no further trial on a task"),
        "study.tuning_seeds": Help("runs of each trial, with the seeds from 1000 on"),
        "study.seeds": Help("confirmation runs of each chosen trial, with the seeds from 0 on"),
        "study.sampler": Help("proposes trials"),
        "study.search_seed": Help("seed of the sampler"),
        "study.pruning": Help("successive halving: each of `rungs` keeps one in `eta` trials"),
        "study.metric": Help("the compared metric"),
        "study.direction": _DIRECTION,
        "study.select_by": Help("the metric that chooses among trials (null: the metric's validation counterpart)"),
        "study.baseline": _BASELINE,
        "tracking.weights": Help("weights that are kept of each run"),
        **_OF_MLFLOW,
    },
    "report": {
        "metric": Help("the compared metric (null: that of the kind of task, such as test/accuracy)"),
        "direction": _DIRECTION,
        "baseline": _BASELINE,
        "sweep": Help("the runs that a sweep or study declared (null: all of the experiment)"),
        "filter": Help("MLflow's filter language, for runs without a sweep"),
        "select_by": Help("the metric that selects strengths (null: the metric's validation counterpart)"),
        "force": Help("true: allow selection by a test metric; the headline mentions it"),
        "report.dir": Help("folder of the report (null: `reports/<sweep or experiment>`)"),
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
"""Help on all keys that a user sets, by pipeline."""

MOST_USED: dict[str, tuple[str, ...]] = {
    "train": (
        "regularizer.<name>.<strength>",
        "seed",
        "data.train_size",
        "data.label_noise",
        "data.batch_size",
        "model.hidden_sizes",
        "optimizer.lr",
        "trainer.max_epochs",
        "tracking.uri",
    ),
    "study": (
        "dry_run",
        "workers",
        "seeds",
        "study.strategies",
        "study.trials",
        "study.space",
        "study.common",
        "study.metric",
        "study.version",
        "tracking.uri",
    ),
}
"""Keys that ``--help`` lists of pipelines with many keys, in this order; of the others it lists all."""

_LONGEST_DEFAULT = 20  # characters


def list_of_keys(pipeline: str, defaults: Mapping[str, Any]) -> str:
    """Return the section on keys of a pipeline's ``--help``.

    Args:
        pipeline: a key of `HELP`.
        defaults: values of keys in the pipeline's config.
    """
    entries = {}
    for key in MOST_USED.get(pipeline, HELP[pipeline]):
        key_help, default = HELP[pipeline][key], format_value(defaults.get(key))
        show_default = 0 < len(default) <= _LONGEST_DEFAULT and default not in ("null", "false") and "$" not in default
        example = f"={key_help.example}" if key_help.example else ""
        entries[key + example] = key_help.text.replace("`", "") + (f" (default: {default})" if show_default else "")
    width = max(map(len, entries)) + 2
    lines = [f"  {key:<{width}}{text}" for key, text in entries.items()]
    return "\n".join(["Most used keys" if pipeline in MOST_USED else "Keys", *lines])
