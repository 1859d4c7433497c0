"""Log a run's network as an MLflow model that is served without reglab: python pipelines/export.py register=NAME"""

from reglab.stopping import use_default_sigint

use_default_sigint()

from omegaconf import DictConfig

from reglab.cli import load_libraries, run_app
from reglab.config.check_pipeline import check_keys, check_run_id
from reglab.schema.errors import ConfigError, Setting
from reglab.tracking.location import resolve


def check(cfg: DictConfig) -> None:
    """Raise ConfigError if the config is invalid."""
    check_keys("export", cfg)
    check_run_id(cfg.run_id)
    for key, value in {"metric": cfg.metric, "data.name": cfg.data.name}.items():
        if cfg.run_id and value is not None:
            raise ConfigError(Setting(key, value), "selects the best run, but run_id is set", "remove one of them")
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Print the URI of the model, and how to use it."""
    load_libraries()
    from reglab.inference.export import export

    export(cfg)


if __name__ == "__main__":
    run_app(main, "export", check)
