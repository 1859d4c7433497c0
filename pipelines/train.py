"""Train one run, or with -m a sweep: python pipelines/train.py regularizer=dropout regularizer.dropout.p=0.3"""

from reglab.schema.metrics import METRICS
from reglab.stopping import use_default_sigint

use_default_sigint()

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_run import check
from reglab.streams import write_line


def main(cfg: DictConfig) -> None:
    """Train the composed config, track the run, and print its test metrics, id and link."""
    load_libraries()
    from reglab.tracking.store import open_store
    from reglab.tracking.view import run_link
    from reglab.training.run import run

    result = run(cfg, list(HydraConfig.get().overrides.task))
    names = [f"test/{metric.name}" for metric in METRICS.values() if metric.summary]
    metrics = "  ".join(f"{name} {result.metrics[name]:.4f}" for name in names if name in result.metrics)
    write_line(f"{result.strategy}  {metrics or 'no test rows'}")
    write_line(f"run {result.run_id}{' (finished before: reused)' if result.reused else ''}")
    write_line(run_link(open_store(cfg.tracking.uri, cfg.tracking.experiment), result.run_id))


if __name__ == "__main__":
    run_app(main, "train", check)
