"""The text of ``--help``, in a fraction of the second that Hydra takes."""

from pathlib import Path
from typing import Any

import yaml

from reglab.paths import CONF
from reglab.schema.help import HELP, list_of_keys


def help_text(config_name: str, folder: Path = CONF) -> str | None:
    """Return the text of ``--help``; None if the config has no template in ``hydra.help``, which leaves it to Hydra.

    ``$KEYS`` in a template stands for `reglab.schema.help`, ``$APP_CONFIG_GROUPS`` for the groups of the config tree.
    """
    path = folder / f"{config_name}.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else None
    words: dict[str, Any] = ((config or {}).get("hydra") or {}).get("help") or {}
    if "template" not in words:
        return None
    text: str = words["template"].replace("$APP_CONFIG_GROUPS", _groups(config_name, folder))
    if config_name in HELP:
        text = text.replace("$KEYS", list_of_keys(config_name))
    for name in ("app_name", "header", "footer"):
        text = text.replace(f"${{hydra.help.{name}}}", str(words.get(name, "")))
    return text


def _groups(config_name: str, folder: Path) -> str:
    left_out = {"hydra"} if config_name == "study" else {"hydra", "study"}
    lines = []
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and path.name not in left_out):
        options = sorted(option.stem for option in group.glob("[!_]*.yaml"))
        lines.append(f"  {group.name}: {', '.join(options)}\n")
    return "".join(lines)
