"""The folder of a report, checked before anything trains."""

import os
import re
import tempfile
from pathlib import Path

from reglab.errors import ConfigError
from reglab.paths import PROJECT

PAGE, BOARD = "report.html", "leaderboard.csv"
_LONGEST = 200  # characters of the folder's name: a draft beside it has a longer one


def folder_of(directory: str | Path | None, name: str) -> Path:
    """Return the folder of a report.

    Args:
        directory: ``report.dir``; None: ``reports/<name>`` in the project.
        name: of the sweep, study or experiment.
    """
    return Path(directory).expanduser().absolute() if directory else PROJECT / "reports" / slug(name)


def slug(name: str) -> str:
    """Return the name with the characters that file names allow."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", name).strip("-.")[:_LONGEST] or "report"


def check_folder(directory: str | None, name: str) -> None:
    """Refuse a folder that the report cannot be written to.

    Args:
        directory: ``report.dir``; None: ``reports/<name>`` in the project.
        name: of the sweep, study or experiment.

    Raises:
        ConfigError: a file or folder is in the way, or a folder cannot be written.
    """
    folder = folder_of(directory, name)
    if problem := _problem(folder):
        raise ConfigError(f"report.dir={directory or 'null'}: {problem}; name another folder")


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
            if not there.stat().st_mode & 0o222:  # the superuser could write it, but it is marked read-only
                return f"the folder {there} is read-only"
            with tempfile.TemporaryFile(dir=there):
                pass
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None
