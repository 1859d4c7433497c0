"""Print how many runs are done, running, failed or missing: python pipelines/status.py name=quick"""

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys
from reglab.tracking.location import resolve


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("status", cfg)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Print a table for each task, and a line for each sweep and study."""
    load_libraries("MLflow", ["mlflow"])
    from reglab.study.status import print_status
    from reglab.tracking.store import open_existing

    print_status(open_existing(cfg.tracking.uri, cfg.tracking.experiment), cfg.name)


if __name__ == "__main__":
    run_app(main, "status", check)
