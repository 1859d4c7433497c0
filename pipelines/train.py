"""One run, or with -m a sweep: python pipelines/train.py regularizer=dropout regularizer.dropout.p=0.3"""

import sys

from reglab.stopping import end_silently

end_silently()

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from reglab.cli import announce_imports, run_app
from reglab.config.check import check


def main(cfg: DictConfig) -> None:
    """Trains the composed config, tracks it, and prints what came of it."""
    announce_imports()
    from reglab.tracking.link import run_link
    from reglab.tracking.store import open_store
    from reglab.training.run import run

    result = run(cfg, list(HydraConfig.get().overrides.task))
    figures = "  ".join(f"{name} {value:.4f}" for name, value in result.metrics.items() if name.startswith("test/"))
    sys.stdout.write(f"{result.strategy}  {figures or 'no test rows'}\n")
    sys.stdout.write(f"run {result.run_id}{' (finished before: reused)' if result.reused else ''}\n")
    sys.stdout.write(f"{run_link(open_store(cfg.tracking.uri, cfg.tracking.experiment), result.run_id)}\n")


if __name__ == "__main__":
    run_app(main, "train", check)
