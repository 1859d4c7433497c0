"""Compare tracked runs: python pipelines/report.py tracking.experiment=reglab metric=test/accuracy"""

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys
from reglab.report.folder import check_folder
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import TEST_PARTS, check_choice
from reglab.tracking.location import resolve


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("report", cfg)
    check_choice(direction=cfg.direction, select_by=cfg.select_by, force=cfg.force)
    if cfg.sweep and cfg.filter:
        raise ConfigError(
            Setting("filter", cfg.filter), "a sweep's report covers all its declared runs", "remove sweep or filter"
        )
    if cfg.force and not (cfg.select_by or "").startswith(TEST_PARTS):
        raise ConfigError(Setting("force", True), "allows a test metric in select_by, which has none", "remove it")
    check_folder(cfg.report.dir, cfg.sweep or cfg.tracking.experiment)
    resolve(cfg.tracking.uri, writes=False)


def main(cfg: DictConfig) -> None:
    """Read the runs, write the report, and print the leaderboard and the answer."""
    load_libraries("MLflow, SciPy and matplotlib", ["reglab.study.publish"])
    from reglab.study.publish import compare

    compare(cfg)


if __name__ == "__main__":
    run_app(main, "report", check)
