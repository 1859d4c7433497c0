"""Check the configs of studies and of pipelines that read tracked runs; `check_run` checks those of runs."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reglab.config.hydra_errors import translate
from reglab.schema.constraints import Constraints, check_values
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.keys import PIPELINES
from reglab.schema.suggest import did_you_mean, section_error

# In the section that all apps share; on the command line an app accepts only its own keys.
_SHARED = ("tracking.weights", "tracking.parent", "tracking.phase", "tracking.experiment")


def check_keys(app: str, cfg: DictConfig) -> None:
    """Check the config of an app.

    Args:
        app: one of `PIPELINES`.
        cfg: composed, without Hydra's section.

    Raises:
        ConfigError: an unknown key, a missing key, or an invalid value.
    """
    check_known(PIPELINES[app], resolve_config(cfg, app))


def resolve_config(cfg: DictConfig, app: str) -> dict[str, Any]:
    """Return a config as plain values.

    Raises:
        ConfigError: an interpolation of an unknown key, or a missing mandatory value.
    """
    try:
        plain = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise translate(error, (), app) from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def check_known(rules: Constraints, plain: Mapping[str, Any], skip: Collection[str] = ()) -> None:
    """Refuse keys without a rule, missing keys, and invalid values.

    Args:
        rules: constraint of each key.
        plain: a resolved config.
        skip: sections that are checked elsewhere.

    Raises:
        ConfigError: names the key.
    """
    check_sections(rules, plain)
    skipped = tuple(f"{section}." for section in skip)
    present = dict(flatten(plain, rules))
    for key in present:
        if key not in rules and key not in _SHARED and not key.startswith(skipped):
            raise ConfigError(key, f"no such key{did_you_mean(key, rules) or ' (keys: ' + ', '.join(rules) + ')'}")
    for key in rules:
        if key not in present and not key.startswith(skipped):
            raise ConfigError(key, "missing", f"leave out ~{key}")
    check_values({key: rule for key, rule in rules.items() if not key.startswith(skipped)}, plain)


def check_sections(rules: Constraints, plain: Mapping[Any, Any]) -> None:
    """Refuse a value where a section is required.

    Raises:
        ConfigError: names the section, and a key of it.
    """
    for key in rules:
        section, _, inner = key.partition(".")
        if inner and section in plain and not isinstance(plain[section], Mapping):
            raise section_error(Setting(section, plain[section]), [key])


def flatten(node: Mapping[Any, Any], rules: Constraints, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys with their values; the value of a key that has a rule is not flattened."""
    for key, value in node.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and dotted not in rules and value:
            yield from flatten(value, rules, f"{dotted}.")
        else:
            yield dotted, value


def check_run_id(value: Any, target: str | None = None) -> None:
    """Raise unless a value is the id of a run, or is null and a run is not required.

    Args:
        value: value of the key ``run_id``; None if no run was named.
        target: make target that requires a run; None: a run is not required.

    Raises:
        ConfigError: none was given, or one of digits alone (and an e, perhaps), which Hydra reads as a number.
    """
    if value in (None, ""):
        if target is not None:
            raise ConfigError(
                Setting("run_id", None),
                f"give the id of a tracked run, as in make {target} RUN_ID=ID",
                "make train prints it",
            )
    elif not isinstance(value, str):
        raise ConfigError(Setting("run_id", value), "was read as a number", "quote it twice: run_id=\"'ID'\"")
