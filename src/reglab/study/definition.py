"""The definition of a study in its config: tasks, strategies, tuning budget, seeds and metrics."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reglab.config.check_pipeline import check_known, resolve_config
from reglab.config.hydra_errors import key_of_runs
from reglab.samplers import get_sampler, sampler_names
from reglab.schema.constraints import Integer, OneOf, check_values
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.keys import FIRST_TUNING_SEED, STUDY
from reglab.schema.metrics import check_choice, direction_of, validation_counterparts
from reglab.schema.search_space import RANGE_KEYS
from reglab.schema.suggest import did_you_mean, nearest, no_such_option_error
from reglab.schema.text import format_value, quote_value

_RUN_SECTIONS = ("data", "model", "task", "optimizer", "scheduler", "trainer", "experiment")  # may be in study.common
_SEARCHED_SECTIONS = ("data", "model", "regularizer", "optimizer", "scheduler", "trainer")


@dataclass(frozen=True)
class Pruning:
    """Successive halving: each rung keeps one in `eta` trials and trains them `eta` times as long.

    Jamieson and Talwalkar 2016, "Non-stochastic Best Arm Identification".

    >>> [Pruning(eta=3, rungs=3).epochs(rung, 18) for rung in range(3)]
    [2, 6, 18]
    """

    eta: int
    rungs: int

    def epochs(self, rung: int, max_epochs: int) -> int:
        """Return the epochs of a trial on a rung; the last rung trains `max_epochs`."""
        return max(1, round(max_epochs / self.eta ** (self.rungs - 1 - rung)))

    def promoted(self, trials: int) -> int:
        """Return the number of these trials that are promoted to the next rung."""
        return max(1, math.ceil(trials / self.eta))


@dataclass(frozen=True)
class Study:
    """The definition of a study.

    Attributes:
        name: name in tags and file names.
        version: version of the definition, from 1.
        tasks: overrides of each task.
        common: overrides that all tasks share.
        strategies: names, each of regularizers joined by ``+``.
        space: search ranges of the config, by key.
        trials: tuning budget of each strategy on each task.
        max_seconds: seconds of training after which an arm starts no further trial; None: no limit.
        tuning_seeds: seeds of each trial's runs.
        seeds: fresh seeds of the confirmation runs.
        sampler: name of the sampler.
        search_seed: seed of the sampler.
        pruning: settings of pruning; None: no pruning.
        metric: used to compare strategies.
        direction: ``max`` or ``min``, of the metric.
        select_by: validation metrics in order of preference; the first one that a run tracks chooses among trials.
        baseline: strategy that the others are compared with.
    """

    name: str
    version: int
    tasks: tuple[tuple[str, ...], ...]
    common: tuple[str, ...]
    strategies: tuple[str, ...]
    space: Mapping[str, Any]
    trials: int
    max_seconds: float | None
    tuning_seeds: tuple[int, ...]
    seeds: tuple[int, ...]
    sampler: str
    search_seed: int
    pruning: Pruning | None
    metric: str
    direction: str
    select_by: tuple[str, ...]
    baseline: str

    @property
    def title(self) -> str:
        """Name of the study in the tags of its runs: another version is another study."""
        return self.name if self.version == 1 else f"{self.name}-v{self.version}"

    @property
    def minimize(self) -> bool:
        """Whether a lower value of the selection metric is better."""
        return (direction_of(self.select_by[0]) or self.direction) == "min"

    @property
    def sequential(self) -> bool:
        """Whether a trial depends on the results of earlier ones, so that trials are trained one after another."""
        return get_sampler(self.sampler).sequential or self.max_seconds is not None

    @property
    def fixed(self) -> tuple[str, ...]:
        """Overrides of `study.common`, without those that every task replaces."""
        replaced = set.intersection(*(_override_keys(task) for task in self.tasks))
        return tuple(override for override in self.common if override.partition("=")[0] not in replaced)

    @contextmanager
    def naming_common_keys(self, task: int) -> Iterator[None]:
        """Name `study.common` in an error about a key that it sets, since the user need not have typed that key.

        Args:
            task: number of the task whose configs are composed and checked in the block.

        Raises:
            ConfigError: the error of the block, for the key in `study.common`.
        """
        shared = _override_keys(self.common) - _override_keys(self.tasks[task])
        try:
            yield
        except ConfigError as error:
            if error.key not in shared and str(error.where) not in self.common:
                raise
            raise error.in_section("study.common").with_remedy(f"or remove it by ~study.common.{error.key}") from error


def check_options(cfg: DictConfig) -> None:
    """Check the keys of a study's config outside its `study` section.

    Raises:
        ConfigError: an unknown key, a missing key, or an invalid value.
    """
    plain = resolve_config(cfg, "study")
    known = {key.partition(".")[0] for key in STUDY}
    for key, value in _flat({key: value for key, value in plain.items() if key not in known}):
        line = f"+{key}={format_value(value)}"
        raise key_of_runs(line) or ConfigError(
            Setting.of(line), f"no such key{did_you_mean(key, known) or '; remove it'}"
        )
    check_known(STUDY, plain, skip=("study",))


def read_study(node: DictConfig, seeds: int | None, regularizers: Sequence[str]) -> Study:
    """Return the study of a config's `study` section.

    Args:
        node: the section.
        seeds: number of confirmation seeds that replaces the section's; None: the section's.
        regularizers: names of all regularizers, and `none`.

    Raises:
        ConfigError: the section is invalid.
    """
    plain = _plain(node)
    check_values({key: rule for key, rule in STUDY.items() if key.startswith("study.")}, {"study": plain})
    if seeds is not None:
        STUDY["seeds"].check("seeds", seeds)
        plain["seeds"] = seeds
    OneOf(*sampler_names()).check("study.sampler", plain["sampler"])
    metric, select_by = plain["metric"], plain["select_by"]
    direction = plain["direction"] or direction_of(metric)
    if direction is None:
        raise ConfigError(Setting("study.direction", None), f"the direction of {metric} is not known", "set max or min")
    check_choice(direction=direction, select_by=select_by, force=None, section="study.")
    names = tuple(dict.fromkeys(_strategy(strategy, regularizers) for strategy in plain["strategies"]))
    if len(names) < 2:
        raise ConfigError(Setting("study.strategies", plain["strategies"]), "nothing to compare", "name two or more")
    if plain["baseline"] not in names:
        hint = did_you_mean(plain["baseline"], names) or f" (there are {', '.join(names)})"
        raise ConfigError(Setting("study.baseline", plain["baseline"]), f"no strategy of this study{hint}")
    return Study(
        name=plain["name"],
        version=plain["version"],
        tasks=tuple(_tasks(plain["tasks"])),
        common=tuple(_overrides(plain["common"] or {}, "study.common")),
        strategies=names,
        space=_space(plain["space"] or {}, regularizers),
        trials=plain["trials"],
        max_seconds=plain["max_seconds"],
        tuning_seeds=tuple(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + plain["tuning_seeds"])),
        seeds=tuple(range(plain["seeds"])),
        sampler=plain["sampler"],
        search_seed=plain["search_seed"],
        pruning=_pruning(plain["pruning"], plain["sampler"]),
        metric=metric,
        direction=direction,
        select_by=(select_by,) if select_by else validation_counterparts(metric),
        baseline=plain["baseline"],
    )


def _plain(node: DictConfig) -> dict[str, Any]:
    if OmegaConf.is_missing(node, "tasks") or not node.get("tasks"):
        raise ConfigError("study.tasks", "missing", "give a list of tasks, as in study.tasks=[{data:digits,model:mlp}]")
    if not node.get("name"):
        plus = "" if "name" in node else "+"
        raise ConfigError("study.name", "missing", f"set {plus}study.name=NAME")
    named = resolve_config(node, "study")
    known = {key.removeprefix("study.") for key in STUDY if key.startswith("study.")}
    for key in named:
        if key not in known:
            raise ConfigError(f"study.{key}", f"no such key{did_you_mean(key, known) or '; remove it'}")
    optional = {"common": None, "space": None, "pruning": None}
    for key in sorted(known - set(optional)):
        if key not in named:
            raise ConfigError(f"study.{key}", "missing", f"set +study.{key}=...")
    return {**optional, **named}


def _strategy(typed: str | list[str], known: Sequence[str]) -> str:
    """Return ``dropout+l2`` for a name with ``+`` or a list of names."""
    names = typed.split("+") if isinstance(typed, str) else [str(name) for name in typed]
    where = Setting("study.strategies", typed)
    for name in names:
        if name not in known:
            raise no_such_option_error(Setting("study.strategies", name), known)
    if len(set(names)) < len(names):
        raise ConfigError(where, "names a regularizer twice", "remove one")
    if len(names) > 1 and "none" in names:
        raise ConfigError(where, "none cannot be combined with regularizers", "remove it")
    return "+".join(names)


def _tasks(tasks: Any) -> Iterator[tuple[str, ...]]:
    """Yield the overrides of each task; a list in place of a value gives one task for each item."""
    if not isinstance(tasks, list) or not all(isinstance(task, Mapping) for task in tasks):
        raise ConfigError(Setting("study.tasks", tasks), "must be a list, as in [{data:digits,model:mlp}]")
    distinct: dict[tuple[str, ...], None] = {}
    for task in tasks:
        axes = [(key, value if isinstance(value, list) else [value]) for key, value in _flat(task)]
        for key, options in axes:
            _check_run_key(key, options, "study.tasks")
            if not options:
                raise ConfigError(Setting(f"study.tasks.{key}", []), "the list is empty", "give one value or more")
        for chosen in itertools.product(*(options for _, options in axes)):
            distinct[tuple(f"{key}={quote_value(v)}" for (key, _), v in zip(axes, chosen, strict=True))] = None
    yield from distinct


def _overrides(node: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in dict(_flat(node)).items():
        _check_run_key(key, value, where)
        yield f"{key}={quote_value(value)}"


def _check_run_key(key: str, value: Any, where: str) -> None:
    """Raise ConfigError for keys of runs that a study sets itself or that runs do not have."""
    group = key.split(".")[0]
    if group in _RUN_SECTIONS:
        return
    setting = Setting(f"{where}.{key}", value)
    if group in ("seed", "regularizer"):
        raise ConfigError(setting, "is set by the study", "remove it")
    if key in STUDY:
        example = value[0] if isinstance(value, list) and value else value
        raise ConfigError(setting, "applies to the whole study", f"set {key}={format_value(example)}")
    raise ConfigError(setting, f"no such key of a run{did_you_mean(key, _RUN_SECTIONS) or '; remove it'}")


def _space(node: Mapping[str, Any], regularizers: Sequence[str]) -> dict[str, Any]:
    """Return search ranges by key.

    Raises:
        ConfigError: a key that cannot be searched. Keys that a section does not have are refused by `make_arms`.
    """
    ranges, of_studies = dict(_flat(node)), {key.partition(".")[0] for key in STUDY}
    for key, value in ranges.items():
        group, _, inner = key.partition(".")
        where = Setting(f"study.space.{key}", value)
        if key.endswith("seed") and (not inner or key in ("data.seed", "data.split_seed")):
            raise ConfigError(where, "seeds are set by the study", "remove it")
        if group in _SEARCHED_SECTIONS and inner:
            continue
        if inner and group in regularizers:
            raise ConfigError(where, f"no such key; did you mean study.space.regularizer.{key}?")
        if inner and group not in of_studies and (section := nearest(group, _SEARCHED_SECTIONS)):
            raise ConfigError(where, f"no such key; did you mean study.space.{section}.{inner}?")
        sections = f"{', '.join(_SEARCHED_SECTIONS[:-1])} or {_SEARCHED_SECTIONS[-1]}"
        remedy = f"remove it, or name a key of {sections}, as in study.space.optimizer.lr.high=1e-2"
        raise ConfigError(where, "this key cannot be searched", remedy)
    return ranges


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and values of nested mappings; a search range is one value."""
    for key, value in node.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and not {*RANGE_KEYS, "choices"} & set(value):
            yield from _flat(value, f"{dotted}.")
        else:
            yield dotted, value


def _pruning(settings: Any, sampler: str) -> Pruning | None:
    if settings is None:
        return None
    where = Setting("study.pruning", settings)
    if not isinstance(settings, Mapping) or set(settings) != {"eta", "rungs"}:
        raise ConfigError(where, "must be null, or as in {eta:3,rungs:3}")
    check_values(
        {"study.pruning.eta": Integer(2, 1000), "study.pruning.rungs": Integer(2, 20)}, {"study": {"pruning": settings}}
    )
    if problem := get_sampler(sampler).no_pruning:
        raise ConfigError(where, problem, "set it to null")
    return Pruning(settings["eta"], settings["rungs"])


def _override_keys(overrides: Sequence[str]) -> set[str]:
    return {override.partition("=")[0] for override in overrides}
