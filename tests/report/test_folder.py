"""Report folders are checked before training, without leaving files."""

from pathlib import Path

import pytest

from reglab.report.folder import PAGE, SOURCE, ReportSource, check_folder, check_source, folder_of, make_room, slug
from reglab.schema.errors import ConfigError


def error_of(place: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_folder(place, "name")
    text = str(caught.value)
    assert text.startswith(f"report.dir={place}: "[:300])
    return text


def test_an_existing_or_possible_folder_passes_and_is_not_created(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.html").write_text("")
    for place in (f"{tmp_path}/old", f"{tmp_path}/new", f"{tmp_path}/a/b/c"):
        check_folder(place, "name")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old", "report.html"]


def test_an_obstacle_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "taken" / "report.html").mkdir(parents=True)
    assert "file is not a folder" in error_of(f"{tmp_path}/file")
    assert "file is not a folder" in error_of(f"{tmp_path}/file/below/it")
    assert "link is not a folder" in error_of(f"{tmp_path}/link")
    assert "report.html is a folder" in error_of(f"{tmp_path}/taken")
    assert "has 300 bytes" in error_of(f"{tmp_path}/{'a' * 300}")
    assert "has 240 bytes" in error_of(f"{tmp_path}/{'ü' * 120}")
    assert "/proc is read-only" in error_of("/proc/report")


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    try:
        assert "closed is read-only" in error_of(f"{closed}")
        assert "closed is read-only" in error_of(f"{closed}/report")
    finally:
        closed.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("a/b c", "a-b-c"),
        ("quick-v2_l1+l2.b", "quick-v2_l1+l2.b"),
        ("..a..", "a"),
        ("größe", "größe"),
        ("gro\u0308ße", "größe"),  # the same letter of two characters
        ("模型 比较", "模型-比较"),
        ("हिन्दी", "हिन्दी"),
        ("a\\b:c*d?e\u202ef\udcffg／h", "a-b-c-d-e-f-g-h"),
        ("?!", "report"),
        ("a" * 1000, "a" * 200),
        ("ü" * 1000, "ü" * 100),
        ("a" + "ü" * 1000, "a" + "ü" * 99),
    ],
)
def test_a_name_becomes_a_valid_folder(name: str, folder: str, tmp_path: Path) -> None:
    """Names have at most 200 bytes, since file systems allow 255."""
    assert folder_of(None, name).name == slug(name) == folder
    (tmp_path / slug(name)).mkdir()


def page(folder: Path, source: ReportSource) -> None:
    """Write the beginning of a page of `source`."""
    folder.mkdir(exist_ok=True)
    (folder / PAGE).write_text(f'<!doctype html><html><head><meta name="{SOURCE}" content="{source.text}">')


def test_a_folder_is_cleared_for_another_source_and_refused_where_other_files_would_move(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [ReportSource("study", f"{number}" * 32, "a name") for number in (1, 2, 1)]
    folder = tmp_path / "quick"
    for source in sources:
        make_room(folder, source)
        page(folder, source)
        make_room(folder, source)  # of the same source
    assert capsys.readouterr().err.splitlines() == [
        f"{folder} contained the report of {sources[0]}: renamed to {folder}-11111111",
        f"{folder} contained the report of {sources[1]}: renamed to {folder}-22222222",
    ]
    other_sources = (None, sources[1], ReportSource("experiment", "1" * 32, "a name"))
    for source in (sources[0], *other_sources):
        check_source(folder, source)
    (folder / "chart.png").touch()
    (folder / "mine.txt").touch()
    check_source(folder, sources[0])
    held = rf"^report.dir={folder}: contains the report of study a name \(run 1+\)"
    for source in other_sources:
        with pytest.raises(ConfigError, match=rf"{held}, and also mine.txt"):
            check_source(folder, source)
        check_source(None, source)
    (folder / "mine.txt").unlink()
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=rf"{held}, and is the working directory"):
        check_source(folder, other_sources[1])
    (folder / PAGE).write_text("<html>")
    check_source(folder, None)
    make_room(folder, sources[1])
    assert capsys.readouterr().err.startswith(f"{folder / PAGE} does not name its runs")
