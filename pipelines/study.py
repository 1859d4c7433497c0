"""Tunes strategies, confirms them on fresh seeds, and reports: python pipelines/study.py study=quick"""

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import run_app


def main(cfg: DictConfig) -> None:
    """Never called: the sweeper of conf/study.yaml does it all."""
    raise NotImplementedError(cfg)


if __name__ == "__main__":
    run_app(main, "study", multirun=True)
