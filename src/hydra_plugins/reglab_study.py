"""The Hydra sweeper `reglab_study`: hands a study's config to reglab.study.conduct.

Hydra imports every module of this package at each start, `--help` included: nothing heavy here.
"""

from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext
from omegaconf import DictConfig

from hydra_plugins._ending import Ending


@dataclass
class ReglabStudyConf:
    """What is to be done stands in the config's `study` section."""

    _target_: str = "hydra_plugins.reglab_study.ReglabStudy"


ConfigStore.instance().store(group="hydra/sweeper", name="reglab_study", node=ReglabStudyConf, provider="reglab")


class ReglabStudy(Ending):
    """One parent run and its children, placed by whatever launcher Hydra was given; see `reglab.study.conduct`."""

    def work(self, arguments: list[str], context: HydraContext, config: DictConfig) -> int:
        """Does what is missing of the study."""
        from reglab.config.compose import Composer
        from reglab.execution.launchers import Launch
        from reglab.study.conduct import conduct
        from reglab.study.definition import check_options

        cfg = Composer(str(config.hydra.job.config_name), loader=context.config_loader).compose(arguments)
        check_options(cfg)
        basic = str(config.hydra.launcher._target_).endswith(".BasicLauncher")
        workers = -1 if cfg.workers is None and basic else cfg.workers  # as many as there are cores
        return conduct(cfg, arguments, Launch(context, config, config_name="train", workers=workers))
