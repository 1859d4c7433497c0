"""The command line of a pipeline: the text of ``--help``, and checks of overrides that would have no effect."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.conf import HydraConf
from hydra.core.override_parser.types import ChoiceSweep, Override, OverrideType
from hydra.errors import HydraException

from reglab.config.compose import parse
from reglab.paths import CONF
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.help import HELP, list_of_keys
from reglab.schema.keys import PIPELINES
from reglab.schema.suggest import nearest, no_such_option_error
from reglab.schema.text import one_line, quote_value

SET_BY_A_SWEEP = tuple(f"tracking.{key}" for key in ("parent", "phase", "sweep", "study", "tuned", "rerun_of"))
# Without report.dir: scripts may pass it with each command.
OF_SWEEPS = ("workers", "fail_fast", "sweep.name", "metric", "direction", "baseline", "select_by")
_HYDRA_OF_SWEEPS = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweep")  # prefixes
_SET_BY_HYDRA = (
    *("hydra.mode", "hydra.runtime", "hydra.overrides"),
    *("hydra.job.id", "hydra.job.num", "hydra.job.override_dirname", "hydra.job.config_name"),
)
_CLASSES = ("data", "model", "optimizer", "scheduler", "trainer")  # sections that are handed to a class
_LONGEST = 200  # characters of an option, which is the name of a file
_TAKE_SEVERAL = ("regularizer",)  # groups of which a run takes several options


def check_line(overrides: Sequence[str], app: str, folder: Path = CONF) -> None:
    """Refuse overrides that would be ignored.

    Overrides that Hydra cannot parse are left to Hydra.

    Args:
        overrides: overrides as typed.
        app: name of the app whose config they change.
        folder: the config tree.

    Raises:
        ConfigError: several options for a group that takes one, a key of another app, or a key that sweeps set.
    """
    parsed = [
        (override, parsed_override) for override in overrides if (parsed_override := _parsed(override)) is not None
    ]
    typed_keys = {override.key_or_group for _, override in parsed if override.type != OverrideType.DEL}
    sections_with_class = {key.removesuffix("._target_") for key in typed_keys if key.endswith("._target_")}
    for typed, override in parsed:
        key = override.key_or_group
        if override.value() == "???":
            raise ConfigError(Setting.of(typed), f"a value must be given, as in {key}=VALUE")
        _check_options(typed, override, folder)
        if key.split("@")[0] in SET_BY_A_SWEEP:
            raise ConfigError(Setting.of(typed), f"sweeps, studies and reruns set {key} themselves", "leave it out")
        if key.startswith("hydra.") and key.split(".")[1] not in HydraConf.__dataclass_fields__:
            raise ConfigError(Setting.of(typed), "Hydra has no such key", "leave it out (see --hydra-help)")
        if key == "hydra.launcher.n_jobs" and "workers" in typed_keys:
            raise ConfigError(Setting.of(typed), "workers is typed too and takes precedence", "leave out one")
        if key.startswith(_SET_BY_HYDRA):
            raise ConfigError(
                Setting.of(typed), "Hydra sets it from the command line (-m starts a sweep)", "leave it out"
            )
        if key.startswith("hydra.job.env_"):
            raise ConfigError(
                Setting.of(typed), "would be set after the checks, and not be tracked", "set variables in the shell"
            )
        if key.startswith("regularizer._"):
            where = key.removeprefix("regularizer._space_.")
            raise ConfigError(
                Setting.of(typed), "ranges are searched by studies", f"set study.space.regularizer.{where}"
            )
        section, _, inner = key.partition(".")
        deleted = override.type == OverrideType.DEL and inner and section in _CLASSES
        if app == "train" and deleted and section not in sections_with_class:
            raise ConfigError(
                Setting.of(typed),
                "would use the default of the class, which the config does not show",
                f"set {key}=VALUE",
            )
        if app in PIPELINES:
            _refuse_deleted(typed, override)
            _refuse_keys_of_other_apps(typed, key, app)


def split_mappings(overrides: Sequence[str]) -> list[str]:
    """Split each mapping into one override per key: ``tracking={uri:A}`` becomes ``tracking.uri=A``."""
    split: list[str] = []
    for typed in overrides:
        override = _parsed(typed)
        if override is None or override.package is not None or override.type == OverrideType.DEL:
            split.append(typed)
            continue
        value = override.value()
        split += _leaves(override.get_key_element(), value) if isinstance(value, Mapping) and value else [typed]
    return split


def _leaves(key: str, node: Mapping[Any, Any]) -> Iterator[str]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(f"{key}.{name}", value)
        else:
            yield f"{key}.{name}={quote_value(value)}"


def notes_on_replaced(overrides: Sequence[str]) -> list[str]:
    """Return one sentence for each override that a later one of the same key replaces."""
    sentences: list[str] = []
    seen: dict[tuple[str, str | None], str] = {}
    for typed in overrides:
        override = _parsed(typed)
        if override is None or override.type == OverrideType.DEL:
            continue
        key = (override.key_or_group, override.package)
        if seen.get(key, typed) != typed:
            sentences.append(one_line(f"{seen[key]} is replaced by {typed}, which comes later"))
        seen[key] = typed
    return sentences


def notes_on_ineffective(overrides: Sequence[str], app: str) -> list[str]:
    """Return one sentence for each override of a single run that is accepted but has an effect only in sweeps."""
    if app != "train":
        return []
    return [one_line(f"{typed} has an effect only in sweeps") for typed in overrides if typed.startswith("report.dir=")]


def check_mode(overrides: Sequence[str], app: str, *, multirun: bool) -> None:
    """Refuse overrides of a single run that have an effect only in sweeps, and the reverse.

    Args:
        overrides: overrides as typed, without nested mappings.
        app: name of the app whose config they change.
        multirun: whether Hydra's flag ``-m`` is given.

    Raises:
        ConfigError: names the override.
    """
    of_sweeps = (*_HYDRA_OF_SWEEPS, *OF_SWEEPS) if app == "train" else _HYDRA_OF_SWEEPS
    remedy = "add -m, or leave it out" if app == "train" else "leave it out"
    for typed in overrides:
        key = override.key_or_group if (override := _parsed(typed)) is not None else ""
        if not multirun and key.startswith(of_sweeps):
            raise ConfigError(Setting.of(typed), "has an effect only in sweeps", remedy)
        if multirun and key.startswith("hydra.run."):
            raise ConfigError(
                Setting.of(typed), "has an effect only in a single run", "leave it out (of sweeps: hydra.sweep.dir)"
            )


def _parsed(override: str) -> Override | None:
    try:
        return parse(override)
    except HydraException:
        return None


def _check_options(typed: str, override: Override, folder: Path) -> None:
    """Refuse options of a group that are paths, a list where the group takes one option, and repeated options."""
    group = override.key_or_group
    if not (folder / group).is_dir():
        return
    for value in _values(override):
        if isinstance(value, str) and (value.startswith("/") or ".." in value or len(value) > _LONGEST):
            options = [path.stem for path in (folder / group).glob("[!_]*.yaml")]
            raise no_such_option_error(Setting(group, value), options)
        if not isinstance(value, list):
            continue
        names = [str(name) for name in value]
        if group not in _TAKE_SEVERAL:
            several = ",".join(names)
            remedy = f"; in a sweep (-m) several are {group}={several}" if len(names) > 1 else f": {group}={several}"
            raise ConfigError(Setting.of(typed), f"must be one option, not a list{remedy}")
        if not all(isinstance(name, str) for name in value):
            raise ConfigError(Setting.of(typed), f"must be a name, or a list of names as in {group}=[dropout,l2]")
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise ConfigError(Setting.of(typed), f"names {repeated} twice", "leave one out")


def _values(override: Override) -> Iterator[object]:
    value = override.value()
    if isinstance(value, ChoiceSweep):
        yield from value.list
    else:
        yield value


def _refuse_deleted(typed: str, override: Override) -> None:
    key = override.key_or_group
    if override.type == OverrideType.DEL and not key.startswith(("hydra", "study.common", "study.space")):
        raise ConfigError(Setting.of(typed), f"{key} is needed", "leave this out")


def _refuse_keys_of_other_apps(typed: str, key: str, app: str) -> None:
    """Refuse keys of a shared section that this app never reads."""
    own = PIPELINES[app]
    if app == "generate" and key.startswith("data."):
        raise ConfigError(Setting.of(typed), "generate reads no data; the tokenizer is the run's", "leave it out")
    if key.startswith("tracking.") and key not in own:
        tracking_keys = [known_key.partition(".")[2] for known_key in own if known_key.startswith("tracking.")]
        near = nearest(key.partition(".")[2], tracking_keys)
        hint = f"; did you mean tracking.{near}?" if near else f" (keys of tracking: {', '.join(tracking_keys)})"
        raise ConfigError(Setting.of(typed), f"no such key{hint}")


def help_text(config_name: str, folder: Path = CONF) -> str | None:
    """Return the text of ``--help``; None if the config has no template in ``hydra.help``, which leaves it to Hydra.

    ``$KEYS`` in a template stands for `reglab.schema.help`, ``$APP_CONFIG_GROUPS`` for the groups of the config tree.
    """
    path = folder / f"{config_name}.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    help_section: dict[str, Any] = ((config or {}).get("hydra") or {}).get("help") or {}
    if "template" not in help_section:
        return None
    text: str = help_section["template"].replace("$APP_CONFIG_GROUPS", _groups(config_name, folder))
    if config_name in HELP:
        text = text.replace("$KEYS", list_of_keys(config_name, _defaults(config_name, folder)))
    for name in ("app_name", "header", "footer"):
        text = text.replace(f"${{hydra.help.{name}}}", str(help_section.get(name, "")))
    return text


def _defaults(config_name: str, folder: Path) -> dict[str, Any]:
    """Return the values of a config and of its default options by key, as their files have them."""
    values: dict[str, Any] = {}

    def add(section: str, node: Mapping[str, Any]) -> None:
        for key, value in node.items():
            values[section + key] = value
            if isinstance(value, Mapping):
                add(f"{section}{key}.", value)

    def read(file: Path, section: str) -> None:
        config = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
        for entry in (config or {}).get("defaults") or []:
            if isinstance(entry, str) and entry != "_self_":
                read(file.with_name(f"{entry}.yaml"), section)
            elif isinstance(entry, Mapping):
                for group, option in entry.items():
                    read(folder / str(group) / f"{option}.yaml", f"{group}.")
        add(section, config or {})

    read(folder / f"{config_name}.yaml", "")
    return values


def _groups(config_name: str, folder: Path) -> str:
    """Return a line for each config group; for a study those of its runs come second, under a heading."""
    lines = {
        group.name: f"  {group.name}: {', '.join(sorted(option.stem for option in group.glob('[!_]*.yaml')))}\n"
        for group in sorted(folder.iterdir())
        if group.is_dir() and group.name != "hydra"
    }
    if config_name != "study":
        return "".join(line for group, line in lines.items() if group != "study")
    own = ("study", "tracking")
    first = "".join(line for group, line in lines.items() if group in own)
    of_runs = "".join(line for group, line in lines.items() if group not in (*own, "experiment"))
    return f"{first}\nNames for study.tasks, study.strategies and study.common\n{of_runs}"
