"""Robust output streams: encodings, closed pipes and files, full disks; control characters are escaped."""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

from reglab import streams
from reglab.paths import PROJECT
from reglab.streams import Stream, visible

HOSTILE = "l1\x1b[31m\x9b2J\x07\r\n\u202egnp\u2066\u200b\x7f[red]:boom:"


def test_control_characters_are_escaped() -> None:
    assert visible(HOSTILE) == "l1\\x1b[31m\\x9b2J\\x07\\r\\n\\u202egnp\\u2066\\u200b\\x7f[red]:boom:"
    assert visible("a\tb\nc\rd", lines=True) == "a\tb\nc\\rd"
    assert visible("naïve – Ω 漢字 👩‍🔬") == "naïve – Ω 漢字 👩‍🔬"


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", '-0.5 +/- 0.1 - "x" na\\xefve \\u03a9 \\udc80'),
        ("latin-1", '-0.5 ± 0.1 - "x" naïve \\u03a9 \\udc80'),
        ("cp1252", "-0.5 ± 0.1 – “x” naïve \\u03a9 \\udc80"),
        ("utf-8", "−0.5 ± 0.1 – “x” naïve Ω \\udc80"),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(encoding: str, shown: str) -> None:
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, encoding=encoding), "output")
    stream.write("−0.5 ± 0.1 – “x” naïve Ω \udc80")
    stream.flush()
    assert raw.getvalue().decode(encoding) == shown


def test_control_characters_in_tables_are_escaped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    table = Table("name")
    table.add_row("evil\x1b]0;title\x07\x9b", style="red")
    streams.console().print(table)
    shown = capsys.readouterr().out
    assert "evil\\x1b]0;title" in shown
    assert "\x1b[31m" in shown  # the colour of the row
    assert not {"\x07", "\x9b"} & set(shown)
    assert "\x1b]" not in shown


def test_text_of_a_decoder_is_raw_in_files_and_escaped_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    streams.write("a\x1b[2J\n", raw=True)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    streams.write("a\x1b[2J\n", raw=True)
    assert capsys.readouterr().out == "a\x1b[2J\na\\x1b[2J\n"


SCRIPT = """
import sys
from reglab import streams
streams.make_streams_safe()
streams.make_streams_safe()
for number in range(3000):
    streams.write_line(f"line {number} – Ω")
    streams.note(f"note {number} – Ω")
streams.console().print("[bold]done")
streams.console(stderr=True).print("[bold]done")
with open("written", "w") as file:
    print("x" * 10, file=file)
print("plain", "Ω" * 5000)
sys.exit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "| head -1",
        "2>&1 | head -1",
        "| true",
        ">&-",
        "2>&-",
        ">&- 2>&- <&-",
        ">/dev/full",
        ">/dev/full 2>/dev/full",
    ],
)
@pytest.mark.parametrize("encoding", ["ascii:strict", "utf-8"])
def test_no_stream_changes_the_exit_code(tmp_path: Path, line: str, encoding: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = f"{shlex.quote(sys.executable)} script.py {line}; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(PROJECT / "src"), "COLUMNS": "1"}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "written").read_text() == "x" * 10 + "\n"
    assert "Traceback" not in done.stderr
    if line == ">/dev/full":
        assert "standard output: No space left on device" in done.stderr


def test_nothing_writes_to_the_streams_by_other_means() -> None:
    pattern = re.compile(r"sys\.stdout\.write|sys\.stderr\.write|(?<![\w.])print\(|\bConsole\(")
    exceptions = {"streams.py", "masking.py", "deadlines.py"}
    files = [*PROJECT.glob("src/**/*.py"), *PROJECT.glob("pipelines/*.py")]
    found = [
        (file.name, line.strip())
        for file in files
        if file.name not in exceptions
        for line in file.read_text().splitlines()
        if pattern.search(line) and not line.strip().startswith(">>> ")  # examples in docstrings
    ]
    allowed = ("return", "mlflow")  # code of the program that an export writes
    assert [(name, line) for name, line in found if not (name == "export.py" and line.startswith(allowed))] == []
