"""Errors of Hydra and OmegaConf, translated into `ConfigError`: the only place that reads their messages.

Hydra reports most problems as text of six to eight lines, without the key as a field.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reglab.config.library_arguments import REFUSED
from reglab.config.selection import is_strength, strategy
from reglab.paths import CONF, PROJECT
from reglab.schema.compatibility import declared
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.help import HELP
from reglab.schema.index import declaration
from reglab.schema.keys import PIPELINES, RUN, TRAINER
from reglab.schema.suggest import did_you_mean, nearest, no_such_option_error, not_in_strategy_error, section_error
from reglab.schema.text import quote_value

Compose = Callable[[Sequence[str]], DictConfig]
"""Composes a config from overrides, with Hydra's errors."""


_QUOTES = "'\""


def is_config_error(error: BaseException) -> bool:
    """Return whether Hydra or OmegaConf raised an error about a config."""
    return isinstance(error, HydraException | OmegaConfBaseException) or "Config group override" in str(error)


def translate(
    error: Exception,
    overrides: Sequence[str] = (),
    config_name: str = "train",
    folder: Path = CONF,
    compose: Compose | None = None,
) -> ConfigError:
    """Return the error that names the key, the problem and the remedy.

    Args:
        error: error of Hydra or OmegaConf, from composing or resolving a config.
        overrides: overrides of the command line.
        config_name: the pipeline's config.
        folder: the config tree.
        compose: composes the config of some overrides, to find the keys that it has; None: without suggestions.
    """
    text = str(error) or str(error.__cause__)
    if isinstance(error, OverrideParseException):
        return _syntax_error(error)
    if match := re.search(r"Could not find '([^']*)/([^'/]*)'", text):
        options = re.findall(r"^\t(?!provider)([^_\s]\S*)$", text, re.MULTILINE)
        return no_such_option_error(Setting(match[1], match[2]), options)
    if isinstance(error, MissingConfigException) and "primary config" in text:
        return _no_such_config_error(error.missing_cfg_file or config_name, [folder])
    keys = _Keys(config_name, folder, compose)
    if match := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key_error(match[1], overrides, keys)
    if match := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?:\n| requires)", text):
        where = Setting.of(match[1])
        if config_name == "study":
            return ConfigError(where, "studies cannot be swept", "start one after the other (write a list as [a,b])")
        return ConfigError(where, "several values are a sweep, which needs -m (write a list as [a,b])")
    if match := re.search(r"Could not append to config. An item is already at '([^']+)'", text):
        return ConfigError(f"+{match[1]}", "this key exists already", "set it without the +")
    if match := re.search(r"Could not delete (?:from config. )?'([^']+)'", text):
        key, known = match[1].partition("=")[0], keys.all()
        problem = "has another value" if key in known else f"no such key{did_you_mean(key, known)}"
        return ConfigError(Setting.of(f"~{match[1]}"), problem)
    if match := re.search(r"Interpolation key '([^']+)' not found", text):
        return ConfigError(match[1], "missing", f"{getattr(error, 'full_key', None) or 'another key'} refers to it")
    if match := re.search(r"[Mm]issing mandatory value: (\S+)", text):
        key = match[1] if config_name == "train" else getattr(error, "full_key", None) or match[1]
        return ConfigError(Setting(key, "???"), f"a value must be given, as in {key}=VALUE")
    if match := re.search(r"Error resolving interpolation '([^']+)'", text):
        given = next((override for override in overrides if match[1] in override), match[1])
        return ConfigError(Setting.of(given), "the option of a group must be a name, without interpolations")
    if "Config group override must be" in text and (choice := _unknown_option_error(overrides, folder)) is not None:
        return choice
    return _other_error(error, text)


