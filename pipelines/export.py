"""Logs a run's network as an MLflow model that is served without reglab: python pipelines/export.py register=NAME"""

from reglab.stopping import end_silently

end_silently()

from omegaconf import DictConfig

from reglab.cli import announce_imports, run_app
from reglab.config.rules import METRICS, Rule, apply, one_of, or_null, text
from reglab.config.run_id import check_run_id
from reglab.tracking.uri import resolve

RULES = {
    "register": or_null(
        Rule(
            lambda v: isinstance(v, str) and bool(v.strip()) and not set(v) & set("/:'\"") and v.strip(".") != "",
            "a name without / : and quotes (a number in quotes, twice)",
        ),
        "not registered",
    ),
    "metric": or_null(one_of(*(name for name in METRICS if name.startswith(("test/", "val/"))))),
    "data.name": or_null(text()),
    "tracking.experiment": text(),
}


def check(cfg: DictConfig) -> None:
    """Refuses what the config alone shows to be wrong."""
    apply(RULES, cfg)
    check_run_id(cfg.run_id)
    resolve(cfg.tracking.uri)


def main(cfg: DictConfig) -> None:
    """Prints the model's URI, and how to use it."""
    announce_imports()
    from reglab.inference.export import export

    export(cfg)


if __name__ == "__main__":
    run_app(main, "export", check)
