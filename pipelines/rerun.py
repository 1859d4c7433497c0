"""Repeat a tracked run and compare the metrics: python pipelines/rerun.py run_id=ID"""

from reglab.exits import ExitCode
from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys, check_run_id
from reglab.config.trusted import typed
from reglab.tracking.location import resolve


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("rerun", cfg)
    check_run_id(cfg.run_id, "rerun")
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Repeat the run, and end the process with 0 if the metrics are equal, otherwise with 1."""
    load_libraries()
    from reglab.study.rerun import rerun

    if not rerun(cfg.tracking.uri, cfg.run_id, typed(cfg), cfg.tracking.experiment):
        raise ExitCode(1)


if __name__ == "__main__":
    run_app(main, "rerun", check)