def check_config_flags(name: str, directory: str | None, path: str | None) -> None:
    """Refuse flags that name no config, since Hydra prints its own message on these and ends the process.

    Args:
        name: the pipeline's config, or that of ``--config-name``.
        directory: folder of ``--config-dir``, relative to the working directory; None without the flag.
        path: folder of ``--config-path``, relative to the pipelines; None without the flag.

    Raises:
        ConfigError: names the flag, and folders or configs that exist.
    """
    folders = [CONF]
    if path is not None and path.startswith("pkg://"):  # a package, which only Hydra can search
        return
    if path is not None:
        folders = [_existing_folder("--config-path", path, PROJECT / "pipelines")]
    if directory is not None:
        folders.append(_existing_folder("--config-dir", directory, Path.cwd()))
    if not any((folder / f"{name.removesuffix('.yaml')}.yaml").is_file() for folder in folders):
        raise _no_such_config_error(name, folders)


def _existing_folder(flag: str, value: str, base: Path) -> Path:
    folder = Path(os.path.normpath(base / value))
    if folder.is_dir():
        return folder
    siblings = (
        [sibling.name for sibling in folder.parent.iterdir() if sibling.is_dir()] if folder.parent.is_dir() else []
    )
    near = nearest(folder.name, siblings)
    hint = f"; did you mean {folder.with_name(near)}?" if near else f" ({folder})"
    raise ConfigError(Setting(flag, value), f"no such folder{hint}")


def _no_such_config_error(name: str, folders: Iterable[Path]) -> ConfigError:
    names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
    return no_such_option_error(Setting("--config-name", name), names)


def _syntax_error(error: OverrideParseException) -> ConfigError:
    override = error.override or ""
    where = Setting.of(override)
    for opening, closing in ("[]", "{}", "()"):
        if override.count(opening) != override.count(closing):
            return ConfigError(where, f"{opening} and {closing} do not match")
    if "=" not in override and not override.startswith("~"):
        return ConfigError(where, "no value", f"write {override}=VALUE")
    if "=~/" in override:  # bash expands it at the start of a word only, and Hydra's grammar has no such value
        return ConfigError(where, "~ is not expanded here", f"write {override.replace('=~', '=$HOME', 1)}")
    key, _, value = override.partition("=")
    letter = next((character for character in value if not character.isascii()), None)
    items = value[1:-1].split(",") if re.fullmatch(r"\[[^\[\]{}()]*\]", value) else []
    if letter is not None and (items or not set(value) & set("'\"[]{}(),")):
        quoted = f"{key}={quote_value([item.strip().strip(_QUOTES) for item in items] if items else value)}"
        return ConfigError(where, f"{letter} must be in quotes, also for the shell", f'write "{quoted}"')
    return ConfigError(
        where, "cannot be parsed as key=value", "quote it for the shell, and quote the value again: 'key=\"a b\"'"
    )


class _Keys:
    """The keys that the config of a pipeline has."""

    def __init__(self, config_name: str, folder: Path, compose: Compose | None) -> None:
        self.config_name = config_name
        self.folder = folder
        self._compose = compose

    def config(self, overrides: Sequence[str] = ()) -> DictConfig:
        """Return the config of the group choices among the overrides, or the default one if these do not compose.

        Of a pipeline with a complete list of keys only these: shared sections have keys that it never reads.
        """
        chosen = [o for o in overrides if o.split("=")[0] and (self.folder / o.split("=")[0]).is_dir()]
        for attempt in (chosen, []):
            try:
                if self._compose is not None:
                    return self._own(self._compose(attempt))
            except (HydraException, OmegaConfBaseException, ValueError):
                continue
        return OmegaConf.create({})

    def all(self) -> list[str]:
        """Return the dotted keys of the default config, sections included."""
        return list(_paths(OmegaConf.to_container(self.config())))

    def options(self, group: str) -> set[str]:
        """Return the options of a config group."""
        return {path.stem for path in (self.folder / group).glob("[!_]*.yaml")}

    def groups(self) -> set[str]:
        """Return the config groups that a run chooses from."""
        return {path.name for path in self.folder.iterdir() if path.is_dir()} if self.config_name == "train" else set()

    def _own(self, cfg: DictConfig) -> DictConfig:
        if self.config_name not in PIPELINES or self.config_name == "study":
            return cfg
        absent = object()
        own = OmegaConf.create({"hydra": cfg.hydra})
        for key in PIPELINES[self.config_name]:
            if (value := OmegaConf.select(cfg, key, default=absent)) is not absent:
                OmegaConf.update(own, key, value)
        return own


