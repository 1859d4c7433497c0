"""A study as its config declares it: tasks, strategies, budget, seeds, and what judges."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reglab.config.explain import of_the_study
from reglab.config.keys import FIRST_TUNING_SEED, STUDY, check_known, resolved
from reglab.samplers import get_sampler
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import check_choice, guess_direction, validation_twins
from reglab.schema.rules import apply, whole
from reglab.schema.suggest import did_you_mean, no_such_option
from reglab.schema.text import format_value, quote_value

_RUNS = ("data", "model", "optimizer", "scheduler", "trainer", "experiment")  # what runs of a study may share
_SEARCHED = ("data", "model", "regularizer", "optimizer", "scheduler", "trainer")


@dataclass(frozen=True)
class Pruning:
    """Successive halving: of `rungs` rungs each keeps one in `eta` of its trials, and trains `eta` times as long."""

    eta: int
    rungs: int

    def epochs(self, rung: int, whole: int) -> int:
        """Epochs of a trial on a rung, of which the last trains the whole number."""
        return max(1, round(whole / self.eta ** (self.rungs - 1 - rung)))


@dataclass(frozen=True)
class Study:
    """The definition of a study; `tasks` holds the overrides of each task, `common` those of all.

    Raises:
        ConfigError: from `read`, a value that no study could have.
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
    def minimized(self) -> bool:
        """Whether a lower value of the selection metric is better."""
        return (guess_direction(self.select_by[0]) or self.direction) == "min"

    @property
    def sequential(self) -> bool:
        """Whether a trial depends on the results of earlier ones."""
        return get_sampler(self.sampler).sequential or self.max_seconds is not None


def check_options(cfg: DictConfig) -> None:
    """Check the keys of a study's config that are no part of its definition.

    Raises:
        ConfigError: names the key, what it got and the remedy.
    """
    plain = resolved(cfg, "study")
    known = {key.partition(".")[0] for key in STUDY}
    for key, value in _flat({key: value for key, value in plain.items() if key not in known}):
        line = f"+{key}={format_value(value)}"
        raise ConfigError(of_the_study(line) or f"{line}: no such key{did_you_mean(key, known) or '; leave it out'}")
    check_known(STUDY, plain, leave=("study",))


def read(node: DictConfig, seeds: int | None, strategies: Sequence[str]) -> Study:
    """The study of a config's `study` section.

    Args:
        node: that section.
        seeds: number of confirmation seeds, where it is not the section's.
        strategies: names of the regularizers there are, and `none`.

    Raises:
        ConfigError: names the key, what it got and the remedy.
    """
    plain = _plain(node)
    apply({key: rule for key, rule in STUDY.items() if key.startswith("study.")}, {"study": plain})
    if seeds is not None:
        STUDY["seeds"].check("seeds", seeds)
        plain["seeds"] = seeds
    metric, select_by = plain["metric"], plain["select_by"]
    direction = plain["direction"] or guess_direction(metric)
    if direction is None:
        raise ConfigError(
            Setting("study.direction", None), f"cannot tell which way {metric} is better", "say max or min"
        )
    check_choice(direction=direction, select_by=select_by, force=None)
    names = tuple(dict.fromkeys(_strategy(told, strategies) for told in plain["strategies"]))
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
        space=_space(plain["space"] or {}),
        trials=plain["trials"],
        max_seconds=plain["max_seconds"],
        tuning_seeds=tuple(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + plain["tuning_seeds"])),
        seeds=tuple(range(plain["seeds"])),
        sampler=plain["sampler"],
        search_seed=plain["search_seed"],
        pruning=_pruning(plain["pruning"], plain["sampler"]),
        metric=metric,
        direction=direction,
        select_by=(select_by,) if select_by else validation_twins(metric),
        baseline=plain["baseline"],
    )


