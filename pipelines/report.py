"""Compares what is tracked: python pipelines/report.py tracking.experiment=reglab metric=test/accuracy"""

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import run_app
from reglab.config.keys import check_keys
from reglab.report.folder import check_folder
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import TESTS, check_choice
from reglab.streams import note
from reglab.tracking.place import resolve


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    check_keys("report", cfg)
    check_choice(direction=cfg.direction, select_by=cfg.select_by, force=cfg.force)
    if cfg.sweep and cfg.filter:
        raise ConfigError(
            Setting("filter", cfg.filter), "a sweep's report is of all that it declared", "leave out sweep or filter"
        )
    if cfg.force and not (cfg.select_by or "").startswith(TESTS):
        raise ConfigError(Setting("force", True), "lets a test metric choose, and select_by names none", "leave it out")
    check_folder(cfg.report.dir, cfg.sweep or cfg.tracking.experiment)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Reads the runs, writes the report, and prints the leaderboard and the answer."""
    note("loading MLflow, SciPy and matplotlib ...")
    from reglab.study.publish import compare

    compare(cfg)


if __name__ == "__main__":
    run_app(main, "report", check)
