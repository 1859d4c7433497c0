"""What a sweep is to do, known before anything heavy is imported."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString
from omegaconf import DictConfig, OmegaConf

from reglab.config.identity import data_name, setting_hash, strategy, strategy_code
from reglab.execution.expand import SHARED, Job, not_shared
from reglab.schema.errors import ConfigError


@dataclass(frozen=True)
class Plan:
    """A sweep's jobs and what they share.

    Attributes:
        name: of the sweep.
        jobs: in the order in which they run.
        cfg: one job's config, for what all share.
    """

    name: str
    jobs: Sequence[Job]
    cfg: DictConfig

    @property
    def hashes(self) -> list[str]:
        """The identities that the sweep declares."""
        return [job.config_hash for job in self.jobs]

    def declared(self) -> list[dict[str, Any]]:
        """The jobs as the parent run keeps them."""
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
        """Settings that a sweep gives each of its runs: its parent, and no progress bar."""
        return {
            "tracking.parent": parent,
            "tracking.phase": "sweep",
            "tracking.sweep": self.name,
            "trainer.progress": False,
            "resume": self.cfg.resume is not False,  # the sweep has looked, but others may have begun since
        }


def make_plan(jobs: Sequence[Job]) -> Plan:
    """The plan of a sweep, named after its data and models where the config names none.

    Raises:
        ConfigError: a setting that belongs to the whole sweep varies (experiments can differ in it).
    """
    first = jobs[0].config
    for key in SHARED:
        if len({str(OmegaConf.select(job.config, key)) for job in jobs}) > 1:
            raise ConfigError(not_shared(key))
    data = _joined(data_name(job.config) for job in jobs)
    model = _joined(str(job.config.model.name) for job in jobs)
    return Plan(first.sweep.name or f"{data}-{model}", jobs, first)


def _joined(names: Iterable[str]) -> str:
    """``digits+mnist1d``; of more than three the first three and how many more: a name must stay readable."""
    distinct = list(dict.fromkeys(names))
    more = [f"{len(distinct) - 3}more"] if len(distinct) > 3 else []
    return "+".join([*distinct[:3], *more])


def as_child(cfg: DictConfig, settings: Mapping[str, Any]) -> DictConfig:
    """A copy of the config with a child's settings."""
    child = cfg.copy()
    for key, value in settings.items():
        OmegaConf.update(child, key, value, force_add=True)
    return child


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """The same for a config that is composed elsewhere."""
    return [f"++{key}={_quoted(value)}" for key, value in settings.items()]


def _quoted(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return QuotedString(str(value), Quote.single).with_quotes()
