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
    texts = {key: help.text for key, help in HELP["train"].items()}
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
    defaults = _in("trainer", "trainer/cpu.yaml")
    for name, constraint in TRAINER.items():
        key = f"trainer.{name}"
        plus = "" if key in defaults else "+"
        yield f"`{plus}{key}`", _default(defaults, key), _value(constraint), HELP["train"][key].text


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
        yield f"`{group}.{key}`", of, value, HELP["train"][f"{group}.{key}"].text


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
    defaults = _leaves(_read("study.yaml")) | _in("study", "study/_defaults.yaml")
    defaults |= _in("tracking", "tracking/local.yaml")
    for key, constraint in STUDY.items():
        yield f"`{key}`", _default(defaults, key), _value(constraint), HELP["study"][key].text


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
