"""What --help prints, in a fraction of the second that Hydra takes."""

from pathlib import Path

import yaml

from reglab.paths import CONF


def help_text(config_name: str, folder: Path = CONF) -> str | None:
    """What ``--help`` prints, where a config's ``hydra.help`` has a template; None leaves it to Hydra.

    Hydra needs a second for it: it lists its own groups too, which the template does not show.
    """
    path = folder / f"{config_name}.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8")) if path.is_file() else {}
    words = ((config or {}).get("hydra") or {}).get("help") or {}
    if "template" not in words:
        return None
    listed = []
    for group in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != "hydra"):
        options = sorted(option.stem for option in group.glob("[!_]*.yaml"))
        listed.append(f"  {group.name}: {', '.join(options)}\n")
    text: str = words["template"].replace("$APP_CONFIG_GROUPS", "".join(listed))
    for name in ("app_name", "header", "footer"):
        text = text.replace(f"${{hydra.help.{name}}}", str(words.get(name, "")))
    return text
