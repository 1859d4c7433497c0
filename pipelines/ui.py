"""Browses the runs in MLflow's UI: python pipelines/ui.py tracking.experiment=reglab ui.port=5000"""

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import run_app
from reglab.config.keys import check_keys
from reglab.streams import note
from reglab.tracking.place import resolve


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    check_keys("ui", cfg)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Makes the view, serves it and prints its link, until Ctrl-C."""
    note("loading MLflow ...")
    from reglab.tracking.browse import browse

    browse(cfg.tracking.uri, str(cfg.tracking.experiment), cfg.ui.port, cfg.ui.open)


if __name__ == "__main__":
    run_app(main, "ui", check)
