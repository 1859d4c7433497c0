"""Check the config of a run, before torch is imported, data are read or a run is opened."""

import functools
import os
from collections.abc import Mapping, Sequence, Set
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reglab.config.check_pipeline import check_sections
from reglab.config.command_line import split_mappings
from reglab.config.environment_variables import check_environment
from reglab.config.hydra_errors import keys_of_regularizer, translate
from reglab.config.library_arguments import REFUSED, check_optimizer, check_scheduler, check_trainer
from reglab.config.schedules import check_schedules
from reglab.config.selection import selected_regularizers, strategy
from reglab.data import hub
from reglab.data.files import TABLE_SUFFIXES, check_file, check_folder, package_folder
from reglab.data.settings import (
    check_common_settings,
    check_folds,
    check_label_noise,
    check_openml,
    check_split_column,
    check_target,
)
from reglab.paths import CONF
from reglab.schema.compatibility import (
    check_accumulation,
    check_class_weights,
    check_conflicts,
    check_data,
    check_model,
    check_passes,
    check_task_options,
    declared,
    task_kind,
)
from reglab.schema.constraints import Constraint, Nullable, check_values
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.keys import RUN, TRAINER
from reglab.schema.metrics import check_choice
from reglab.schema.suggest import did_you_mean, nearest, not_in_strategy_error, section_error
from reglab.schema.task_kinds import TOKENS, features_of
from reglab.schema.text_constraints import ClassPath, Label
from reglab.tracking.location import resolve
from reglab.user_code.finding import source_file

_SECTIONS = ("data", "model", "regularizer", "optimizer", "scheduler", "trainer", "tracking")
# Keys for readers of the config: the classes do not accept them, or accept them undeclared.
_NOT_PASSED = {"_target_", "name"}
_TOP_KEYS = {key.split(".")[0] for key in RUN} | set(_SECTIONS)
# Keys that are read without a default; arguments of classes have one.
_REQUIRED_KEYS = [
    key
    for key in RUN
    if key.split(".")[0] not in ("data", "model", "optimizer", "scheduler")
    and key not in (f"tracking.{k}" for k in ("sweep", "study", "rerun_of"))
]
_NAMED = ("data", "model", "optimizer", "scheduler")
_TRACKING_KEYS = {"uri", "experiment", "weights", "parent", "phase", "sweep", "study", "tuned", "rerun_of"}
_EXAMPLES = dict(zip(_SECTIONS, ("digits", "mlp", "none", "adamw", "none", "cpu", "local"), strict=True))


def check(cfg: DictConfig, overrides: Sequence[str] = ()) -> None:
    """Check the config of a run; see `check_and_resolve`."""
    check_and_resolve(cfg, overrides)


