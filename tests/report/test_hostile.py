"""Names with control characters, HTML, formulas and Markdown; narrow terminals."""

import csv
import re
from pathlib import Path

import pytest

from reglab import streams
from reglab.inference import evaluation
from reglab.report.folder import Report
from reglab.report.make import make_report
from reglab.report.question import resolve_question
from reglab.report.render.terminal import print_report, to_markdown
from reglab.study.status import ArmStatus, status_tables
from tests.report.runs_by_hand import NONE, SOURCE, UP, Rec, accuracies

HOSTILE = {
    '=HYPERLINK("http://x","y")': '\'=HYPERLINK("http://x","y")',
    "+1+cmd": "'+1+cmd",
    "-2-x": "'-2-x",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "\\t=1",
    "l1\x1b[31m\x9b2J\x07": "l1\\x1b[31m\\x9b2J\\x07",
    "a\u202eb\r\nc": "a\\u202eb\\r\\nc",
    "[red]x[/red]:boom:": "[red]x[/red]:boom:",
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "a|b [c](javascript:alert(1))": "a|b [c](javascript:alert(1))",
    "$x^2$": "$x^2$",
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    records: list[Rec] = accuracies(
        {"none": NONE, **{name: [v + i / 500 for v in UP] for i, name in enumerate(HOSTILE)}}
    )
    for record in records:
        record.tags["data"] = "wine\x1b[2J\n=x"
    question = resolve_question(records, metric="test/accuracy", direction="max")
    folder = tmp_path_factory.mktemp("hostile")
    return make_report(
        "=na\x1bme", question, records, lambda ids, metrics: {m: {i: [] for i in ids} for m in metrics}, SOURCE, folder
    )


@pytest.mark.slow
def test_tables_have_no_formulas(report: Report) -> None:
    with (report.folder / "leaderboard.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["strategy"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"none", *HOSTILE.values()}
    assert all(0.5 < float(row["mean"]) < 1 and int(row["n"]) == 6 for row in rows.values())
    assert float(rows["-2-x" if "-2-x" in rows else "'-2-x"]["diff_low"]) > 0
    assert not CONTROL.search((report.folder / "leaderboard.csv").read_text(encoding="utf-8"))


def test_the_page_escapes_names(report: Report) -> None:
    page = report.page.read_text(encoding="utf-8")
    assert not CONTROL.search(page)
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert not re.search(r"href=[\"']?\s*javascript", page)


def test_the_page_of_mlflow_shows_names_as_text(report: Report) -> None:
    note = to_markdown(report)
    assert not CONTROL.search(note)
    assert "\\<script\\>alert(1)\\</script\\>" in note
    assert "a\\|b \\[c\\](javascript:alert(1))" in note


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 140])
@pytest.mark.parametrize("settings", [{}, {"TERM": "dumb"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1", "TERM": "xterm"}])
def test_names_fit_narrow_terminals(
    report: Report,
    width: int,
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {**settings, "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)
    print_report(report, "make ui")
    output = capsys.readouterr().out
    plain = re.sub("\x1b\\[[0-9;]*m", "", output)
    assert not CONTROL.search(plain)
    together = re.sub(r"\s", "", plain)
    for name in HOSTILE.values():
        text = name.removeprefix("'") if name[1:2] in "=+-@" else name
        assert re.sub(r"\s", "", text) in together or width >= 80  # names are wrapped within columns of a table
    if width >= 20 and "FORCE_COLOR" in settings:  # sentences are not wrapped in a pipe
        assert all(
            len(line) <= max(width, 20) for line in plain.splitlines() if "make ui" not in line and "/" not in line
        )


def test_rows_of_an_evaluation_are_no_formulas(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = {"row": [0, 1], "target": ["=1+1", "-1"], "entropy": [0.25, -1e-9]}
    text = evaluation.csv_text(list(rows), zip(*rows.values(), strict=True))
    assert text == "row,target,entropy\n0,'=1+1,0.25\n1,-1,-1e-09\n"


def test_status_shows_the_strategy_on_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from collections import Counter

    monkeypatch.setenv("COLUMNS", "30")
    arms = [
        ArmStatus("quick", "digits mlp", "dropout+max_norm", phase, Counter(done=3, running=1))
        for phase in ("tune", "confirm")
    ]
    for table in status_tables(arms):
        streams.show_table(table)
    output = capsys.readouterr().out
    assert "dropout+max_norm\n" in output
    assert "tune: 3 of 4 done, 1 running" in re.sub(r"\s+", " ", output)
