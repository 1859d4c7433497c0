"""Draft folders, which replace a folder at once, and files that are written completely or not at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reglab.filesystem import draft_folder, remove_old_drafts, write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from reglab.filesystem import draft_folder
with draft_folder(Path(sys.argv[1])) as folder:
    (folder / "part").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_drafts_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "report"
    subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False)
    (left,) = names(tmp_path)
    assert left.startswith(".report-")
    with draft_folder(target) as mine:
        assert names(tmp_path) == [mine.name]
        assert remove_old_drafts(target) == []  # its process is running
    assert names(tmp_path) == []


@pytest.mark.parametrize(("age", "is_removed"), [(60, False), (7200, True)])
def test_drafts_of_other_hosts_and_older_versions_are_removed_when_old(
    tmp_path: Path, age: float, is_removed: bool
) -> None:
    drafts = [tmp_path / ".report-abcd1234", tmp_path / ".report-1@another-host-abcd1234"]
    others = [tmp_path / ".report-of-mine", tmp_path / ".report.txt", tmp_path / ".another-abcd1234"]
    for folder in (*drafts, *others):
        folder.mkdir()
        os.utime(folder, (time.time() - age, time.time() - age))
    assert sorted(remove_old_drafts(tmp_path / "report")) == (sorted(drafts) if is_removed else [])
    assert all(folder.exists() for folder in others)


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / ".a.json.999999999.part").touch()
    (tmp_path / ".a.json.1.part").touch()  # of a running process
    for text in ("one", "two"):
        write_whole(tmp_path / "a.json", text)
        assert (tmp_path / "a.json").read_text() == text
    assert names(tmp_path) == [".a.json.1.part", "a.json"]
