"""The jobs of a multirun from its overrides, and the plan that a sweep makes of them, without heavy imports."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from reglab.config.check_run import check_and_resolve
from reglab.config.compose import Composer, fit_strengths
from reglab.config.hydra_errors import translate
from reglab.config.identity import config_hash, data_name, setting_hash, strategy, strategy_code
from reglab.config.selection import is_strength
from reglab.deadlines import waiting
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import pluralize

_MAX_RUNS = 100_000  # runs of a sweep

# Sections and keys that have one value for a whole sweep.
_REPORT_KEYS = ("metric", "direction", "baseline", "select_by", "report")
SWEEP_KEYS = ("tracking", "sweep", *_REPORT_KEYS, "resume", "fail_fast", "workers")


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Attributes:
        overrides: overrides of its config, without strengths of regularizers that it does not use.
        config: composed and checked config.
        config_hash: identity of the run.
        label: strategy, varying keys and seed: ``dropout(p=0.3) seed=1``.
    """

    overrides: tuple[str, ...]
    config: DictConfig
    config_hash: str
    label: str


def expand(arguments: Sequence[str], params: Mapping[str, Any], composer: Composer, loader: ConfigLoader) -> list[Job]:
    """Return the composed and checked jobs of a multirun, each identity once, ordered by seed.

    Args:
        arguments: overrides of the command line.
        params: overrides of an experiment's file; an argument of the same key takes precedence.
        composer: composes the configs.
        loader: config loader of Hydra, which expands globs.

    Raises:
        ConfigError: a config is invalid, a strength is used by no job, or a key of the whole sweep varies.
    """
    overrides = parse(arguments, params, loader)
    swept = {override.key_or_group for override in overrides if len(_choices(override)) > 1}
    if of_sweep := sorted(key for key in swept if key.split(".")[0] in SWEEP_KEYS):
        raise cannot_vary(of_sweep[0])
    typed = {override.key_or_group for override in overrides if override.input_line in arguments}
    _check_regularizers(overrides, loader)
    lines = fit_strengths(combinations(overrides), composer, defaults=set(params) - typed)
    jobs: dict[str, Job] = {}
    with waiting(f"composing and checking {pluralize(len(lines), 'run')} ..."):
        for line in lines:
            config = composer.compose(line)
            identity = config_hash(check_and_resolve(config, line))
            jobs.setdefault(identity, Job(tuple(line), config, identity, label(config, line, swept)))
    return by_seed(list(jobs.values()))


def cannot_vary(key: str) -> ConfigError:
    """Return the error for a key of the whole sweep that has several values."""
    return ConfigError(key, "applies to a whole sweep and cannot vary", "give it one value, or start several sweeps")


def parse(arguments: Sequence[str], params: Mapping[str, Any], loader: ConfigLoader | None = None) -> list[Override]:
    """Return overrides parsed by Hydra, each key once.

    Raises:
        ConfigError: an override that Hydra cannot parse.
    """
    parser = OverridesParser.create(config_loader=loader)
    try:
        of_params = [f"{key}={_hydra_text(value)}" for key, value in params.items()]
        overrides = parser.parse_overrides([*of_params, *arguments])
    except HydraException as error:
        raise translate(error, arguments) from error
    return list({(override.key_or_group, override.package): override for override in overrides}.values())


def combinations(overrides: Iterable[Override]) -> list[list[str]]:
    """Return every combination of the swept values; the last override varies fastest, as in Hydra's basic sweeper.

    Raises:
        ConfigError: an interval, an empty range or glob, or too many combinations.
    """
    choices = [_choices(override) for override in overrides]
    if (number := math.prod(map(len, choices))) > _MAX_RUNS:
        largest = max(choices, key=len)[0].partition("=")[0]
        raise ConfigError(
            largest,
            f"with these values the sweep has {number:,} runs or more; at most {_MAX_RUNS:,} are possible",
            "start several sweeps",
        )
    return [list(combination) for combination in itertools.product(*choices)]