def _plain(node: DictConfig) -> dict[str, Any]:
    if OmegaConf.is_missing(node, "tasks") or not node.get("tasks"):
        raise ConfigError("study.tasks", "missing", "a list of tasks, as in study.tasks=[{data:digits,model:mlp}]")
    if not node.get("name"):
        plus = "" if "name" in node else "+"
        raise ConfigError("study.name", "missing", f"set {plus}study.name=NAME")
    named = resolved(node, "study")
    known = {key.removeprefix("study.") for key in STUDY if key.startswith("study.")}
    for key in named:
        if key not in known:
            raise ConfigError(f"study.{key}", f"no such key{did_you_mean(key, known) or '; leave it out'}")
    optional = {"common": None, "space": None, "pruning": None}
    for key in sorted(known - set(optional)):
        if key not in named:
            raise ConfigError(f"study.{key}", "missing", f"set +study.{key}=...")
    return {**optional, **named}


def _strategy(told: str | list[str], known: Sequence[str]) -> str:
    """``dropout+l2``, whether it was written so or as a list."""
    names = told.split("+") if isinstance(told, str) else [str(name) for name in told]
    for name in names:
        if name not in known:
            raise ConfigError(no_such_option("study.strategies", name, known))
    if len(set(names)) < len(names):
        raise ConfigError(Setting("study.strategies", told), "names a regularizer twice", "leave one out")
    if len(names) > 1 and "none" in names:
        raise ConfigError(Setting("study.strategies", told), "none stands alone", "leave it out")
    return "+".join(names)


def _tasks(told: Any) -> Iterator[tuple[str, ...]]:
    """The overrides of each task: a list that stands for a value is an axis."""
    if not isinstance(told, list) or not all(isinstance(task, Mapping) for task in told):
        raise ConfigError(Setting("study.tasks", told), "must be a list, as in [{data:digits,model:mlp}]")
    found: dict[tuple[str, ...], None] = {}
    for task in told:
        values = [(key, value if isinstance(value, list) else [value]) for key, value in _flat(task)]
        for key, options in values:
            _of_a_run(key, options, "study.tasks")
            if not options:
                raise ConfigError("study.tasks", f"{key}=[] holds no value", "give one or more")
        for chosen in itertools.product(*(options for _, options in values)):
            found[tuple(f"{key}={quote_value(v)}" for (key, _), v in zip(values, chosen, strict=True))] = None
    yield from found


def _overrides(node: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in dict(_flat(node)).items():
        _of_a_run(key, value, where)
        yield f"{key}={quote_value(value)}"


def _of_a_run(key: str, value: Any, where: str) -> None:
    """Refuse keys of runs that a study would replace or never read."""
    group = key.split(".")[0]
    if group in _RUNS:
        return
    remedy = f"no such key of a run{did_you_mean(key, _RUNS) or '; leave it out'}"
    if group in ("seed", "regularizer"):
        remedy = "a study sets it itself; leave it out"
    elif key in STUDY:
        one = value[0] if isinstance(value, list) and value else value
        remedy = f"applies to the whole study; set {key}={format_value(one)}"
    raise ConfigError(Setting(f"{where}.{key}", value), remedy)


def _space(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return ranges by key; refuse keys that a study does not search."""
    ranges = dict(_flat(node))
    for key, value in ranges.items():
        group, inner = key.partition(".")[::2]
        if group in _SEARCHED and inner and key not in ("data.seed", "data.split_seed"):
            continue
        seeds = "a study sets seeds itself; leave it out" if key.endswith("seed") else ""
        raise ConfigError(
            Setting(f"study.space.{key}", value), seeds or "not a number that a study searches; leave it out"
        )
    return ranges


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of nested mappings; a range or a choice of values is a value."""
    for key, value in node.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and not {"low", "high", "log", "int", "step", "choices"} & set(value):
            yield from _flat(value, f"{dotted}.")
        else:
            yield dotted, value


def _pruning(told: Any, sampler: str) -> Pruning | None:
    if told is None:
        return None
    if not isinstance(told, Mapping) or set(told) != {"eta", "rungs"}:
        raise ConfigError(Setting("study.pruning", told), "must be null, or as in {eta:3,rungs:3}")
    apply({"study.pruning.eta": whole(2, 1000), "study.pruning.rungs": whole(2, 20)}, {"study": {"pruning": told}})
    if reason := get_sampler(sampler).no_pruning:
        raise ConfigError(Setting("study.pruning", told), reason, "set it to null")
    return Pruning(told["eta"], told["rungs"])