def check_and_resolve(cfg: DictConfig, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Check the config of a run, and return it resolved, since resolving takes a millisecond.

    Args:
        cfg: composed.
        overrides: overrides from which it was composed, for messages.

    Returns:
        The config as plain values.

    Raises:
        ConfigError: the first setting that cannot be used.
    """
    check_environment()
    plain = _resolve(cfg, overrides)
    _check_completeness(plain)
    check_names(overrides, plain)
    _check_precision(plain["trainer"])
    check_trainer(plain["trainer"])
    check_values(RUN, plain)
    check_values(_class_constraints(plain), plain)
    check_optimizer(plain["optimizer"])
    check_scheduler(plain["scheduler"], plain["optimizer"])
    _check_data_section(plain["data"])
    kind = task_kind(plain["data"])
    remedy = "use model=llama" if kind and TOKENS in features_of(kind) else "use model=mlp"
    if "target" in plain["model"]:
        source_file(plain["model"]["target"], "model.target")
    if "name" in plain["model"]:
        Label().check("model.name", plain["model"]["name"])
    check_task_options(plain["task"], kind, str(plain["data"].get("name") or "this data"))
    model = Setting("model", plain["model"].get("name"))
    check_data(model, plain["model"], plain["data"], remedy)
    _check_regularizers(cfg, plain)
    check_choice(direction=plain["direction"], select_by=plain["select_by"], force=None)
    _check_tracking(plain["tracking"]["uri"], os.environ.get("MLFLOW_TRACKING_URI"))
    return plain


def check_names(overrides: Sequence[str], plain: Mapping[str, Any]) -> None:
    """Refuse to rename an option of `conf/`: tags and reports identify data, models and optimizers by their names.

    Args:
        overrides: overrides as typed.
        plain: the config that they compose to.

    Raises:
        ConfigError: names the override.
    """
    overrides = split_mappings(overrides)
    keys = [override.lstrip("+").partition("=")[0] for override in overrides]
    for override, key in zip(overrides, keys, strict=True):
        section, _, inner = key.partition(".")
        if inner != "name" or section not in _NAMED or f"{section}._target_" in keys:
            continue
        names = _fixed_names(section)
        chosen = [value for typed, value in zip(keys, overrides, strict=True) if typed == section]
        option = chosen[-1].partition("=")[2] if chosen else None
        target = str(plain[section].get("_target_"))
        # The class identifies an option that is not among the overrides, such as a default.
        fixed = {option: names[option]} if option in names else {o: n for o, n in names.items() if n[0] == target}
        if fixed and plain[section]["name"] not in {name for _, name in fixed.values()}:
            options = " or ".join(f"{section}={option}" for option in fixed)
            raise ConfigError(Setting.of(override), f"the name of {options} is fixed", "leave it out")


@functools.cache
def _fixed_names(section: str) -> dict[str, tuple[str, str]]:
    """Return class and name of a group's options, without classes that a run names after its file."""
    files = {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        for path in sorted((CONF / section).glob("*.yaml"))
    }
    by_option: dict[str, tuple[str, str]] = {}
    classes_named_by_run = set()
    for option, file in files.items():
        base_file = next(
            (files[base] for base in file.get("defaults", ()) if isinstance(base, str) and base in files), {}
        )
        name, target = file.get("name"), str(file.get("_target_", base_file.get("_target_")))
        if name is None or "${" in name:
            classes_named_by_run.add(target)
        else:
            by_option[option] = (target, name)
    return {
        option: (target, name) for option, (target, name) in by_option.items() if target not in classes_named_by_run
    }


def _class_constraints(plain: Mapping[str, Any]) -> dict[str, Constraint]:
    """Return the constraints that the classes of data, model and regularizers declare, by whole key."""
    sections = {section: plain[section] for section in ("data", "model", "scheduler")}
    sections |= {
        f"regularizer.{name}": node for name, node in plain["regularizer"].items() if isinstance(node, Mapping)
    }
    return {
        f"{section}.{key}": constraint
        for section, node in sections.items()
        if "_target_" in node
        for key, constraint in declared(section, node).constraints.items()
    }


def _resolve(cfg: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise translate(error, overrides) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _check_completeness(plain: Mapping[str, Any]) -> None:
    check_sections(RUN, {key: plain[key] for key in plain if key not in _SECTIONS or plain[key] is not None})
    for section in _SECTIONS:
        if not isinstance(plain.get(section), dict):
            raise ConfigError(section, "missing", f"choose one of conf/{section}, as in {section}={_EXAMPLES[section]}")
    for key in plain:
        if key not in _TOP_KEYS:
            remedy = "; studies are run by make study" if key == "study" else "; leave it out"
            raise ConfigError(key, f"no such key{did_you_mean(key, _TOP_KEYS) or remedy}")
    for key in _REQUIRED_KEYS:
        section, _, inner = key.partition(".")
        if section not in plain or (inner and inner not in plain[section]):
            raise ConfigError(key, "missing", f"leave out ~{key}")
    for section in ("report", "sweep", "task"):
        _refuse_unknown(section, plain[section], {key.partition(".")[2] for key in RUN if key.startswith(section)})
    for section in ("data", "model", "optimizer"):
        if not plain[section].get("_target_"):
            raise ConfigError(f"{section}._target_", "missing", "it names the class to use")
    if "lr" not in plain["optimizer"]:
        raise ConfigError("optimizer.lr", "missing", "add +optimizer.lr=1e-3")
    _check_class_keys("data", plain["data"])
    _check_class_keys("model", plain["model"], given={"input_shape", "outputs", "padded"})
    _check_class_keys("optimizer", plain["optimizer"], given={"params"})
    if "_target_" in plain["scheduler"]:
        _check_class_keys("scheduler", plain["scheduler"], given={"optimizer"})
    _refuse_unknown("tracking", plain["tracking"], _TRACKING_KEYS)
    trainer = {key: value for key, value in plain["trainer"].items() if key not in REFUSED}
    _refuse_unknown("trainer", trainer, set(TRAINER) | _NOT_PASSED)


def _check_class_keys(where: str, node: Mapping[str, Any], given: Set[str] = frozenset()) -> None:
    """Refuse keys that the class does not take, such as a misspelt key after a ``+``."""
    parameters = declared(where, node).parameters
    if parameters is not None:  # else its constructor takes any
        _refuse_unknown(where, node, (parameters - given) | _NOT_PASSED)


def _refuse_unknown(where: str, node: Mapping[str, Any], known: Set[str]) -> None:
    for key in node:
        if key not in known:
            keys = ", ".join(sorted(known - _NOT_PASSED))
            hint = f" (keys of {where}: {keys})" if keys else "; leave it out"
            if near := nearest(key, known - _NOT_PASSED):
                hint = f"; did you mean {where}.{near}?"
            raise ConfigError(Setting(f"{where}.{key}", node[key]), f"no such key{hint}")


def _check_data_section(data: Mapping[str, Any]) -> None:
    declaration = declared("data", data)
    if package := declaration.get("package"):
        package_folder(package, Setting("data", data.get("name")))
    common = ("train_size", "label_noise", "val_fraction", "test_fraction", "batch_size")
    if all(key in data for key in common):
        check_common_settings(*(data[key] for key in common))
    from_hub = declaration.get("may_be_a_name", False)
    if "path" in data and not from_hub:
        check_file(data["path"], suffixes=declaration.get("suffixes", TABLE_SUFFIXES))
    elif "path" in data:
        hub.check_path(data["path"])
    if {"id", "version"} <= data.keys():
        check_openml(data.get("name"), data["id"], data["version"], data.get("cache"))
    if "root" in data:
        check_folder(data["root"])
    Nullable(Label(), "that of the file").check("data.name", data.get("name"))
    has_default_target = from_hub or "path" not in data  # data sets that name their own target
    if "target" in data and data["target"] in (None, "") and not has_default_target:
        raise ConfigError(Setting("data.target", None), "name the column to predict, as in data.target=COLUMN")
    if "kind" in data:
        check_target(data["kind"], data.get("target"))
    check_split_column(data.get("split_column"), data.get("split_by"), data.get("target"))
    check_folds(*(data.get(key) for key in ("split_by", "test_fold", "val_fold", "test_fraction")))
    check_label_noise(data.get("label_noise") or 0.0, task_kind(data), data.get("name") or "this data")


def _check_precision(trainer: Mapping[str, Any]) -> None:
    """Refuse precisions that are too coarse for regularizers, or that the device does not support."""
    precision = trainer.get("precision")
    if str(precision).startswith("bf16") and precision != "bf16-mixed":
        raise ConfigError(
            Setting("trainer.precision", precision),
            "rounds away small strengths and updates (8 significant bits)",
            "use bf16-mixed",
        )
    if precision == "16-mixed" and trainer.get("accelerator") == "cpu":
        raise ConfigError(Setting("trainer.precision", "16-mixed"), "requires a GPU", "use bf16-mixed, or trainer=gpu")


def _check_regularizers(cfg: DictConfig, plain: Mapping[str, Any]) -> None:
    nodes = plain["regularizer"]
    chosen = selected_regularizers(cfg)
    for name, node in nodes.items():
        if name.startswith("_"):
            continue
        if not isinstance(node, Mapping):
            raise section_error(Setting(f"regularizer.{name}", node), keys_of_regularizer(name))
        if name not in chosen:
            first_strength = next(
                (Setting(f"regularizer.{name}.{k}", v) for k, v in node.items()), f"regularizer.{name}"
            )
            raise not_in_strategy_error(first_strength, f"the strategy is {strategy(cfg)}", name)
        ClassPath().check(f"regularizer.{name}._target_", node["_target_"])
        _check_class_keys(f"regularizer.{name}", {key: value for key, value in node.items() if key != "schedule"})
        declaration, where = declared(f"regularizer.{name}", node), Setting("regularizer", name)
        for key in sorted(declaration.strengths.keys() & node.keys()):
            declaration.strengths[key].check(f"regularizer.{name}.{key}", node[key])
        check_schedules(name, node, declaration.strengths)
        check_data(where, node, plain["data"], "leave it out")
        check_model(where, node, plain["model"])
    methods = {name: nodes[name] for name in sorted(chosen)}
    check_conflicts(methods)
    check_class_weights(plain["task"], methods)
    check_passes(methods, plain["model"])
    check_accumulation(methods, plain["trainer"])


@functools.lru_cache(maxsize=64)
def _check_tracking(uri: str | None, _environment: str | None) -> None:
    """Resolve a URI once per store and process: a sweep checks hundreds of configs."""
    resolve(uri)
