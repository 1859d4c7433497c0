"""The Hydra sweeper `reglab`, which passes the overrides of a multirun to `reglab.study.sweep`.

Hydra imports every module of this package at each start, also for `--help`: heavy imports are inside functions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from hydra_plugins._exit_code_sweeper import ExitCodeSweeper


@dataclass
class ReglabSweeperConf:
    """`params` are overrides of an experiment's YAML; those of the command line take precedence."""

    _target_: str = "hydra_plugins.reglab_sweeper.ReglabSweeper"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="reglab", node=ReglabSweeperConf, provider="reglab")


class ReglabSweeper(ExitCodeSweeper):
    """One parent run and its children, trained by Hydra's launcher; see `reglab.study.sweep`."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.params = dict(params)

    def run(self, arguments: list[str], context: HydraContext, config: DictConfig) -> int:
        """Run every combination of the overrides."""
        from reglab.execution.launchers import Launch
        from reglab.schema.keys import RUN
        from reglab.study.sweep import sweep

        RUN["workers"].check("workers", config.workers)
        return sweep(arguments, params=self.params, launch=Launch(context, config, workers=config.workers))