def _choices(override: Override) -> list[str]:
    line = override.input_line or ""
    if not override.is_sweep_override():
        return [line]
    key = override.get_key_element()
    where = Setting(key, line.partition("=")[2])
    if not override.is_discrete_sweep():
        raise ConfigError(where, "an interval cannot be enumerated", "give a choice (a,b) or range(start,stop,step)")
    lines = [f"{key}={value}" for value in itertools.islice(override.sweep_string_iterator(), _MAX_RUNS + 1)]
    if not lines:
        raise ConfigError(where, "has no value", "give one or more")
    return lines


def _check_regularizers(overrides: Iterable[Override], loader: ConfigLoader) -> None:
    """Raise ConfigError for a strength of an unknown regularizer, whatever the strategies are."""
    known = [name for name in loader.get_group_options("regularizer") if name != "none"]
    for override in overrides:
        if is_strength(override.input_line or "") and override.type == OverrideType.CHANGE:
            name = override.key_or_group.split(".")[1]
            if name not in known:
                where = Setting(override.key_or_group, str(override.input_line).partition("=")[2])
                raise ConfigError(where, f"no regularizer {name}{did_you_mean(name, known)}")


def label(config: DictConfig, overrides: Iterable[str], swept: Iterable[str]) -> str:
    """Return the label of a job: its strategy with the strengths that vary, other keys that vary, and its seed."""
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
    """Return the jobs sorted by seed, in order of first appearance, so that early results compare all strategies."""
    order = {seed: number for number, seed in enumerate(dict.fromkeys(job.config.seed for job in jobs))}
    return sorted(jobs, key=lambda job: order[job.config.seed])


def _hydra_text(value: Any) -> str:
    """Return a YAML value in Hydra's grammar."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, or of a study's round.

    Attributes:
        name: name of the sweep or study.
        jobs: in the order in which they run.
        cfg: config of a job, read for settings that all jobs share.
    """

    name: str
    jobs: Sequence[Job]
    cfg: DictConfig

    @property
    def hashes(self) -> list[str]:
        """The declared identities."""
        return [job.config_hash for job in self.jobs]

    def declared(self) -> list[dict[str, Any]]:
        """Return the jobs as the parent run stores them."""
        return [
            {
                "config_hash": job.config_hash,
                "setting": setting_hash(job.config),
                "strategy": strategy(job.config),
                "strategy_code": strategy_code(job.config),
                "data": data_name(job.config),
                "seed": str(job.config.seed),
                "label": job.label,
            }
            for job in self.jobs
        ]

    def child_settings(self, parent: str) -> dict[str, Any]:
        """Return settings that a sweep gives each of its runs."""
        return {
            "tracking.parent": parent,
            "tracking.phase": "sweep",
            "tracking.sweep": self.name,
            **self.common_settings(),
        }

    def common_settings(self) -> dict[str, Any]:
        """Return settings that each run of any sweep or study gets.

        Reuse is on although finished runs are left out: another process may have started the same run since.
        """
        return {"trainer.progress": False, "resume": self.cfg.resume is not False}


def make_plan(jobs: Sequence[Job]) -> Plan:
    """Return the plan of a sweep, named after its data sets and models if the config has no name.

    Raises:
        ConfigError: a setting of the whole sweep varies (experiment files can set it for some jobs).
    """
    first = jobs[0].config
    for key in SWEEP_KEYS:
        if len({str(OmegaConf.select(job.config, key)) for job in jobs}) > 1:
            raise cannot_vary(key)
    data = _joined(data_name(job.config) for job in jobs)
    model = _joined(str(job.config.model.name) for job in jobs)
    return Plan(first.sweep.name or f"{data}-{model}", jobs, first)


def _joined(names: Iterable[str]) -> str:
    """Return ``digits+mnist1d``; of more than three names the first three and the number of others."""
    distinct = list(dict.fromkeys(names))
    others = [f"{len(distinct) - 3}more"] if len(distinct) > 3 else []
    return "+".join([*distinct[:3], *others])


def with_settings(cfg: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """Return a copy of a config with a child's settings."""
    child = cfg.copy()
    for key, value in settings.items():
        OmegaConf.update(child, key, value, force_add=True)
    return child


def settings_as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Return a child's settings as overrides, for a config that is composed in another process."""
    return [f"++{key}={_quoted(value)}" for key, value in settings.items()]


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return QuotedString(str(value), Quote.single).with_quotes()
