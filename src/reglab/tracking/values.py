"""Tags, params and names within the limits of every store; the whole of a longer value is an artifact.

PostgreSQL refuses longer values, SQLite accepts them, and MLflow cuts some silently.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

TAG, PARAM, NAME = 8000, 6000, 250  # characters: MLflow's limits, and the narrowest columns of its databases
_CUT = re.compile(r"\.\.\. \(([0-9]+) characters: ((?:tags|params)/[A-Za-z0-9._+-]+\.txt)\)$")
Files = dict[str, str]


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Values as MLflow keeps them: strings, without those that are None.

    What no database keeps is written in another way: U+0000 as U+FFFD, half of a surrogate pair as an escape.
    """
    kept = {key: str(value).replace("\0", "\ufffd") for key, value in values.items() if value is not None}
    return {key: value.encode("utf-8", "backslashreplace").decode() for key, value in kept.items()}


def fitted(values: Mapping[str, object], *, params: bool = False) -> tuple[dict[str, str], Files]:
    """Tags or params of at most `TAG` or `PARAM` characters, and what was cut off.

    Args:
        values: by name; None leaves one out.
        params: these are params.

    Returns:
        the values, of which a longer one ends with its length and the artifact that holds it whole; the texts of these
        artifacts by path.
    """
    limit, folder = (PARAM, "params") if params else (TAG, "tags")
    short, files = {}, {}
    for key, value in texts(values).items():
        if len(value) > limit:
            path = _path(folder, key)
            mark = f"... ({len(value)} characters: {path})"
            files[path] = value
            value = value[: limit - len(mark)] + mark
        short[key] = value
    return short, files


def cut_name(name: str) -> str:
    """A run's name of at most `NAME` characters."""
    name = texts({"": name})[""]
    return name if len(name) <= NAME else f"{name[: NAME - 3]}..."


def whole_path(key: str, value: str) -> tuple[str, int] | None:
    """Where the artifact with a tag's whole value is, and its length; None for a value that was not cut."""
    found = _CUT.search(value)
    path = _path("tags", key)
    return (path, int(found[1])) if found is not None and found[2] == path else None


def mapping(text: str | None) -> dict[str, Any]:
    """A JSON object from a tracker; empty where the text is none."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _path(folder: str, key: str) -> str:
    return f"{folder}/{re.sub(r'[^A-Za-z0-9._+-]+', '-', key)[:100].strip('.-') or 'value'}.txt"
