"""Keys that have an effect only together with others; an override without these raises an error that names it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from reglab.schema.compatibility import declared
from reglab.schema.errors import ConfigError, Setting
from reglab.tracking.location import parse_location

Plain = Mapping[str, Any]


class Rule(NamedTuple):
    """When a key has an effect.

    Attributes:
        has_effect: function of the resolved config.
        problem: why it otherwise has none.
        remedy: what to do then.
    """

    has_effect: Callable[[Plain], Any]
    problem: str
    remedy: str = "leave it out"


def check_effect(app: str, overrides: Sequence[str], cfg: DictConfig) -> None:
    """Refuse overrides that have no effect in the config that they compose to.

    Not for sweeps, in which a key may have an effect in some of the runs.

    Args:
        app: pipeline whose config it is.
        overrides: overrides as typed.
        cfg: the composed config.

    Raises:
        ConfigError: names the override.
    """
    rules = _RULES.get(app, {})
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        if key not in rules or value == "null":
            continue
        plain = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(plain, dict)
        rule = rules[key]
        if not rule.has_effect(plain):  # type: ignore[arg-type]
            raise ConfigError(Setting.of(override), rule.problem, rule.remedy)


def _ends_early(plain: Plain) -> bool:
    return any(
        declared(f"regularizer.{name}", node).get("monitors_validation")
        for name, node in plain["regularizer"].items()
        if isinstance(node, Mapping) and "_target_" in node
    )


def _hidden(plain: Plain) -> bool:
    return plain["model"].get("hidden_sizes", True) != []


_EARLY = Rule(_ends_early, "training does not end early", "add regularizer=early_stopping, or leave it out")
_LAYERS = Rule(_hidden, "the network has no hidden layer (model.hidden_sizes=[])")
_BEST = Rule(
    lambda c: not c["run_id"], "restricts the search for the best run, and run_id names a run", "leave out one"
)
_DRAWN = ("nothing is drawn at temperature=0", "set temperature=1, or leave it out")

_RULES: dict[str, dict[str, Rule]] = {
    "train": {
        "trainer.min_epochs": _EARLY,
        "trainer.min_steps": _EARLY,
        "trainer.benchmark": Rule(
            lambda c: c["trainer"]["accelerator"] != "cpu" or not c["trainer"]["benchmark"],
            "requires a GPU",
            "use trainer=gpu, or leave it out",
        ),
        "trainer.limit_test_batches": Rule(
            lambda c: c["data"].get("test_fraction") != 0, "there is no test (data.test_fraction=0)"
        ),
        "model.activation": _LAYERS,
        "model.norm": _LAYERS,
        "data.vocab_size": Rule(
            lambda c: c["data"].get("tokenizer") == "bpe", "is for data.tokenizer=bpe", "use that, or leave it out"
        ),
        "data.split_seed": Rule(lambda c: c["data"].get("split_by") != "time", "data.split_by=time uses no seed"),
        "data.test_fraction": Rule(
            lambda c: c["data"].get("test_fold") is None or c["data"]["test_fraction"] == 0,
            "the test rows are those of data.test_fold",
        ),
        "data.val_fraction": Rule(
            lambda c: c["data"].get("val_fold") is None or c["data"]["val_fraction"] == 0,
            "the validation rows are those of data.val_fold",
        ),
    },
    "study": {
        "study.seeds": Rule(
            lambda c: c["seeds"] in (None, c["study"]["seeds"]),
            "seeds is typed too and takes precedence",
            "leave out one",
        ),
    },
    "export": {"tracking.experiment": _BEST},
    "generate": {
        "tracking.experiment": _BEST,
        "top_k": Rule(lambda c: c["temperature"], *_DRAWN),
        "top_p": Rule(lambda c: c["temperature"], *_DRAWN),
        "generation.seed": Rule(lambda c: c["temperature"] or c["train_mode"], *_DRAWN),
        "passes": Rule(lambda c: c["train_mode"], "needs train_mode=true", "set that, or leave it out"),
    },
    "ui": {
        "ui.port": Rule(
            lambda c: not parse_location(c["tracking"]["uri"]).uri.startswith("http"),
            "tracking.uri is a server, so none is started",
        )
    },
}
