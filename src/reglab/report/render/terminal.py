"""The report as text: for the terminal, and as Markdown for the tracker's own page."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab import streams
from reglab.report import number_format as figures
from reglab.report import style
from reglab.report.leaderboard import Line
from reglab.report.make import Report
from reglab.report.many_tasks import ManyTasks
from reglab.report.not_seen import sentence
from reglab.streams import visible
from reglab.wording import pluralize

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_SHORT = {
    "no clear difference": "unclear",
    "too few seeds to tell": "too few seeds",
    "too few data sets to tell": "too few data sets",
}
_HEADS = ("n", "mean", "sd", "difference [95 %]", "p Holm", "verdict")
_COLOURS = {"helps": "green", "hurts": "red"}
_NAMES = 9  # columns at least for the names of a table
_TASKS = 12  # told one by one
_NOTE = 7500  # characters; MLflow keeps 8,000 of a tag


def print_report(report: Report, browse: str, console: "Console | None" = None) -> None:
    """Print the leaderboard, the answer, where the report lies and the command to browse the runs with."""
    console = console or streams.console()
    question = report.findings.question
    if report.findings.lines:
        unit = "tasks" if report.findings.overall else "seeds"
        shown = table if fits(report.findings.lines, console.width) else stacked
        console.print(shown(report.findings.lines, question.metric, unit, console.width))
    console.print(f"\n{report.headline}\n", markup=False, soft_wrap=not console.is_terminal)
    if report.findings.overall:
        for found in report.findings.tasks[:_TASKS]:
            console.print(f"- {found.headline}", markup=False)
        more = len(report.findings.tasks) - _TASKS
        console.print(f"- {more} more tasks: see the report\n" if more > 0 else "", markup=False)
    for text in _further(report):
        console.print(f"{text}\n", markup=False, soft_wrap=not console.is_terminal)
    for text in report.findings.left_out:
        console.print(text, markup=False)
    weak = len(report.findings.cautions) + sum(len(found.weaknesses) for found in report.findings.tasks)
    if weak:
        console.print(f"{pluralize(weak, 'caveat')}: see “What weakens this” in the report.")
    console.print(f"report   {report.page}", markup=False, soft_wrap=True)
    console.print(f"browse   {browse}", markup=False, soft_wrap=True)


def fits(lines: Sequence[Line], width: int) -> bool:
    """Whether a table of the leaderboard leaves room for the names of the entries."""
    return width >= _others(_rows(lines)) + _NAMES


def stacked(lines: Sequence[Line], metric: str, unit: str, width: int = 40) -> "Text":
    """Return the leaderboard for a narrow terminal: each entry on several lines, its name first."""
    from rich.text import Text

    shown = Text(f"{metric}\n", overflow="fold")
    for line, (n, mean, spread, difference, p, verdict) in zip(lines, _rows(lines), strict=True):
        colour = _COLOURS.get(line.verdict, "")
        shown.append(f"\n{figures.rank(line.rank)}. {_marked(line)}\n", style=colour or "bold")
        shown.append(f"  n {n}  mean {mean}  sd {spread}\n")
        if line.diff is not None:
            shown.append(f"  difference {difference}\n  p Holm {p}\n")
        shown.append(f"  {verdict}\n" if verdict else "", style=colour)
    return shown.append(f"\n{_caption(lines, unit)}")


def _further(report: Report) -> list[str]:
    """Return the detectable difference of each task, or, over several tasks, whether strategies differ at all."""
    if report.findings.overall is None:
        told = [sentence(found.not_seen, found.lines, found.splits.overlap) for found in report.findings.tasks]
        return [text for text in told if text]
    return [report.findings.many.sentence] if isinstance(report.findings.many, ManyTasks) else []


def table(lines: Sequence[Line], metric: str, unit: str, width: int = 80) -> "Table":
    """The leaderboard for a terminal `width` columns wide (80 or more); long names take several lines."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    rows = _rows(lines)
    room = max(12, width - _others(rows) - 2)
    shown = Table(title=metric, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    shown.add_column("strategy", overflow="fold")
    for name in _HEADS:
        shown.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for line, row in zip(lines, rows, strict=True):
        names = style.wrap(_marked(line), room)
        shown.add_row(*map(escape, (names, *row)), style=_COLOURS.get(line.verdict, ""))
    shown.caption = _caption(lines, unit)
    shown.caption_justify = "left"
    return shown


def _marked(line: Line) -> str:
    return f"{line.strategy}{' *' if line.contested and line.chosen and line.n else ''}"


def _caption(lines: Sequence[Line], unit: str) -> str:
    chosen = "; * chosen to stand for its strategy" if any(line.contested for line in lines) else ""
    notes = [f"({number}) {reason}" for reason, number in _notes(lines).items()]
    return "\n".join([f"n counts {unit}{chosen}", *notes])


def _notes(lines: Sequence[Line]) -> dict[str, int]:
    """The reasons of verdicts, each with the number of its note below the table."""
    reasons = dict.fromkeys(line.reason for line in lines if line.reason)
    return {reason: number for number, reason in enumerate(reasons, start=1)}


def _rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """The cells beside the name."""
    digits, notes = figures.decimals(lines), _notes(lines)
    return [_cells(line, digits, notes.get(line.reason)) for line in lines]


def _others(rows: Sequence[tuple[str, ...]]) -> int:
    """Columns that they take."""
    return sum(max(len(row[i]) for row in [_HEADS, *rows]) + 2 for i in range(len(_HEADS)))


def _cells(line: Line, digits: int, note: int | None) -> tuple[str, ...]:
    difference = figures.signed(line.diff, digits)
    if line.diff_interval:
        difference += f" {figures.between(line.diff_interval, digits, sign=True)}"
    mean, spread = figures.fixed(line.mean, digits), figures.fixed(line.std, digits)
    verdict = _SHORT.get(line.verdict, line.verdict) + (f" ({note})" if note else "")
    return str(line.n), mean, spread, difference, figures.p_value(line.p_holm), verdict


def to_markdown(report: Report) -> str:
    """Headline and leaderboard for `mlflow.note.content`, within what MLflow keeps of it."""
    question = report.findings.question
    unit = "tasks" if report.findings.overall else "seeds"
    digits = figures.decimals(report.findings.lines)
    head = [
        _as_text(report.headline),
        "",
        f"| rank | strategy | {unit} | {_as_text(question.metric)} | 95 % | difference | 95 % | p (Holm) | verdict |",
        "| ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- |",
    ]
    rows = [
        " | ".join(
            (
                f"| {figures.rank(line.rank)}",
                _as_text(line.strategy) + (" (chosen)" if line.contested and line.chosen and line.n else ""),
                str(line.n),
                _mean(line, digits),
                figures.between(line.interval, digits),
                figures.signed(line.diff, digits),
                figures.between(line.diff_interval, digits, sign=True),
                figures.p_value(line.p_holm),
                f"{line.verdict}{f': {line.reason}' if line.reason else ''} |",
            )
        )
        for line in report.findings.lines
    ]
    tail = ["", "The whole report: artifact `report/report.html` of this run."]
    while rows and len("\n".join([*head, *rows, *tail])) > _NOTE:
        rows.pop()
        tail[0] = "\nThe table is cut: see `report/leaderboard.csv`."
    return "\n".join([*head, *rows, *tail])


def _as_text(text: str) -> str:
    """Escape a text for Markdown: no link, no table, no HTML."""
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", visible(text))


def _mean(line: Line, digits: int) -> str:
    text = figures.fixed(line.mean, digits)
    return text if line.std is None else f"{text} ± {figures.fixed(line.std, digits)}"
