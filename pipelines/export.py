"""Logs a run's network as an MLflow model that is served without reglab: python pipelines/export.py register=NAME"""

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import announce_imports, run_app
from reglab.config.keys import check_keys
from reglab.config.run_id import check_run_id
from reglab.tracking.uri import resolve


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    check_keys("export", cfg)
    check_run_id(cfg.run_id)
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Prints the model's URI, and how to use it."""
    announce_imports()
    from reglab.inference.export import export

    export(cfg)


if __name__ == "__main__":
    run_app(main, "export", check)
