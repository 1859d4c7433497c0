"""The keys of studies and of the apps that read tracked runs, with their rules; those of runs are in `rules.TRAIN`."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reglab.config.explain import explain
from reglab.config.trainer_keys import TRAINER
from reglab.samplers import sampler_names
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.rules import (
    METRICS,
    PATH,
    SEED,
    TRAIN,
    WORKERS,
    YES_NO,
    Rule,
    apply,
    label,
    list_of,
    mapping,
    number,
    one_of,
    or_null,
    positive,
    text,
    whole,
)
from reglab.schema.suggest import did_you_mean

_URI = {"tracking.uri": or_null(text(4000))}
_EXPERIMENT = {**_URI, "tracking.experiment": label()}
_ANY_EXPERIMENT = {"tracking.experiment": or_null(label(), "any experiment")}
_RUN = {
    "run_id": Rule(
        lambda v: v in (None, "") or (isinstance(v, int | float) and not isinstance(v, bool)) or text().fits(v),
        "the id of a tracked run",
    )
}
# Settings of a tracked run that have to be typed again: see `reglab.config.trusted`.
_OWN = {
    "model.target": or_null(text()),
    "model.args": or_null(mapping()),
    "model.path": or_null(PATH),
    "code": or_null(one_of("changed"), "a run of other code is refused"),
}
_FILES = {f"data.{key}": or_null(PATH) for key in ("path", "root", "tokenizer", "cache")}
_REGISTERED = Rule(
    lambda v: text().fits(v) and not set(v) & set("/:'\"") and v.strip(".") != "",
    "a name without / : and quotes (a number in quotes, twice)",
)

APPS: dict[str, dict[str, Rule]] = {
    "report": {
        "sweep": or_null(label()),
        "filter": Rule(lambda v: v in (None, "") or text(10_000).fits(v), "text in MLflow's filter language"),
        "metric": or_null(text()),
        "direction": or_null(one_of("max", "min")),
        "baseline": text(1000),
        "select_by": or_null(text()),
        "force": YES_NO,
        "report.dir": or_null(PATH),
        **_EXPERIMENT,
    },
    "status": {"name": or_null(label()), **_EXPERIMENT},
    "rerun": {**_RUN, **_OWN, **_FILES, **_URI, **_ANY_EXPERIMENT},
    "evaluate": {**_RUN, "mc_dropout": whole(2, 100_000), "seed": SEED, **_OWN, **_FILES, **_URI, **_ANY_EXPERIMENT},
    "export": {
        **_RUN,
        "register": or_null(_REGISTERED, "not registered"),
        "metric": or_null(one_of(*(name for name in METRICS if name.startswith(("test/", "val/"))))),
        "data.name": or_null(label()),
        **_OWN,
        **_FILES,
        **_EXPERIMENT,
    },
    "generate": {
        **_RUN,
        "prompt": Rule(lambda v: isinstance(v, str), "text"),
        "max_new_tokens": whole(1, 1_000_000),
        "temperature": Rule(
            lambda v: number(0.0).fits(v) and (v == 0 or 1e-3 <= v <= 1e3), "0 (greedy), or a number from 0.001 to 1000"
        ),
        "top_k": or_null(whole(1), "all"),
        "top_p": or_null(Rule(lambda v: number(1e-6, 1).fits(v), "a number above 0 and at most 1"), "all"),
        "cache": YES_NO,
        "train_mode": YES_NO,
        "passes": whole(2, 100_000),
        "threads": TRAINER["threads"],
        "generation.seed": SEED,
        **_OWN,
        **_EXPERIMENT,
    },
    "ui": {"ui.port": whole(1, 65535), "ui.open": YES_NO, **_EXPERIMENT},
}
FIRST_TUNING_SEED = 1000  # confirmation seeds begin at 0 and never reach it
_SEEDS = Rule(whole(1, FIRST_TUNING_SEED).fits, f"a whole number from 1 to {FIRST_TUNING_SEED}")

STUDY: dict[str, Rule] = {
    "seeds": or_null(_SEEDS, "study.seeds"),
    "workers": or_null(WORKERS, "as many as there are cores"),
    **dict.fromkeys(("dry_run", "resume", "fail_fast"), YES_NO),
    "report.dir": or_null(PATH),
    **_EXPERIMENT,
    "tracking.weights": TRAIN["tracking.weights"],
    "study.name": label(),
    "study.version": whole(1),
    "study.tasks": Rule(lambda v: True, "a list of tasks"),  # see `reglab.study.definition`
    "study.common": or_null(Rule(mapping().fits, "overrides, as in {trainer:{max_epochs:30}}")),
    "study.strategies": list_of(Rule(lambda v: isinstance(v, str | list) and bool(v), "a strategy"), least=1),
    "study.space": or_null(Rule(mapping().fits, "ranges, as in {optimizer:{lr:{low:1e-4,high:1e-2,log:true}}}")),
    "study.trials": whole(1, 10_000),
    "study.max_seconds": or_null(positive()),
    "study.tuning_seeds": whole(1, 1000),
    "study.seeds": _SEEDS,
    "study.sampler": one_of(*sampler_names()),
    "study.search_seed": SEED,
    "study.pruning": or_null(Rule(mapping().fits, "as in {eta:3,rungs:3}")),
    "study.metric": one_of(*METRICS),
    "study.direction": or_null(one_of("max", "min")),
    "study.select_by": or_null(one_of(*METRICS, *(f"best/{name}" for name in METRICS if name.startswith("val/")))),
    "study.baseline": text(1000),
}
APPS["study"] = STUDY
# In the section that all apps share; on the command line an app accepts only its own keys.
_SHARED = ("tracking.weights", "tracking.parent", "tracking.phase", "tracking.experiment")


def check_keys(app: str, cfg: DictConfig) -> None:
    """Check the config of an app.

    Args:
        app: one of `APPS`.
        cfg: composed, without Hydra's section.

    Raises:
        ConfigError: an unknown key, a missing key, or an invalid value.
    """
    check_known(APPS[app], resolved(cfg, app))


def resolved(cfg: DictConfig, app: str) -> dict[str, Any]:
    """Return a config as plain values.

    Raises:
        ConfigError: an interpolation of an unknown key, or a missing mandatory value.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise ConfigError(explain(error, (), app)) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def check_known(rules: Mapping[str, Rule], plain: Mapping[str, Any], leave: Collection[str] = ()) -> None:
    """Refuse keys without a rule, keys that are missing, and values that do not fit.

    Args:
        rules: of all keys.
        plain: a resolved config.
        leave: sections that are checked elsewhere.

    Raises:
        ConfigError: names the key.
    """
    check_sections(rules, plain)
    left = tuple(f"{section}." for section in leave)
    there = dict(leaves(plain, rules))
    for key in there:
        if key not in rules and key not in _SHARED and not key.startswith(left):
            raise ConfigError(key, f"no such key{did_you_mean(key, rules) or ' (keys: ' + ', '.join(rules) + ')'}")
    for key in rules:
        if key not in there and not key.startswith(left):
            raise ConfigError(key, "missing", f"leave out ~{key}")
    apply({key: rule for key, rule in rules.items() if not key.startswith(left)}, plain)


def check_sections(rules: Mapping[str, Rule], plain: Mapping[Any, Any]) -> None:
    """Refuse a value where a section is required.

    Raises:
        ConfigError: names the section, and a key of it.
    """
    for key in rules:
        section, _, inner = key.partition(".")
        if inner and section in plain and not isinstance(plain[section], Mapping):
            raise ConfigError(Setting(section, plain[section]), "is a section and no value", f"set {key}")


def leaves(node: Mapping[Any, Any], rules: Mapping[str, Rule], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys with their values; the value of a key that has a rule is not flattened."""
    for key, value in node.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and dotted not in rules and value:
            yield from leaves(value, rules, f"{dotted}.")
        else:
            yield dotted, value
