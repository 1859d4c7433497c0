"""Evaluates a tracked network with dropout on: python pipelines/evaluate.py run_id=ID mc_dropout=50"""

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
    check_keys("evaluate", cfg)
    check_run_id(cfg.run_id, "evaluate")
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Prints the figures, and keeps them on the run."""
    announce_imports()
    from reglab.inference.evaluation import evaluate, show, track

    found = evaluate(cfg.tracking.uri, cfg.run_id, cfg.mc_dropout, cfg.seed, typed(cfg), cfg.tracking.experiment)
    track(found)
    show(found)


if __name__ == "__main__":
    run_app(main, "evaluate", check)
