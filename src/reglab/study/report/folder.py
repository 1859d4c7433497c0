"""The folder of a report: which it is, and whether it can be written, known before anything trains."""

import os
import re
import tempfile
from pathlib import Path

from reglab.errors import ConfigError
from reglab.paths import PROJECT

PAGE, BOARD = "report.html", "leaderboard.csv"
_LONGEST = 200  # characters of the folder's name: a draft beside it has a longer one


def folder_of(told: str | Path | None, name: str) -> Path:
    """Where a report goes.

    Args:
        told: ``report.dir``; None: ``reports/<name>`` in the project.
        name: of the sweep, study or experiment.
    """
    return Path(told).expanduser().absolute() if told else PROJECT / "reports" / slug(name)


def slug(name: str) -> str:
    """The name as a folder or a file may be called."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:_LONGEST] or "report"


def check_folder(told: str | None, name: str) -> None:
    """Refuse a folder that the report could not be written to; nothing is left behind.

    Args:
        told: ``report.dir``; None: ``reports/<name>`` in the project.
        name: of the sweep, study or experiment.

    Raises:
        ConfigError: a file or folder is in the way, or a folder cannot be written.
    """
    folder = folder_of(told, name)
    if problem := _problem(folder):
        raise ConfigError(f"report.dir={told or 'null'}: {problem}; name another folder")


def _problem(folder: Path) -> str | None:
    if len(folder.name) > _LONGEST:
        return f"its name has {len(folder.name)} characters, and {_LONGEST} are the most"
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            return f"{folder} is no folder"
        for file in (PAGE, BOARD):
            if (folder / file).is_dir():
                return f"{folder / file} is a folder, and the report has a file of that name"
        for place in (folder, folder.parent):  # files are made beside it, and moved there when all are done
            there = next(path for path in (place, *place.parents) if os.path.lexists(path))
            if not there.is_dir():
                return f"{there} is no folder"
            if not there.stat().st_mode & 0o222:  # root could write it all the same, but somebody said not to
                return f"the folder {there} is read-only"
            with tempfile.TemporaryFile(dir=there):
                pass
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None
