"""Runs a tracked run again and compares the numbers: python pipelines/rerun.py run_id=ID"""

from reglab.exits import ExitCode
from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import announce_imports, run_app
from reglab.config.keys import check_keys
from reglab.config.run_id import check_run_id
from reglab.config.trusted import typed
from reglab.tracking.place import resolve


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    check_keys("rerun", cfg)
    check_run_id(cfg.run_id, "rerun")
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Trains it anew and ends the process with 0 where the numbers are equal, else with 1."""
    announce_imports()
    from reglab.study.rerun import rerun

    if not rerun(cfg.tracking.uri, cfg.run_id, typed(cfg), cfg.tracking.experiment):
        raise ExitCode(1)


if __name__ == "__main__":
    run_app(main, "rerun", check)
