"""Check schedules of strengths."""

from collections.abc import Mapping
from typing import Any

from reglab.schema.constraints import Constraint, Integer, OneOf, is_number
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import Strength
from reglab.schema.suggest import did_you_mean

KEYS: dict[str, dict[str, Constraint | None]] = {
    "constant": {},
    "linear": {"start": None, "epochs": Integer(2)},  # the start follows the strength's own range
    "early": {"until": Integer(1)},
    "late": {"since": Integer(1)},
}


def check_schedules(name: str, node: Mapping[str, Any], strengths: Mapping[str, Strength]) -> None:
    """Check ``regularizer.<name>.schedule``, a mapping of strengths to ``{kind: late, since: 5}`` and the like.

    Args:
        name: name of the regularizer.
        node: config of the regularizer.
        strengths: declared strengths of the regularizer.

    Raises:
        ConfigError: an unknown strength, kind or key, or a value out of range.
    """
    schedules = node.get("schedule") or {}
    section = f"regularizer.{name}.schedule"
    if schedules and not strengths:
        raise ConfigError(section, f"{name} has no strengths", "leave it out")
    if not isinstance(schedules, Mapping):
        raise ConfigError(
            Setting(section, schedules), f"must name strengths, as in {section}.{next(iter(strengths))}.kind=late"
        )
    for key, settings in schedules.items():
        if key in _SETTINGS and key not in strengths:
            raise ConfigError(section, f"must name a strength, as in {section}.{next(iter(strengths))}={_EXAMPLE}")
        if key not in strengths:
            hint = did_you_mean(str(key), strengths) or f" (strengths: {', '.join(strengths)})"
            raise ConfigError(f"{section}.{key}", f"no such strength{hint}")
        if not isinstance(settings, Mapping):
            raise ConfigError(
                Setting(f"{section}.{key}", settings), f"must be a kind with its settings, as in {_EXAMPLE}"
            )
        kind = settings.get("kind")
        OneOf(*KEYS).check(f"{section}.{key}.kind", kind)
        _check_keys(f"{section}.{key}", settings, KEYS[str(kind)])
        if kind == "linear":
            strengths[key].check(f"{section}.{key}.start", settings["start"])
            if not all(is_number(v) and abs(v) < float("inf") for v in (node[key], settings["start"])):
                raise ConfigError(
                    f"{section}.{key}", "a linear schedule cannot start or end at infinity", "give finite numbers"
                )
        elif kind != "constant" and strengths[key].off is None:
            raise ConfigError(Setting(f"{section}.{key}.kind", kind), f"{name} cannot be switched off", "use linear")


_SETTINGS = {"kind"}.union(*KEYS.values())
_EXAMPLE = "{kind:late,since:5}"


def _check_keys(section: str, settings: Mapping[str, Any], rules: Mapping[str, Constraint | None]) -> None:
    for key in settings:
        if key != "kind" and key not in rules:
            raise ConfigError(
                f"{section}.{key}", f"no such key{did_you_mean(str(key), rules)} (keys: {', '.join(rules)})"
            )
    for key in rules:
        if key not in settings:
            raise ConfigError(f"{section}.{key}", "missing", f"kind={settings['kind']} needs {' and '.join(rules)}")
    for key, rule in rules.items():
        if rule is not None:
            rule.check(f"{section}.{key}", settings[key])
