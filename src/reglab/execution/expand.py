"""From the overrides of a multirun to its jobs: which configs, in which order."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException
from omegaconf import DictConfig

from reglab.config.check import checked
from reglab.config.compose import Composer
from reglab.config.identity import config_hash, strategy
from reglab.config.selection import is_strength
from reglab.config.strengths import fit_strengths
from reglab.deadlines import waiting
from reglab.schema.errors import ConfigError
from reglab.schema.suggest import did_you_mean
from reglab.wording import pluralize

_MOST = 100_000  # runs of a sweep

# Sections and keys that belong to a sweep as a whole.
_ASKED = ("metric", "direction", "baseline", "select_by", "report")
SHARED = ("tracking", "sweep", *_ASKED, "resume", "fail_fast", "workers")


@dataclass(frozen=True)
class Job:
    """One run that a sweep is to hold.

    Attributes:
        overrides: what composes it; strengths of regularizers that it does not use are left out.
        config: composed and checked.
        config_hash: its identity.
        label: what tells it from its siblings: ``dropout(p=0.3) seed=1``.
    """

    overrides: tuple[str, ...]
    config: DictConfig
    config_hash: str
    label: str


def expand(arguments: Sequence[str], params: Mapping[str, Any], composer: Composer, loader: ConfigLoader) -> list[Job]:
    """The jobs of a multirun: composed, checked, each identity once, seed by seed.

    Args:
        arguments: overrides of the command line.
        params: overrides of an experiment's file; an argument of the same key wins.
        composer: makes the configs.
        loader: Hydra's own, which globs need.

    Raises:
        ConfigError: one of the configs is wrong, or holds a strength that no job can use.
    """
    overrides = parse(arguments, params, loader)
    swept = {override.key_or_group for override in overrides if len(_choices(override)) > 1}
    if shared := sorted(key for key in swept if key.split(".")[0] in SHARED):
        raise ConfigError(not_shared(shared[0]))
    typed = {override.key_or_group for override in overrides if override.input_line in arguments}
    _known_regularizers(overrides, loader)
    lines = fit_strengths(combinations(overrides), composer, defaults=set(params) - typed)
    jobs: dict[str, Job] = {}
    with waiting(f"composing and checking {pluralize(len(lines), 'run')} ..."):
        for line in lines:
            config = composer.compose(line)
            identity = config_hash(checked(config, line))
            jobs.setdefault(identity, Job(tuple(line), config, identity, label(config, line, swept)))
    return by_seed(list(jobs.values()))


def not_shared(key: str) -> str:
    """One line for a key that varies and may not."""
    return f"{key}: belongs to a sweep as a whole and cannot vary in it; give it one value, or start several sweeps"


def parse(arguments: Sequence[str], params: Mapping[str, Any], loader: ConfigLoader | None = None) -> list[Override]:
    """Overrides in Hydra's grammar, each key once.

    Raises:
        ConfigError: an override that Hydra cannot read.
    """
    parser = OverridesParser.create(config_loader=loader)
    try:
        overrides = parser.parse_overrides([f"{key}={_text(value)}" for key, value in params.items()] + list(arguments))
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    return list({(override.key_or_group, override.package): override for override in overrides}.values())


def combinations(overrides: Iterable[Override]) -> list[list[str]]:
    """Every combination of the swept values, as Hydra's own sweeper makes them: the last override varies fastest.

    Raises:
        ConfigError: an interval, a range or glob that holds nothing, or more than `_MOST` combinations.
    """
    choices = [_choices(override) for override in overrides]
    if (number := math.prod(map(len, choices))) > _MOST:
        largest = max(choices, key=len)[0].partition("=")[0]
        raise ConfigError(
            largest,
            f"with its values the sweep has {number:,} runs or more, and at most {_MOST:,} are possible",
            "start several sweeps",
        )
    return [list(combination) for combination in itertools.product(*choices)]


def _choices(override: Override) -> list[str]:
    line = override.input_line or ""
    if not override.is_sweep_override():
        return [line]
    if not override.is_discrete_sweep():
        raise ConfigError(line, "an interval has no end of values", "give a choice (a,b) or range(start,stop,step)")
    key = override.get_key_element()
    lines = [f"{key}={value}" for value in itertools.islice(override.sweep_string_iterator(), _MOST + 1)]
    if not lines:
        raise ConfigError(line, "holds no value")
    return lines


def _known_regularizers(overrides: Iterable[Override], loader: ConfigLoader) -> None:
    """A strength of a regularizer that does not exist: a typing error, whatever the strategies are."""
    known = [name for name in loader.get_group_options("regularizer") if name != "none"]
    for override in overrides:
        if is_strength(override.input_line or "") and override.type == OverrideType.CHANGE:
            name = override.key_or_group.split(".")[1]
            if name not in known:
                raise ConfigError(str(override.input_line), f"no regularizer {name}{did_you_mean(name, known)}")


def label(config: DictConfig, overrides: Iterable[str], swept: Iterable[str]) -> str:
    """Label of a job among its siblings: strategy with the strengths that vary, other keys that vary, seed."""
    strengths, others = [], []
    for key, value in (override.lstrip("+").split("=", 1) for override in overrides if "=" in override):
        if key not in swept or key in ("regularizer", "seed"):
            continue
        if key.startswith("regularizer."):
            strengths.append(f"{key.rpartition('.')[2]}={value}")
        else:
            others.append(f"{key}={value}")
    method = strategy(config) + (f"({', '.join(strengths)})" if strengths else "")
    return " ".join([method, *others, f"seed={config.seed}"])


def by_seed(jobs: Sequence[Job]) -> list[Job]:
    """Seed by seed, so that early results already compare all strategies."""
    order = {seed: place for place, seed in enumerate(dict.fromkeys(job.config.seed for job in jobs))}
    return sorted(jobs, key=lambda job: order[job.config.seed])


def _text(value: Any) -> str:
    """A YAML value as Hydra's grammar writes it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
