"""What is done, running, failed or missing: python pipelines/status.py name=quick"""

import sys

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import run_app
from reglab.config.suggest import did_you_mean
from reglab.errors import ConfigError
from reglab.tracking.uri import resolve


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Prints a table for each task, and a line for each sweep and study."""
    sys.stderr.write("loading MLflow ...\n")
    sys.stderr.flush()
    from rich.console import Console

    from reglab.study import status
    from reglab.tracking.existing import existing
    from reglab.tracking.queries import bury

    store = existing(cfg.tracking.uri, cfg.tracking.experiment)
    bury(store)
    cells = status.cells(store)
    names = list(dict.fromkeys(cell.name for cell in cells))
    if not cells:
        raise ConfigError(f"tracking.experiment={store.experiment}: no sweep or study there; make one: make compare")
    if cfg.name is not None and cfg.name not in names:
        raise ConfigError(f"name={cfg.name}: no such sweep or study{did_you_mean(str(cfg.name), names)}")
    shown = [cell for cell in cells if cfg.name in (None, cell.name)]
    console = Console(highlight=False)
    for table in status.tables(shown):
        console.print(table)
    sys.stdout.write("".join(f"{line}\n" for line in status.summary(shown)))


if __name__ == "__main__":
    run_app(main, "status", check)
