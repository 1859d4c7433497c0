"""The folder of a report: checks before anything trains, and protection of reports of other sources."""

import itertools
import os
import re
import tempfile
import unicodedata
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError, Setting
from reglab.streams import note

if TYPE_CHECKING:
    from reglab.report.findings.findings import Findings

PAGE, BOARD = "report.html", "leaderboard.csv"
_SUFFIXES = (".html", ".csv", ".png")  # of the files of a report
SOURCE = "reglab-source"  # name of the meta element with the source of a page
_LONGEST_NAME = 200  # bytes of the folder's name, of which file systems allow 255: a draft beside it has a longer one
_HEAD_LENGTH = 20_000  # characters at the start of a page that contain this element


@dataclass(frozen=True)
class ReportSource:
    """Origin of the runs of a report: one parent run, or an experiment.

    Attributes:
        kind: ``sweep``, ``study`` or ``experiment``.
        id: id of the parent run; for an experiment, a hash of its tracking URI.
        name: name of the sweep, study or experiment.
    """

    kind: str
    id: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} ({'store' if self.kind == 'experiment' else 'run'} {self.id})"

    @property
    def text(self) -> str:
        """The content of the page's meta element."""
        return f"{self.kind} {self.id} {self.name}"

    def is_same(self, other: "ReportSource") -> bool:
        """Return whether both are the same study, sweep or experiment; parents are compared by id alone."""
        same = (self.kind, self.id) == (other.kind, other.id)
        return same and (self.kind != "experiment" or self.name == other.name)


@dataclass(frozen=True)
class Report:
    """A report that was made.

    Attributes:
        name: heading.
        findings: content of the report.
        folder: folder with its files.
        files: paths, the page last.
    """

    name: str
    findings: "Findings"
    folder: Path
    files: list[Path]

    @property
    def headline(self) -> str:
        """The answer in one or two sentences."""
        return self.findings.headline

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / PAGE


def folder_of(directory: str | Path | None, name: str) -> Path:
    """Return the folder of a report.

    Args:
        directory: ``report.dir``; None: ``reports/<name>`` in the project.
        name: name of the sweep, study or experiment.
    """
    return Path(directory).expanduser().absolute() if directory else PROJECT / "reports" / slug(name)


def slug(name: str) -> str:
    """Return the name as a file name: letters and digits of any script, and ``._+-``, at most 200 bytes.

    >>> slug("größe/a b"), slug("..")
    ('größe-a-b', 'report')
    """
    name = unicodedata.normalize("NFC", name)  # else a name typed on another system would have another folder
    characters = (
        character if character in "._+-" or unicodedata.category(character)[0] in "LMN" else " " for character in name
    )
    text = re.sub(" +", "-", "".join(characters)).strip("-.")
    return text.encode()[:_LONGEST_NAME].decode(errors="ignore") or "report"


def check_folder(directory: str | None, name: str) -> None:
    """Refuse a folder that the report cannot be written to.

    Args:
        directory: ``report.dir``; None: ``reports/<name>`` in the project.
        name: name of the sweep, study or experiment.

    Raises:
        ConfigError: a file or folder is in the way, or a folder cannot be written.
    """
    folder = folder_of(directory, name)
    if problem := _folder_problem(folder):
        raise ConfigError(Setting("report.dir", directory), problem, "name another folder")


def check_source(directory: str | Path | None, source: ReportSource | None) -> None:
    """Refuse a ``report.dir`` that contains the report of another source and that `make_room` must not rename.

    Args:
        directory: ``report.dir``; None: the default folder, which is not checked.
        source: source of the report to be written; None if its parent run does not exist yet.

    Raises:
        ConfigError: the folder also has other files, or the working directory is in it.
    """
    if not directory:
        return
    folder = folder_of(directory, "")
    earlier = source_of(folder)
    if earlier is None or (source is not None and earlier.is_same(source)):
        return
    others = sorted(path.name for path in folder.iterdir() if path.suffix not in _SUFFIXES or not path.is_file())
    if others:
        problem = f"contains the report of {earlier}, and also {others[0]}"
    elif Path.cwd().is_relative_to(folder.resolve()):
        problem = f"contains the report of {earlier}, and is the working directory"
    else:
        return
    raise ConfigError(Setting("report.dir", directory), problem, "name another folder")


def make_room(folder: Path, source: ReportSource) -> None:
    """Rename a folder that contains the report of another source, and print the new name.

    A page without a source (of an earlier version, or of another program) is replaced, with a note.
    """
    earlier = source_of(folder)
    if earlier is not None and not earlier.is_same(source):
        names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        start = f"{folder.name}-{slug(earlier.id)[:8]}"
        renamed = next(path for end in names if not os.path.lexists(path := folder.with_name(start + end)))
        folder.rename(renamed)
        note(f"{folder} contained the report of {earlier}: renamed to {renamed}")
    elif earlier is None and (folder / PAGE).exists():
        note(f"{folder / PAGE} does not name its runs: replaced")


def source_of(folder: Path) -> ReportSource | None:
    """Return the source of the report in a folder; None if there is no page, or it names no source."""
    try:
        with (folder / PAGE).open(encoding="utf-8", errors="replace") as file:
            head = file.read(_HEAD_LENGTH)
    except OSError:
        return None
    parser = _Meta()
    parser.feed(head)
    kind, _, id_and_name = (parser.content or "").partition(" ")
    identity, _, name = id_and_name.partition(" ")
    return ReportSource(kind, identity, name) if name else None


class _Meta(HTMLParser):
    """Find the content of the meta element `SOURCE`."""

    content: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "meta" and attributes.get("name") == SOURCE:
            self.content = attributes.get("content")


def _folder_problem(folder: Path) -> str | None:
    if (size := len(os.fsencode(folder.name))) > _LONGEST_NAME:
        return f"its name has {size} bytes; at most {_LONGEST_NAME} are allowed"
    try:
        if os.path.lexists(folder) and not folder.is_dir():
            return f"{folder} is not a folder"
        for file in (PAGE, BOARD):
            if (folder / file).is_dir():
                return f"{folder / file} is a folder, and the report has a file of that name"
        for target in (folder, folder.parent):  # files are made beside it, and moved there when all are done
            existing = next(path for path in (target, *target.parents) if os.path.lexists(path))
            if not existing.is_dir():
                return f"{existing} is not a folder"
            if not existing.stat().st_mode & 0o222:  # the superuser could write it, but it is marked read-only
                return f"the folder {existing} is read-only"
            with tempfile.TemporaryFile(dir=existing):
                pass
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None
