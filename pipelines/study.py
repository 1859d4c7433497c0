"""Tune strategies, confirm them on fresh seeds, and report: python pipelines/study.py study=quick"""

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import run_app


def main(cfg: DictConfig) -> None:
    """Do nothing: the sweeper of conf/study.yaml runs the study."""
    raise NotImplementedError(cfg)


if __name__ == "__main__":
    run_app(main, "study", multirun=True)
