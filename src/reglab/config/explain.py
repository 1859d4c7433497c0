"""Hydra's and OmegaConf's messages of six to eight lines, as one that names the key and the remedy."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from hydra.errors import HydraException, OverrideParseException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reglab.config.help import listed_keys
from reglab.config.order import strategy
from reglab.config.raw import raw
from reglab.config.selection import is_strength
from reglab.paths import CONF
from reglab.schema.suggest import did_you_mean, nearest, no_such_option, no_value, not_in_strategy


def explain(error: Exception, overrides: Sequence[str] = (), config_name: str = "train", folder: Path = CONF) -> str:
    """One line for an error of composing or resolving a config.

    Args:
        error: what Hydra or OmegaConf raised.
        overrides: the command line's.
        config_name: the app's config.
        folder: the config tree.
    """
    text = str(error) or str(error.__cause__)
    if isinstance(error, OverrideParseException):
        return _grammar(error)
    if found := re.search(r"Could not find '([^']*)/([^'/]*)'", text):
        return no_such_option(found[1], found[2], re.findall(r"^\t(?!provider)([^_\s]\S*)$", text, re.MULTILINE))
    if found := re.search(r"Could not override '([^']+)'", text):
        return _unknown_key(found[1], overrides, config_name, folder)
    if found := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?)'(?:\n| requires)", text):
        if config_name == "study":
            return f"{found[1]}: a study is one; start one after the other (a list is written [a,b])"
        return f"{found[1]}: several values make a sweep, which needs -m (a list is written [a,b])"
    if found := re.search(r"Could not append to config. An item is already at '([^']+)'", text):
        return f"+{found[1]}: that key exists; set it without the +"
    if found := re.search(r"Could not delete (?:from config. )?'([^']+)'", text):
        key = found[1].partition("=")[0]
        known = _keys(config_name, folder)
        return f"~{found[1]}: " + ("has another value" if key in known else f"no such key{did_you_mean(key, known)}")
    if found := re.search(r"Interpolation key '([^']+)' not found", text):
        return f"{found[1]}: missing; {getattr(error, 'full_key', None) or 'another key'} refers to it"
    if found := re.search(r"[Mm]issing mandatory value: (\S+)", text):
        key = found[1] if config_name == "train" else getattr(error, "full_key", None) or found[1]
        return f"{key}=???: a value must be given, as in {key}=VALUE"
    if found := re.search(r"Error resolving interpolation '([^']+)'", text):
        given = next((override for override in overrides if found[1] in override), found[1])
        return f"{given}: a group's option is a name, and refers to no other key"
    if "Config group override must be" in text:
        return _bad_choice(overrides, folder) or text
    return _generic(error, text)


def is_config_error(error: BaseException) -> bool:
    """Whether Hydra or OmegaConf raised it about a config."""
    return isinstance(error, HydraException | OmegaConfBaseException) or "Config group override" in str(error)


def _grammar(error: OverrideParseException) -> str:
    override = error.override or ""
    for opening, closing in ("[]", "{}", "()"):
        if override.count(opening) != override.count(closing):
            return f"{override}: {opening} and {closing} do not match"
    if "=" not in override and not override.startswith("~"):
        return f"{override}: no value; write {override}=VALUE"
    if "=~/" in override:  # bash expands it at the begin of a word alone, and Hydra's grammar does not have it
        return f"{override}: ~ is not readable here; write {override.replace('=~', '=$HOME', 1)}"
    return f"{override}: not readable as key=value; quote it for your shell, and inner text again: 'key=\"a b\"'"


def _unknown_key(key: str, overrides: Sequence[str], config_name: str, folder: Path) -> str:
    given = next((o for o in overrides if o.lstrip("+~").split("=")[0] == key), key)
    group, _, leaf = key.partition(".")
    if config_name == "study" and (line := of_the_study(given)):
        return line
    cfg = _composable(overrides, config_name, folder)
    elsewhere = _pipelines_with(key, config_name)
    if elsewhere and leaf and group not in cfg:
        return f"{given}: no such key; {group} is a section of {elsewhere}"
    outer, _, last = key.rpartition(".")
    if outer and OmegaConf.select(cfg, outer, default=0) is None:
        value = given.partition("=")[2] or "VALUE"
        return f"{given}: {outer} is null; give all its keys at once, as in {outer}={{{last}:{value}}}"
    if is_strength(key):
        name = key.split(".")[1]
        options = {path.stem for path in (folder / group).glob("[!_]*.yaml")}
        if name in options and name not in cfg.get(group, {}):
            return not_in_strategy(given, f"the strategy is {strategy(cfg)}", name)
        if name in options and set(cfg[group][name]) == {"_target_"}:
            return f"{given}: {name} has no strengths; leave it out"
        if near := nearest(name, options - {name}) if name not in options else None:
            return f"{given}: no such regularizer; did you mean {group}.{near}.{key.split('.', 2)[2]}?"
    if group == "regularizer" and (folder / group / f"{leaf}.yaml").is_file():
        return no_value(given, leaf)
    there = key.split(".")[1] in cfg.get(group, {}) if leaf else False
    if leaf and not there and (near := nearest(leaf, [str(own) for own in cfg.get(group) or {}])):
        return f"{given}: no such key; did you mean {group}.{near}?"
    others = list(_options_with(group, leaf, folder)) if leaf and not there and group in cfg else []
    if others:
        return f"{given}: not a key of this {group}; it is one of {' or '.join(f'{group}={o}' for o in others)}"
    groups = {path.name for path in folder.iterdir() if path.is_dir()} if config_name == "train" else set()
    if not leaf and group == "study" and config_name == "train":
        return f"{given}: no such key; studies are run by make study"
    similar = _similar(key, list(_leaves(cfg)), groups, listed_keys(config_name, folder)[0])
    if elsewhere and "did you mean" not in similar:
        similar += f" ({key} is a key of {elsewhere})"
    return f"{given}: no such key{similar}"


def _pipelines_with(key: str, config_name: str) -> str:
    """Return the commands of other pipelines that have the key or, if none has, its section."""
    from reglab.config.keys import APPS  # which imports this module
    from reglab.schema.rules import TRAIN

    apps: dict[str, Iterable[str]] = {"train": [*TRAIN, "trainer.", "regularizer."], **APPS}
    having = [app for app, keys in apps.items() if key in keys]
    if not having and "." in key:
        head = f"{key.split('.')[0]}."
        having = [app for app, keys in apps.items() if any(one.startswith(head) for one in keys)]
    return ", ".join(f"make {app}" for app in having) if config_name not in having else ""


def of_the_study(given: str) -> str | None:
    """One line for what a single run is told by this override: where a study has it. None for other keys."""
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
    return f"{given}: is for one run, and a study has many; {instead}"


def _similar(key: str, known: list[str], groups: set[str], said: Mapping[str, str]) -> str:
    parent, _, leaf = key.rpartition(".")
    siblings = {k.removeprefix(f"{parent}.") for k in known if parent and k.startswith(f"{parent}.")}
    if near := nearest(leaf, siblings):
        return f"; did you mean {parent}.{near}?"
    if exact := [k for k in known if k.rpartition(".")[2] == leaf and not _private(k)]:
        return f"; did you mean {' or '.join(exact)}?"
    if direct := sorted(s for s in siblings if "." not in s and not s.startswith("_")):
        return f" (keys of {parent}: {', '.join(direct)})"
    if parent and (near := nearest(key, known)):
        return f"; did you mean {near}?"
    heads = {k.split(".")[0] for k in known} | groups
    head, _, rest = key.partition(".")
    if near := nearest(head, heads):
        return f"; did you mean {near}{'.' + rest if rest else ''}?"
    # A key by what its help begins with: passes for "passes over the test part", learning_rate for "learning rate".
    meant = re.compile(rf"{re.escape(leaf.replace('_', ' '))}\b", re.IGNORECASE)
    if described := [k for k, words in said.items() if meant.match(words)]:
        return f"; did you mean {' or '.join(described)}?"
    public = {k.rpartition(".")[2]: k for k in known if not _private(k)}
    near = nearest(leaf, public)
    if near:
        return f"; did you mean {public[near]}?"
    return "" if groups else f" (keys: {', '.join(sorted(heads - {'hydra'}))})"


def _private(key: str) -> bool:
    return key.startswith("hydra.") or any(part.startswith("_") for part in key.split("."))


def _options_with(group: str, leaf: str, folder: Path) -> Iterator[str]:
    """Options of a group whose file has that key: ``sgd`` for ``optimizer.momentum``."""
    for path in sorted((folder / group).glob("*.yaml")):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and leaf.split(".")[0] in content and not leaf.startswith("_"):
            yield path.stem


def _bad_choice(overrides: Sequence[str], folder: Path) -> str | None:
    for override in overrides:
        key, _, value = override.partition("=")
        if key and (folder / key).is_dir() and not (folder / key / f"{value}.yaml").is_file():
            return no_such_option(key, value, (path.stem for path in (folder / key).glob("[!_]*.yaml")))
        if not key:
            return f"{override}: no key; write KEY{override}"
    return None


def _generic(error: Exception, text: str) -> str:
    key = getattr(error, "full_key", None) or getattr(error.__cause__, "full_key", None)
    head = next((line for line in [*str(error.__cause__ or "").splitlines(), *text.splitlines()] if line.strip()), text)
    merging = re.search(r"Error merging override (.+)", text)
    name = merging[1] if merging else key
    head = head.split("\n")[0].strip().rstrip(".")
    if head == "Cannot merge DictConfig with ListConfig":
        head = "must be a list, as in [a,b]"
    return f"{name}: {head}" if name and str(name) not in head else head


def _composable(overrides: Sequence[str], config_name: str, folder: Path) -> DictConfig:
    """The config of the group choices among the overrides, or the plain one where these do not compose.

    Of an app whose help lists all its keys these alone: sections that apps share hold keys that it never reads.
    """
    chosen = [o for o in overrides if (folder / o.split("=")[0]).is_dir() and o.split("=")[0]]
    for attempt in (chosen, []):
        try:
            return _read(raw(attempt, config_name, folder), config_name, folder)
        except (HydraException, OmegaConfBaseException, ValueError):
            continue
    return OmegaConf.create({})


def _read(cfg: DictConfig, config_name: str, folder: Path) -> DictConfig:
    keys, all_of_them = listed_keys(config_name, folder)
    if not all_of_them:
        return cfg
    some = OmegaConf.create({"hydra": cfg.hydra})
    for key in keys:
        OmegaConf.update(some, key, OmegaConf.select(cfg, key))
    return some


def _keys(config_name: str, folder: Path) -> list[str]:
    return list(_leaves(_composable([], config_name, folder)))


def _leaves(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        path = f"{prefix}{key!s}"
        yield path
        if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):  # type: ignore[arg-type]
            continue
        if isinstance(inner := node.get(key), DictConfig):
            yield from _leaves(inner, f"{path}.")