def _unknown_key_error(key: str, overrides: Sequence[str], keys: _Keys) -> ConfigError:
    given = next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)
    where = Setting.of(given)
    group, _, leaf = key.partition(".")
    if keys.config_name == "study" and (of_run := key_of_runs(given)) is not None:
        return of_run
    cfg = keys.config(overrides)
    other_pipelines = _pipelines_with(key, keys.config_name)
    if other_pipelines and leaf and group not in cfg:
        return ConfigError(where, "no such key", f"{group} is a section of {other_pipelines}")
    outer, _, last = key.rpartition(".")
    if outer and OmegaConf.select(cfg, outer, default=0) is None:
        value = given.partition("=")[2] or "VALUE"
        return ConfigError(where, f"{outer} is null", f"set all its keys at once, as in {outer}={{{last}:{value}}}")
    if is_strength(key):
        name = key.split(".")[1]
        options = keys.options(group)
        if name in options and name not in cfg.get(group, {}):
            return not_in_strategy_error(where, f"the strategy is {strategy(cfg)}", name)
        if name in options and set(cfg[group][name]) == {"_target_"}:
            return ConfigError(where, f"{name} has no strengths", "leave it out")
        if near := nearest(name, options - {name}) if name not in options else None:
            return ConfigError(where, f"no such regularizer; did you mean {group}.{near}.{key.split('.', 2)[2]}?")
    if group == "regularizer" and leaf in keys.options(group):
        return section_error(where, keys_of_regularizer(leaf, keys.folder))
    if group == "trainer" and leaf in REFUSED:
        return ConfigError(where, "not a setting of a run", REFUSED[leaf])
    addable = _addable_keys(group, cfg)
    if leaf in addable:
        return ConfigError(
            where, f"not in the config file of {group}", f"add it with a plus sign: +{given.lstrip('+~')}"
        )
    present = key.split(".")[1] in cfg.get(group, {}) if leaf else False
    present_keys = [present_key for present_key in map(str, cfg.get(group) or {}) if not _is_private(present_key)]
    if leaf and not present and (near := nearest(leaf, [*present_keys, *sorted(addable)])):
        return ConfigError(where, f"no such key; did you mean {'+' * (near in addable)}{group}.{near}?")
    other_options = list(options_with(group, leaf, keys.folder)) if leaf and not present and group in cfg else []
    if other_options:
        choices = " or ".join(f"{group}={option}" for option in other_options)
        return ConfigError(where, f"not a key of this {group}", f"it is a key of {choices}")
    if not leaf and group == "study" and keys.config_name == "train":
        return ConfigError(where, "no such key", "studies are run by make study")
    similar = _suggest_similar(key, list(_paths(OmegaConf.to_container(cfg))), keys)
    if other_pipelines and "did you mean" not in similar:
        similar += f" ({key} is a key of {other_pipelines})"
    return ConfigError(where, f"no such key{similar}")


def _addable_keys(section: str, cfg: DictConfig) -> set[str]:
    """Return the keys that a section of a run accepts, and that the file of its option does not contain."""
    node = cfg.get(section)
    if section == "trainer" and node is not None:
        return set(TRAINER) - set(node)
    if section in ("optimizer", "scheduler") and "_target_" in (node or {}):
        return set(declared(section, node).parameters or ()) - set(node) - {"params", "optimizer"}
    return set()


def keys_of_regularizer(name: str, folder: Path = CONF) -> list[str]:
    """Return the strengths of a regularizer that a config tree has, as whole keys."""
    file = folder / "regularizer" / f"{name}.yaml"
    node = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get(name) if file.is_file() else None
    if not isinstance(node, dict) or "_target_" not in node:
        return []
    strengths = declaration(str(node["_target_"]), f"regularizer.{name}._target_").strengths
    return [f"regularizer.{name}.{strength}" for strength in strengths]


def _pipelines_with(key: str, config_name: str) -> str:
    """Return the commands of other pipelines that have the key or, if none has, its section."""
    pipelines: dict[str, Iterable[str]] = {"train": [*RUN, "data.", "trainer.", "regularizer."], **PIPELINES}
    names = [name for name, keys in pipelines.items() if key in keys]
    if not names and "." in key:
        head = f"{key.split('.')[0]}."
        names = [name for name, keys in pipelines.items() if any(other_key.startswith(head) for other_key in keys)]
    return ", ".join(f"make {name}" for name in names) if config_name not in names else ""


