"""Browse the runs in MLflow's UI: python pipelines/ui.py tracking.experiment=reglab ui.port=5000"""

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys
from reglab.tracking.location import resolve


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("ui", cfg)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Create the view, serve it and print its link, until Ctrl-C."""
    load_libraries("MLflow", ["mlflow"])
    from reglab.tracking.ui import browse

    browse(cfg.tracking.uri, str(cfg.tracking.experiment), cfg.ui.port, cfg.ui.open)


if __name__ == "__main__":
    run_app(main, "ui", check)
