"""Tables of docs/reference.md, from the declarations: commands, config groups, keys, metrics, columns."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from reglab.paths import CONF, PROJECT
from reglab.report.render import csv_files
from reglab.schema.constraints import Constraint, Nullable
from reglab.schema.help import HELP
from reglab.schema.index import Declaration, declaration
from reglab.schema.keys import PIPELINES, RUN, STUDY, TRAINER
from reglab.schema.metrics import METRICS, RUN_METRICS
from reglab.schema.search_space import value_to_json
from reglab.schema.strength import Strength
from reglab.schema.text_constraints import Label, Text

PAGE = PROJECT / "docs" / "reference.md"
END = "<!-- end -->"
# Keys of a run that `reglab.schema.help` leaves out.
RUN_KEYS = {
    "resume": "reuse finished runs with the same identity",
    "fail_fast": "the first failing run ends a sweep",
    "workers": "runs of a sweep that train at once on this machine",
    "sweep.name": "name of the sweep and of its parent run (null: `<data>-<model>`)",
    "metric": "the metric that the report of a sweep compares (null: that of the kind of task)",
    "direction": "of the metric (null: as declared)",
    "baseline": "the strategy that others are compared with",
    "select_by": "the metric that chooses among strengths (null: the validation counterpart of `metric`)",
    "report.dir": "folder of the report (null: `reports/<sweep name>`)",
    "task.class_weights": "classification: weights of the classes in the loss",
    "task.loss": "regression: the loss, on the standardized target (null: squared)",
    "task.huber_delta": "with `task.loss=huber`: the error at which the loss turns from squared to absolute (null: 1)",
    "data.split_seed": "of the split into training, validation and test rows",
    "data.seed": "of label noise and batch order",
    "data.val_fraction": "share of rows for validation; 0: no validation, and the best weights are the last",
    "data.test_fraction": "share of rows for the test; 0: no test; null: the predefined test rows",
    "optimizer.weight_decay": "the optimizer's own weight decay",
    "optimizer.momentum": "of `sgd`",
    "optimizer.nesterov": "of `sgd`: Nesterov's momentum",
    "optimizer.betas": "of `adam` and `adamw`",
    "optimizer.eps": "of `adam` and `adamw`",
    "scheduler.eta_min": "of `cosine`: the last learning rate",
    "tracking.experiment": "the MLflow experiment",
    "tracking.weights": "weights that are kept: those of the lowest val/loss, these and the last, or none",
    "trainer.accelerator": "the device",
    "trainer.max_steps": "most steps; training ends with the first of both limits",
    "trainer.min_epochs": "fewest epochs, with early stopping",
    "trainer.min_steps": "fewest steps, with early stopping",
    "trainer.check_val_every_n_epoch": "epochs between evaluations",
    "trainer.accumulate_grad_batches": "batches of a step, which takes their mean gradient",
    "trainer.precision": "of the arithmetic, as in Lightning",
    "trainer.threads": "threads of torch",
    "trainer.progress": "a progress bar of a single run",
    "trainer.limit_train_batches": "batches of an epoch",
    "trainer.limit_val_batches": "batches of `data.batch_size` rows that are evaluated",
    "trainer.limit_test_batches": "the same for the test",
    "trainer.gradient_clip_val": "largest norm (or value) of the gradient",
    "trainer.gradient_clip_algorithm": "what `gradient_clip_val` limits",
    "trainer.deterministic": "only operations that repeat exactly",
    "trainer.benchmark": "let cuDNN choose kernels by speed",
    "trainer.detect_anomaly": "report the operation whose gradient is NaN",
    "trainer.inference_mode": "evaluate under `torch.inference_mode`",
}
STUDY_KEYS = {
    "resume": "reuse finished runs with the same identity",
    "fail_fast": "the first failing run ends the study",
    "report.dir": "folder of the report (null: `reports/<study name>`)",
    "tracking.experiment": "the MLflow experiment",
    "tracking.weights": "weights that are kept of each run",
    "study.name": "name of the study and of its parent run",
    "study.tasks": "overrides of each task; a list as a value is an axis: one task for each item",
    "study.max_seconds": "seconds of training after which a strategy starts no further trial on a task",
    "study.tuning_seeds": "runs of each trial, with the seeds from 1000 on",
    "study.seeds": "confirmation runs of each chosen trial, with the seeds from 0 on",
    "study.sampler": "proposes trials",
    "study.search_seed": "of the sampler",
    "study.pruning": "successive halving: each of `rungs` keeps one in `eta` trials",
    "study.direction": "of the metric (null: as declared)",
    "study.select_by": "the metric that chooses among trials (null: the validation counterpart of `study.metric`)",
    "study.baseline": "the strategy that others are compared with",
}
CLASS_KEYS = {
    "data": {
        "seed": RUN_KEYS["data.seed"],
        "split_seed": RUN_KEYS["data.split_seed"],
        "target": "column to predict; of `csv` also a list of columns, for multi-label classification",
        "kind": "kind of task; `auto`: from the target",
        "standardize": "numeric features and a regression target, fitted on the training rows",
        "ignore": "columns that are not features",
        "split_column": "column that splits the rows",
        "split_by": "how it splits them: see [tables](tables.md#splits)",
        "test_fold": "with `split_by=folds`: fold of the test",
        "val_fold": "with `split_by=folds`: fold of the validation",
        "path": "file, folder, or name in the Hugging Face cache",
        "root": "folder with the files",
        "config": "name of a subset",
        "image": "column of images (null: the only one, or a table if there is none)",
        "size": "size that all images are scaled to (null: they have one size)",
        "tokenizer": "of the text; `characters` and `bpe` are trained on the training part",
        "vocab_size": "most tokens of `bpe`",
        "context_length": "tokens of a window",
        "column": "column of the texts",
        "id": "OpenML's number, in place of `data.name` and `data.version`",
        "version": "of the data set of that name",
        "cache": "folder for downloads",
    },
    "model": {
        "channels": "of each block or stage",
        "kernel_size": "side of the convolutions",
        "activation": "of the hidden layers",
        "norm": "normalization of the hidden layers",
        "hidden_sizes": "units of each hidden layer",
        "path": "folder or name of a pretrained decoder",
        "lora": "low-rank adapters, which alone are trained",
        "dtype": "of the pretrained weights",
        "hidden_size": "width of the residual stream, a multiple of `heads`",
        "heads": "attention heads",
        "key_value_heads": "heads of keys and values, a divisor of `heads`",
        "intermediate_size": "units of the feed-forward layers",
        "layers": "blocks of attention and feed-forward layers",
        "tie_embeddings": "the output layer has the weights of the embedding",
        "rope_theta": "base of the rotary positions",
        "blocks": "blocks, or residual blocks of a stage",
        "depths": "residual blocks of each stage",
        "stem": "first layers: `large` for images of 100 pixels and more",
        "target": "your class with its module, as in `my_net.Net`",
        "args": "arguments of its constructor",
        "width": "of the residual stream, a multiple of `heads`",
        "feed_forward_units": "units of the feed-forward layers",
        "patch_size": "side of an image's patches",
    },
    "scheduler": {
        "warmup": "share of the steps in which the rate rises linearly to `optimizer.lr`",
        "decay": "of the rate in the other steps, to 0",
    },
}
FIGURES = {
    "gap/loss": "`test/loss` minus the training loss of the tested weights",
    "time/train_s": "seconds of training, without evaluations",
    "time/step_ms": "milliseconds of a training step",
    "time/epochs": "epochs that were trained",
    "model/parameters": "number of parameters",
    "model/zero_fraction": "share of exact zeros among the weights that penalties act on",
    "train/penalty": "sum of the penalties, by epoch",
}


def page(text: str) -> str:
    """Return the page with its tables written again.

    Args:
        text: the page; a table stands between a line ``<!-- NAME -->`` and a line ``<!-- end -->``.
    """
    for name, lines in tables().items():
        text = fill(text, name, lines)
    return text


def fill(text: str, name: str, lines: Iterable[str]) -> str:
    """Return a page with one of its tables replaced."""
    before, start, rest = text.partition(f"<!-- {name} -->")
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"no place for the table {name}")
    return "\n".join([before + start, *lines, end + after])


def tables() -> dict[str, list[str]]:
    """Return the lines of each table, by name."""
    return {
        "commands": _table(("command", "does", "pipeline"), _commands()),
        "groups": _table(("group", "options"), _groups()),
        "run keys": _table(("key", "default", "value", "meaning"), _run_keys()),
        "trainer keys": _table(("key", "default", "value", "meaning"), _trainer_keys()),
        **{
            f"{group} keys": _table(("key", "of", "value", "meaning"), _class_keys(group))
            for group in ("data", "model", "scheduler")
        },
        "strengths": _table(("key", "default", "value", "off", "search range"), _strengths()),
        "study keys": _table(("key", "default", "value", "meaning"), _study_keys()),
        **{
            f"{name} keys": _table(("key", "value", "meaning"), _pipeline_keys(name))
            for name in PIPELINES
            if name != "study"
        },
        "metrics": _table(("metric", "better", "kinds of tasks"), _metrics()),
        "figures": _table(("metric", "better", "meaning"), _metrics_of()),
        "columns": _table(("file", "columns"), _columns()),
    }


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> list[str]:
    cells = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {' | '.join(row)} |" for row in cells)]


def _commands() -> Iterator[tuple[str, str, str]]:
    rule = re.compile(r"^([a-z]+):[^\n]*## ([^\n]*)\n((?:\t[^\n]*\n)*)", re.MULTILINE)
    for target, text, recipe in rule.findall((PROJECT / "Makefile").read_text(encoding="utf-8")):
        script = re.search(r"(pipelines|benchmarks)/\w+\.py", recipe)
        yield f"`make {target}`", re.sub(r"(make .*)", r"`\1`", text), f"`{script[0]}`" if script else ""


def _groups() -> Iterator[tuple[str, str]]:
    for group in sorted(path for path in CONF.iterdir() if path.is_dir()):
        options = sorted(path.stem for path in group.glob("[!_]*.yaml"))
        if group.name == "regularizer":
            yield "`regularizer`", f"`none` and {len(options) - 1} methods: [index](regularizers/README.md)"
        else:
            yield f"`{group.name}`", ", ".join(f"`{option}`" for option in options)


def _run_keys() -> Iterator[tuple[str, ...]]:
    texts = {key: help.text for key, help in HELP["train"].items()} | RUN_KEYS
    defaults = _leaves(_read("train.yaml")) | _in("data", "data/_axes.yaml") | _in("tracking", "tracking/local.yaml")
    defaults |= _in("optimizer", "optimizer/sgd.yaml") | _in("optimizer", "optimizer/adamw.yaml")
    defaults |= _in("scheduler", "scheduler/cosine.yaml")
    written = {"data.train_size", "data.label_noise", "data.batch_size", "data.val_fraction", "data.test_fraction"}
    for key in [*(key for key in RUN if key in texts), *sorted(written), "data.split_seed"]:
        value = _value(RUN[key]) if key in RUN else _AXES.get(key, "")
        yield f"`{key}`", _default(defaults, key), value, texts[key]


_AXES = {
    "data.train_size": "a whole number of 1 or more, or null (all rows)",
    "data.batch_size": "a whole number of 1 or more, or null (full batch)",
    "data.label_noise": "a number from 0 to 1; 0 unless the task is a classification",
    "data.val_fraction": "a number at least 0 and below 1",
    "data.test_fraction": "a number at least 0 and below 1, or null",
    "data.split_seed": "a whole number of 0 or more",
}  # the constraints of `reglab.data.settings`, in words


def _trainer_keys() -> Iterator[tuple[str, ...]]:
    texts = {key: help.text for key, help in HELP["train"].items()} | RUN_KEYS
    defaults = _in("trainer", "trainer/cpu.yaml")
    for name, constraint in TRAINER.items():
        key = f"trainer.{name}"
        plus = "" if key in defaults else "+"
        yield f"`{plus}{key}`", _default(defaults, key), _value(constraint), texts[key]


def _class_keys(group: str) -> Iterator[tuple[str, ...]]:
    """Yield the declared keys of the classes of a group, each with the options that have it."""
    found: dict[tuple[str, str], list[str]] = {}
    options = 0
    for name, config, declared in _declarations(group):
        options += 1
        for key, constraint in declared.constraints.items():
            if key not in config:
                continue
            found.setdefault((key, _value(constraint)), []).append(name)
    for (key, value), names in found.items():
        of = "all" if len(names) == options else ", ".join(f"`{name}`" for name in names)
        yield f"`{group}.{key}`", of, value, CLASS_KEYS[group][key]


def _strengths() -> Iterator[tuple[str, ...]]:
    for file in sorted((CONF / "regularizer").glob("*.yaml")):
        for name, config in _read(f"regularizer/{file.name}").items():
            declared = declaration(config["_target_"], f"regularizer.{name}._target_")
            for key, strength in declared.strengths.items():
                yield f"`regularizer.{name}.{key}`", f"{strength.default:g}", strength.description, *_range(strength)
            for key, constraint in declared.constraints.items():
                yield f"`regularizer.{name}.{key}`", "null", _value(constraint), "", ""


def _range(strength: Strength) -> tuple[str, str]:
    ends = f"{strength.search.low:g} to {strength.search.high:g}" + (", log" if strength.search.log else "")
    return "" if strength.off is None else str(value_to_json(strength.off)).removesuffix(".0"), ends


def _study_keys() -> Iterator[tuple[str, ...]]:
    texts = {key: help.text for key, help in HELP["study"].items()} | STUDY_KEYS
    defaults = _leaves(_read("study.yaml")) | _in("study", "study/_defaults.yaml")
    defaults |= _in("tracking", "tracking/local.yaml")
    for key, constraint in STUDY.items():
        yield f"`{key}`", _default(defaults, key), _value(constraint), texts[key]


def _pipeline_keys(name: str) -> Iterator[tuple[str, ...]]:
    for key, constraint in PIPELINES[name].items():
        yield f"`{key}`", _value(constraint), HELP[name][key].text


def _metrics() -> Iterator[tuple[str, ...]]:
    for metric in METRICS.values():
        names = (*metric.names, f"best/val/{metric.name}")
        kinds = ", ".join(metric.task_kinds) or "all"
        yield ", ".join(f"`{name}`" for name in names), _better(metric.direction), kinds


def _metrics_of() -> Iterator[tuple[str, ...]]:
    for name, direction in RUN_METRICS.items():
        yield f"`{name}`", _better(direction), FIGURES[name]


def _columns() -> Iterator[tuple[str, ...]]:
    for name in ("leaderboard", "pairwise", "interactions", "tuning"):
        columns = getattr(csv_files, name.upper())
        yield f"`{name}.csv`", ", ".join(f"`{column}`" for column in columns)


def _value(constraint: Constraint) -> str:
    """Return the accepted values in words; names of metrics have a table."""
    null = ", or null" if constraint.accepts(None) else ""
    if constraint.options and all(option.startswith("val/") for option in constraint.options):
        return f"a validation [metric](#metrics){null}"
    if any("/" in option for option in constraint.options):
        return f"a [metric](#metrics){null}"
    inner = constraint.inner if isinstance(constraint, Nullable) else constraint
    if isinstance(inner, Text | Label):  # an error also describes the characters that are accepted
        return constraint.description.replace(inner.description, "text")
    return constraint.description


def _better(direction: str) -> str:
    return {"max": "higher", "min": "lower"}[direction]


def _declarations(group: str) -> Iterator[tuple[str, dict[str, Any], Declaration]]:
    """Yield the options of a group with their configs and the declarations of their classes."""
    for file in sorted((CONF / group).glob("[!_]*.yaml")):
        config = _composed(group, file.stem)
        if target := config.get("_target_"):
            yield file.stem, config, declaration(target, f"{group}._target_")


def _composed(group: str, option: str) -> dict[str, Any]:
    """Return the keys of an option, with those of the options that it is based on."""
    config = _read(f"{group}/{option}.yaml")
    found: dict[str, Any] = {}
    for base in config.pop("defaults", ["_self_"]):
        found |= config if base == "_self_" else _composed(group, base)
    return found


def _read(file: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / file).read_text(encoding="utf-8")) or {}


def _in(section: str, file: str) -> dict[str, Any]:
    return _leaves({section: _read(file)})


def _leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by dotted key; mappings are values, too."""
    found: dict[str, Any] = {}
    for key, value in node.items():
        found[f"{prefix}{key}"] = value
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{prefix}{key}.")
    return found


def _default(defaults: Mapping[str, Any], key: str) -> str:
    if key not in defaults:
        return ""
    value = defaults[key]
    if value == "???" or value == {}:
        return "required" if value else "none"
    text = yaml.safe_dump(value, default_flow_style=True, width=4096).removesuffix("\n").removesuffix("\n...")
    return f"`{text}`"
