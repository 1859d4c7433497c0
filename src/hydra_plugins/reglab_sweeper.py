"""The Hydra sweeper `reglab`: hands a multirun's overrides to reglab.study.sweep.

Hydra imports every module of this package at each start, `--help` included: nothing heavy here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


@dataclass
class ReglabSweeperConf:
    """`params` holds overrides that an experiment's YAML sets; those of the command line win."""

    _target_: str = "hydra_plugins.reglab_sweeper.ReglabSweeper"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="reglab", node=ReglabSweeperConf, provider="reglab")


class ReglabSweeper(Sweeper):
    """One parent run and its children; see `reglab.study.sweep.sweep`."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.params = dict(params)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context = hydra_context
        self.config = config

    def sweep(self, arguments: list[str]) -> int:
        """Runs every combination of the overrides; ends the process with the sweep's exit code unless it is 0."""
        from reglab.cli import past_hydra

        assert self.config is not None
        assert self.hydra_context is not None
        with past_hydra():
            from reglab.config.rules import or_null, whole
            from reglab.study.launch import Launch
            from reglab.study.sweep import sweep

            or_null(whole(1), "what the launcher says").check("workers", self.config.workers)
            launch = Launch(self.hydra_context, self.config, workers=self.config.workers)
            code = sweep(arguments, params=self.params, launch=launch)
        if code:
            raise SystemExit(code)
        return code
