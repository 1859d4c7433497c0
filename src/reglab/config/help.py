"""What --help prints, in a fraction of the second that Hydra takes, and the keys that it lists."""

import re
from pathlib import Path
from typing import Any

import yaml

from reglab.paths import CONF


def help_text(config_name: str, folder: Path = CONF) -> str | None:
    """What ``--help`` prints, where a config's ``hydra.help`` has a template; None leaves it to Hydra.

    Hydra needs a second for it: it lists its own groups too, which the template does not show.
    """
    words = _words(config_name, folder)
    if "template" not in words:
        return None
    listed = []
    left_out = {"hydra"} if config_name == "study" else {"hydra", "study"}
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in left_out):
        options = sorted(option.stem for option in group.glob("[!_]*.yaml"))
        listed.append(f"  {group.name}: {', '.join(options)}\n")
    text: str = words["template"].replace("$APP_CONFIG_GROUPS", "".join(listed))
    for name in ("app_name", "header", "footer"):
        text = text.replace(f"${{hydra.help.{name}}}", str(words.get(name, "")))
    return text


def listed_keys(config_name: str, folder: Path = CONF) -> tuple[dict[str, str], bool]:
    """The keys that ``--help`` lists, with what it says of each; and whether these are all that the app reads.

    A list of all has the heading ``Keys``; one of some, ``Keys of most use``.
    """
    text = str(_words(config_name, folder).get("template", ""))
    found = re.search(r"^Keys( of most use)?\n((?:  .*\n)+)", text, re.MULTILINE)
    if found is None:
        return {}, False
    keys: dict[str, str] = {}
    for names, said in re.findall(r"^  (\S+(?:, \S+)*)  +(.+)$", found[2], re.MULTILINE):
        keys |= {name.partition("=")[0]: said for name in names.split(", ") if "<" not in name}
    return keys, found[1] is None


def _words(config_name: str, folder: Path) -> dict[str, Any]:
    path = folder / f"{config_name}.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    words: dict[str, Any] = ((config or {}).get("hydra") or {}).get("help") or {}
    return words