def key_of_runs(given: str) -> ConfigError | None:
    """Return the error for an override of a single run in a study, with the key that the study has instead.

    Args:
        given: the override. None is returned if it is not about runs.
    """
    key, _, value = given.lstrip("+~").partition("=")
    group, _, leaf = key.partition(".")
    if group not in ("data", "model", "regularizer", "optimizer", "scheduler", "trainer"):
        return None
    instead = f"set study.common.{key}={value}"
    if group == "regularizer":
        space = f"set its range, study.space.{key}={{low:...,high:...}}"
        instead = space if leaf else f"set study.strategies=[none,{value}]"
    elif group in ("data", "model") and not leaf:
        instead = "set study.tasks=[{data:DATA,model:MODEL}]"
    return ConfigError(Setting.of(given), "applies to a single run, and a study has many", instead)


def _suggest_similar(key: str, known: list[str], keys: _Keys) -> str:
    """Return a suggestion for an unknown key, or a list of the keys beside it."""
    parent, _, leaf = key.rpartition(".")
    siblings = {k.removeprefix(f"{parent}.") for k in known if parent and k.startswith(f"{parent}.")}
    if near := nearest(leaf, siblings):
        return f"; did you mean {parent}.{near}?"
    if exact := [k for k in known if k.rpartition(".")[2] == leaf and not _is_private(k)]:
        return f"; did you mean {' or '.join(exact)}?"
    if direct := sorted(s for s in siblings if "." not in s and not s.startswith("_")):
        return f" (keys of {parent}: {', '.join(direct)})"
    if parent and (near := nearest(key, known)):
        return f"; did you mean {near}?"
    groups = keys.groups()
    heads = {k.split(".")[0] for k in known} | groups
    head, _, rest = key.partition(".")
    if near := nearest(head, heads):
        return f"; did you mean {near}{'.' + rest if rest else ''}?"
    if described := [k for k, key_help in HELP.get(keys.config_name, {}).items() if leaf in key_help.synonyms]:
        return f"; did you mean {' or '.join(described)}?"
    public = {k.rpartition(".")[2]: k for k in known if not _is_private(k)}
    if near := nearest(leaf, public):
        return f"; did you mean {public[near]}?"
    return "" if groups else f" (keys: {', '.join(sorted(heads - {'hydra'}))})"


def _is_private(key: str) -> bool:
    return key.startswith("hydra.") or any(part.startswith("_") for part in key.split("."))


def options_with(group: str, leaf: str, folder: Path = CONF) -> Iterator[str]:
    """Yield the options of a group whose file has a key: ``sgd`` for ``optimizer.momentum``.

    Args:
        group: a config group.
        leaf: the key in the group's section.
        folder: the config tree.
    """
    for path in sorted((folder / group).glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and leaf.split(".")[0] in content and not leaf.startswith("_"):
            yield path.stem


def _unknown_option_error(overrides: Sequence[str], folder: Path) -> ConfigError | None:
    for override in overrides:
        key, _, value = override.partition("=")
        if key and (folder / key).is_dir() and not (folder / key / f"{value}.yaml").is_file():
            return no_such_option_error(Setting(key, value), (path.stem for path in (folder / key).glob("[!_]*.yaml")))
        if not key:
            return ConfigError(override, "no key", f"write KEY{override}")
    return None


def _other_error(error: Exception, text: str) -> ConfigError:
    key = getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None)
    head = next((line for line in [*str(error.__cause__ or "").splitlines(), *text.splitlines()] if line.strip()), text)
    merging = re.search(r"Error merging override (.+)", text)
    name = merging[1] if merging else key
    head = head.split("\n")[0].strip().rstrip(".")
    if head == "Cannot merge DictConfig with ListConfig":
        head = "must be a list, as in [a,b]"
    return ConfigError(str(name), head) if name and str(name) not in head else ConfigError("", head)


def _paths(node: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of nested mappings, sections included."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _paths(value, f"{prefix}{key}.")
