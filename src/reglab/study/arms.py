"""The arms of a study, one for each task and strategy: the search space, and the run of each point. Without torch."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from reglab.config.check_pipeline import flatten
from reglab.config.check_run import check, check_and_resolve
from reglab.config.compose import Composer
from reglab.config.hydra_errors import options_with
from reglab.config.identity import config_hash, content_hash, data_name
from reglab.config.identity import strategy as strategy_of
from reglab.execution.expand import Job
from reglab.paths import CONF
from reglab.schema.compatibility import check_metric, declared
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.search_space import RANGE_KEYS, Choice, Dimension, Values, parse_dimension
from reglab.schema.suggest import nearest
from reglab.schema.text import format_value, join_options, quote_value
from reglab.study.definition import Study

_ALMOST_1 = 1 - 2**-32


@dataclass(frozen=True)
class StudyArm:
    """One strategy on one task.

    Attributes:
        task: index of the task.
        task_name: ``mnist1d cnn, label_noise 0.2``.
        strategy: value of the tag `strategy`: the regularizers in the order in which they act.
        overrides: overrides that all its runs share.
        space: the searched dimensions.
        epochs: epochs of a run without pruning.
        content: hash of the task's file or folder; None for data without one.
    """

    task: int
    task_name: str
    strategy: str
    overrides: tuple[str, ...]
    space: tuple[Dimension, ...]
    epochs: int
    content: str | None = None
    # Composing a run takes milliseconds, and all runs of a study are needed after each round.
    _jobs: dict[tuple[object, ...], Job] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def data_and_model(self) -> str:
        """``mnist1d cnn``."""
        return self.task_name.split(",")[0].split(" (")[0]

    def job(self, composer: Composer, values: Values, seed: int, label: str, epochs: int | None = None) -> Job:
        """Return the run of a point of the space, the same object for the same arguments.

        Args:
            composer: composes its config.
            values: value of each dimension, by key.
            seed: seed of the run.
            label: first words of the job's label.
            epochs: number of epochs; None: `self.epochs`.

        Raises:
            ConfigError: the config is invalid.
        """
        overrides = [*self.overrides, *(f"{key}={quote_value(v)}" for key, v in values.items()), f"seed={seed}"]
        if epochs is not None:
            overrides.append(f"trainer.max_epochs={epochs}")
        key = (composer, label, *overrides)
        if key not in self._jobs:
            config = composer.compose(overrides)
            identity = config_hash(check_and_resolve(config, overrides))
            self._jobs[key] = Job(tuple(overrides), config, identity, f"{label} seed={seed}")
        return self._jobs[key]


def make_arms(study: Study, composer: Composer, tracking: Sequence[str] = ()) -> list[StudyArm]:
    """Return all arms of a study, task by task.

    Args:
        study: the definition.
        composer: composes configs.
        tracking: overrides of the `tracking` section.

    Raises:
        ConfigError: the config of a task or strategy is invalid, or its search space is.
    """
    arms = []
    for number, task in enumerate(study.tasks):
        with study.naming_common_keys(number):
            common = (*study.common, *task, *tracking)
            arms += [_arm(study, composer, number, common, strategy) for strategy in study.strategies]
    return _with_distinct_task_names(study, arms)


def _arm(study: Study, composer: Composer, task: int, common: tuple[str, ...], strategy: str) -> StudyArm:
    names = strategy.split("+")
    overrides = (*common, f"regularizer={names[0] if len(names) == 1 else format_value(names)}")
    config = composer.compose(list(overrides))
    check(config, list(overrides))
    check_metric(Setting("study.metric", study.metric), [config.data])
    check_metric(Setting("study.select_by", study.select_by[0]), [config.data])
    _check_space(study, config)
    space = tuple(_space(study, config))
    for override in overrides:
        key, _, value = override.partition("=")
        if key in {dimension.key for dimension in space}:
            remedy = f"set study.space.{key}=null to give all trials that value"
            raise ConfigError(Setting(key, value), "is searched", remedy)
    epochs, content = int(config.trainer.max_epochs), _content(config.data.get("path"))
    arm = StudyArm(task, _task_name(config), strategy_of(config), overrides, space, epochs, content)
    for share, end in ((0.0, "low"), (_ALMOST_1, "high")):  # check the ends of the ranges by the rules of their keys
        values = {dimension.key: dimension.quantile_when_on(share) for dimension in space}
        with _naming_ends(values, space, end):
            arm.job(composer, values, 0, strategy)
    return arm


def _content(path: str | None) -> str | None:
    """Return the content hash of a file or folder; None without a path, or for a name in a cache."""
    return content_hash(path)[:16] if path and Path(path).expanduser().exists() else None


def _space(study: Study, config: DictConfig) -> Iterator[Dimension]:
    """Yield the dimensions of an arm: ranges of its regularizers, replaced or extended by those of the study."""
    specs: dict[str, Any] = {}
    regularizers = OmegaConf.to_container(config.regularizer, resolve=True)
    assert isinstance(regularizers, dict)
    for name, node in ((str(key), value) for key, value in regularizers.items()):
        strengths = declared(f"regularizer.{name}", node).strengths
        specs |= {f"regularizer.{name}.{key}": strength.search.to_spec() for key, strength in strengths.items()}
    for key, spec in study.space.items():
        if not key.startswith("regularizer."):
            specs = {key: spec, **specs}
        elif key.split(".")[1] in regularizers:
            merge = isinstance(spec, Mapping) and isinstance(specs.get(key), Mapping) and "choices" not in spec
            specs[key] = {**specs[key], **spec} if merge else spec
    for key, spec in specs.items():
        if spec is not None:
            off, whole = _off_value_and_whole(key, regularizers)
            yield parse_dimension(key, spec, off=off, whole=whole)


def _off_value_and_whole(key: str, nodes: Mapping[Any, Any]) -> tuple[float | None, bool]:
    """Return the value of a strength that disables its method (None: none does alone), and whether values are whole."""
    if not key.startswith("regularizer."):
        return None, False
    _, name, strength = key.split(".", 2)
    strengths = declared(f"regularizer.{name}", nodes[name]).strengths
    if strength not in strengths:
        return None, False
    declaration = strengths[strength]
    some_disable_alone = any(other.disables for other in strengths.values())
    return (declaration.off if declaration.disables or not some_disable_alone else None), declaration.whole


def _task_name(config: DictConfig) -> str:
    """Return the name of a task: ``mnist1d cnn, label_noise 0.2``."""
    used = [f"{key} {config.data[key]}" for key in ("train_size", "label_noise") if config.data.get(key)]
    used += [f"{key} {config.data[key]}" for key in ("test_fold", "val_fold") if config.data.get(key) is not None]
    return ", ".join([f"{data_name(config)} {config.model.name}", *used])


def _with_distinct_task_names(study: Study, arms: Sequence[StudyArm]) -> list[StudyArm]:
    """Add the overrides of tasks to names that several tasks have."""
    names = {arm.task: arm.task_name for arm in arms}
    shared = {name for name in names.values() if list(names.values()).count(name) > 1}

    def distinct(arm: StudyArm) -> str:
        return f"{arm.task_name} ({', '.join(study.tasks[arm.task])})" if arm.task_name in shared else arm.task_name

    return [replace(arm, task_name=distinct(arm)) for arm in arms]


def _check_space(study: Study, config: DictConfig) -> None:
    """Refuse ranges of keys that the runs do not have; those of a regularizer that no strategy uses are allowed.

    Args:
        study: the definition.
        config: config of a run.

    Raises:
        ConfigError: names the key in `study.space`, and one that the runs have.
    """
    plain = OmegaConf.to_container(config)
    assert isinstance(plain, dict)
    known = [key for key, _ in flatten(plain, {})]
    of_regularizers: list[str] = []
    for key, spec in study.space.items():
        if key.startswith("regularizer."):
            of_regularizers = of_regularizers or list(_regularizer_keys())
        if key not in known and key not in of_regularizers:
            raise _no_such_key_error(key, spec, [*known, *of_regularizers])


def _regularizer_keys() -> Iterator[str]:
    """Yield the keys of all regularizers in conf/."""
    for file in sorted((CONF / "regularizer").glob("*.yaml")):
        yield from (key for key, _ in flatten({"regularizer": yaml.safe_load(file.read_text(encoding="utf-8"))}, {}))


def _no_such_key_error(key: str, spec: Any, known: Sequence[str]) -> ConfigError:
    where = Setting(f"study.space.{key}", spec)
    section, _, inner = key.partition(".")
    section_keys = [known_key.partition(".")[2] for known_key in known if known_key.startswith(f"{section}.")]
    searched = [name for name in dict.fromkeys(section_keys) if name != "name" and not re.search(r"(^|\.)_", name)]
    names = {key_of_section.partition(".")[0] for key_of_section in searched}
    problem = "no such key"
    if section == "regularizer" and (name := inner.partition(".")[0]) not in names:
        problem = f"no regularizer {name}"
    if section != "regularizer" and (other_options := list(options_with(section, inner))):
        choices = " or ".join(f"{section}={option}" for option in other_options)
        remedy = f"set {choices} in study.tasks" if section in ("data", "model") else f"set study.common.{choices}"
        return ConfigError(where, f"not a key of this {section}", remedy)
    outer, _, leaf = key.rpartition(".")
    if outer in known and (near := nearest(leaf, RANGE_KEYS)):
        return ConfigError(where, f"{problem}; did you mean study.space.{outer}.{near}?")
    if near := nearest(inner, searched):
        return ConfigError(where, f"{problem}; did you mean study.space.{section}.{near}?")
    return ConfigError(where, f"{problem} (keys of study.space.{section}: {join_options(searched)})")


@contextmanager
def _naming_ends(values: Values, space: Sequence[Dimension], end: str) -> Iterator[None]:
    """Name the end of the range in `study.space` in an error about a value that is the end of a range."""
    choices = {dimension.key for dimension in space if isinstance(dimension, Choice)}
    try:
        yield
    except ConfigError as error:
        if error.key not in values:
            raise
        where = f"study.space.{error.key}.{'choices' if error.key in choices else end}"
        raise ConfigError(Setting(where, values[error.key]), error.problem, error.remedy) from error
