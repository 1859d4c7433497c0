"""Evaluate a tracked network with Monte-Carlo dropout: python pipelines/evaluate.py run_id=ID mc_dropout=50"""

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys, check_run_id
from reglab.config.trusted import typed
from reglab.tracking.location import resolve


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("evaluate", cfg)
    check_run_id(cfg.run_id, "evaluate")
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Print the metrics, and log them on the run."""
    load_libraries()
    from reglab.inference.evaluation import evaluate, log, print_table

    found = evaluate(cfg.tracking.uri, cfg.run_id, cfg.mc_dropout, cfg.seed, typed(cfg), cfg.tracking.experiment)
    log(found)
    print_table(found)


if __name__ == "__main__":
    run_app(main, "evaluate", check)
