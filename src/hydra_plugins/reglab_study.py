"""The Hydra sweeper `reglab_study`, which passes a study's config to `reglab.study.run_study`.

Hydra imports every module of this package at each start, also for `--help`: heavy imports are inside functions.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from hydra_plugins._exit_code_sweeper import ExitCodeSweeper


@dataclass
class ReglabStudyConf:
    """The sweeper has no options; the config's `study` section defines the study."""

    _target_: str = "hydra_plugins.reglab_study.ReglabStudy"


ConfigStore.instance().store(group="hydra/sweeper", name="reglab_study", node=ReglabStudyConf, provider="reglab")


class ReglabStudy(ExitCodeSweeper):
    """One parent run and its children, trained by Hydra's launcher; see `reglab.study.run_study`."""

    def run(self, arguments: list[str], context: HydraContext, config: DictConfig) -> int:
        """Run what is missing of the study."""
        from reglab.config.compose import Composer
        from reglab.execution.launchers import Launch
        from reglab.study.definition import check_options
        from reglab.study.run_study import run_study

        cfg = Composer(str(config.hydra.job.config_name), loader=context.config_loader).compose(arguments)
        check_options(cfg)
        basic = str(config.hydra.launcher._target_).endswith(".BasicLauncher")
        workers = -1 if cfg.workers is None and basic else cfg.workers  # -1: as many as there are cores
        return run_study(cfg, arguments, Launch(context, config, config_name="train", workers=workers))
