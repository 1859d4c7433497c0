"""The report as text: for the terminal, and as Markdown for the tracker's own page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab import streams
from reglab.study.report import figures, style
from reglab.study.report.leaderboard import Line
from reglab.study.report.make import Report
from reglab.study.report.many_tasks import ManyTasks
from reglab.study.report.not_seen import sentence

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHORT = {
    "no clear difference": "unclear",
    "too few seeds to tell": "too few seeds",
    "too few data sets to tell": "too few data sets",
}
_TASKS = 12  # told one by one
_NOTE = 7500  # characters; MLflow keeps 8,000 of a tag


def show(report: Report, browse: str, console: "Console | None" = None) -> None:
    """Print the leaderboard, the answer, where the report lies and the command to browse the runs with."""
    console = console or streams.console()
    question = report.findings.question
    if report.findings.lines:
        unit = "tasks" if report.findings.overall else "seeds"
        console.print(table(report.findings.lines, question.metric, unit, console.width))
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
        console.print(
            f"{weak} {'reservation' if weak == 1 else 'reservations'}: see “What weakens this” in the report."
        )
    console.print(f"report   {report.page}", markup=False, soft_wrap=True)
    console.print(f"browse   {browse}", markup=False, soft_wrap=True)


def _further(report: Report) -> list[str]:
    """What the only task's comparisons could have found, or whether strategies differ over data sets at all."""
    if report.findings.overall is None:
        told = [sentence(found.not_seen, found.lines, found.splits.overlap) for found in report.findings.tasks]
        return [text for text in told if text]
    return [report.findings.many.sentence] if isinstance(report.findings.many, ManyTasks) else []


def table(lines: Sequence[Line], metric: str, unit: str, width: int = 80) -> "Table":
    """The leaderboard for a terminal `width` columns wide (80 or more); long names take several lines."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    digits = figures.decimals(lines)
    heads = ("n", "mean", "sd", "difference [95 %]", "p Holm", "verdict")
    rows = [_cells(line, digits) for line in lines]
    others = sum(max(len(row[i]) for row in [heads, *rows]) + 2 for i in range(len(heads)))
    room = max(12, width - others - 2)
    shown = Table(title=metric, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    shown.add_column("strategy", overflow="fold")
    for name in heads:
        shown.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for line, row in zip(lines, rows, strict=True):
        mark = " *" if line.contested and line.chosen and line.n else ""
        colour = {"helps": "green", "hurts": "red"}.get(line.verdict, "")
        shown.add_row(*map(escape, (style.wrap(f"{line.strategy}{mark}", room), *row)), style=colour)
    shown.caption = f"n counts {unit}"
    if any(line.contested for line in lines):
        shown.caption += "; * chosen to stand for its strategy"
    shown.caption_justify = "left"
    return shown


def _cells(line: Line, digits: int) -> tuple[str, ...]:
    difference = figures.signed(line.diff, digits)
    if line.diff_interval:
        difference += f" {figures.between(line.diff_interval, digits, sign=True)}"
    mean, spread = figures.fixed(line.mean, digits), figures.fixed(line.std, digits)
    return str(line.n), mean, spread, difference, figures.p_value(line.p_holm), _SHORT.get(line.verdict, line.verdict)


def markdown(report: Report) -> str:
    """Headline and leaderboard for `mlflow.note.content`, within what MLflow keeps of it."""
    question = report.findings.question
    unit = "tasks" if report.findings.overall else "seeds"
    digits = figures.decimals(report.findings.lines)
    head = [
        report.headline,
        "",
        f"| rank | strategy | {unit} | {question.metric} | 95 % | difference | 95 % | p (Holm) | verdict |",
        "| ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- |",
    ]
    rows = [
        " | ".join(
            (
                f"| {figures.rank(line.rank)}",
                line.strategy.replace("|", "\\|") + (" (chosen)" if line.contested and line.chosen and line.n else ""),
                str(line.n),
                _mean(line, digits),
                figures.between(line.interval, digits),
                figures.signed(line.diff, digits),
                figures.between(line.diff_interval, digits, sign=True),
                figures.p_value(line.p_holm),
                f"{line.verdict} |",
            )
        )
        for line in report.findings.lines
    ]
    tail = ["", "The whole report: artifact `report/report.html` of this run."]
    while rows and len("\n".join([*head, *rows, *tail])) > _NOTE:
        rows.pop()
        tail[0] = "\nThe table is cut: see `report/leaderboard.csv`."
    return "\n".join([*head, *rows, *tail])


def _mean(line: Line, digits: int) -> str:
    text = figures.fixed(line.mean, digits)
    return text if line.std is None else f"{text} ± {figures.fixed(line.std, digits)}"
