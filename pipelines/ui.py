"""Browses the runs in MLflow's UI: python pipelines/ui.py tracking.experiment=reglab ui.port=5000"""

import sys

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import run_app
from reglab.errors import ConfigError
from reglab.tracking.uri import resolve


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    port = cfg.ui.port
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise ConfigError(f"ui.port={port}: give a port between 1 and 65535")
    if not isinstance(cfg.ui.open, bool):
        raise ConfigError(f"ui.open={cfg.ui.open}: give true or false")
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Makes the view, serves it and prints its link, until Ctrl-C."""
    sys.stderr.write("loading MLflow ...\n")
    sys.stderr.flush()
    from reglab.tracking.browse import browse

    browse(cfg.tracking.uri, str(cfg.tracking.experiment), cfg.ui.port, cfg.ui.open)


if __name__ == "__main__":
    run_app(main, "ui", check)
