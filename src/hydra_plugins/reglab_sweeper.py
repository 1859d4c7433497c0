"""The Hydra sweeper `reglab`: hands a multirun's overrides to reglab.study.sweep.

Hydra imports every module of this package at each start, `--help` included: nothing heavy here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from hydra_plugins._ending import Ending


@dataclass
class ReglabSweeperConf:
    """`params` holds overrides that an experiment's YAML sets; those of the command line win."""

    _target_: str = "hydra_plugins.reglab_sweeper.ReglabSweeper"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="reglab", node=ReglabSweeperConf, provider="reglab")


class ReglabSweeper(Ending):
    """One parent run and its children; see `reglab.study.sweep.sweep`."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.params = dict(params)

    def work(self, arguments: list[str], context: HydraContext, config: DictConfig) -> int:
        """Runs every combination of the overrides."""
        from reglab.execution.launchers import Launch
        from reglab.schema.rules import TRAIN
        from reglab.study.sweep import sweep

        TRAIN["workers"].check("workers", config.workers)
        return sweep(arguments, params=self.params, launch=Launch(context, config, workers=config.workers))
