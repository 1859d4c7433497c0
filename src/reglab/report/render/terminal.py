"""The report as text: for the terminal, and as Markdown for the run's note in the tracker."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab import streams
from reglab.report.charts import style
from reglab.report.findings.leaderboard import Entry, decimal_places, describe_detectable
from reglab.report.findings.verdicts import Verdict
from reglab.report.folder import Report
from reglab.report.number_format import format_fixed, format_interval, format_p, format_rank, format_signed
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.schema.text import pluralize
from reglab.streams import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_SHORT_VERDICTS = {
    Verdict.UNCLEAR: "unclear",
    Verdict.TOO_FEW_SEEDS: "too few seeds",
    Verdict.TOO_FEW_DATA_SETS: "too few data sets",
}
_HEADS = ("n", "mean", "sd", "difference [95 %]", "p Holm", "verdict")
_COLOURS = {Verdict.HELPS: "green", Verdict.HURTS: "red"}
_MIN_NAME_WIDTH = 9  # columns for the names of a table
_LISTED_TASKS = 12  # largest number of tasks whose headlines are printed
_NOTE_LENGTH = 7500  # characters; MLflow keeps 8,000 of a tag


def print_report(report: Report, browse: str, console: "Console | None" = None) -> None:
    """Print the leaderboard, the answer, the path of the page, and the command that opens the tracker's UI.

    Args:
        report: report to print.
        browse: the command.
        console: default: standard output.
    """
    console = console or streams.console()
    findings = report.findings
    wrap = not console.is_terminal
    if findings.entries:
        unit = "tasks" if findings.overall else "seeds"
        layout = leaderboard_table if table_fits(findings.entries, console.width) else leaderboard_list
        console.print(layout(findings.entries, findings.question.metric, unit, console.width))
    console.print(f"\n{report.headline}\n", markup=False, soft_wrap=wrap)
    if findings.overall:
        for task_findings in findings.tasks[:_LISTED_TASKS]:
            console.print(f"- {task_findings.headline}", markup=False)
        more = len(findings.tasks) - _LISTED_TASKS
        console.print(f"- {more} more tasks: see the report\n" if more > 0 else "", markup=False)
    for text in _further_results(report):
        console.print(f"{text}\n", markup=False, soft_wrap=wrap)
    for text in findings.exclusions:
        console.print(text, markup=False)
    caveats = len(findings.overall_caveats) + sum(len(task_findings.caveats) for task_findings in findings.tasks)
    if caveats:
        console.print(f"{pluralize(caveats, 'caveat')}: see “Caveats” in the report.")
    console.print(f"report   {report.page}", markup=False, soft_wrap=True)
    console.print(f"browse   {browse}", markup=False, soft_wrap=True)


def table_fits(entries: Sequence[Entry], width: int) -> bool:
    """Return whether a table of the leaderboard leaves enough columns for the names of the entries."""
    return width >= _cells_width(_rows(entries)) + _MIN_NAME_WIDTH


def leaderboard_table(entries: Sequence[Entry], metric: str, unit: str, width: int = 80) -> "Table":
    """Return the leaderboard as a table, with long names on several lines.

    Args:
        entries: entries of the leaderboard.
        metric: title.
        unit: what `n` counts.
        width: columns of the terminal.
    """
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    rows = _rows(entries)
    name_width = max(12, width - _cells_width(rows) - 2)
    table = Table(title=metric, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, collapse_padding=True)
    table.add_column("strategy", overflow="fold")
    for name in _HEADS:
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    for entry, row in zip(entries, rows, strict=True):
        names = style.wrap(_mark_selected(entry), name_width)
        table.add_row(*map(escape, (names, *row)), style=_COLOURS.get(entry.verdict, ""))
    table.caption = _caption(entries, unit)
    table.caption_justify = "left"
    return table


def leaderboard_list(entries: Sequence[Entry], metric: str, unit: str, width: int = 40) -> "Text":
    """Return the leaderboard for a narrow terminal: each entry on several lines, its name first."""
    from rich.text import Text

    text = Text(f"{metric}\n", overflow="fold")
    for entry, (n, mean, spread, difference, p, verdict) in zip(entries, _rows(entries), strict=True):
        colour = _COLOURS.get(entry.verdict, "")
        text.append(f"\n{format_rank(entry.rank)}. {_mark_selected(entry)}\n", style=colour or "bold")
        text.append(f"  n {n}  mean {mean}  sd {spread}\n")
        if entry.diff is not None:
            text.append(f"  difference {difference}\n  p Holm {p}\n")
        text.append(f"  {verdict}\n" if verdict else "", style=colour)
    return text.append(f"\n{_caption(entries, unit)}")


def to_markdown(report: Report) -> str:
    """Return headline and leaderboard for the tag `mlflow.note.content`, within the length that MLflow keeps."""
    findings = report.findings
    unit = "tasks" if findings.overall else "seeds"
    digits = decimal_places(findings.entries)
    head = [
        _escape_markdown(report.headline),
        "",
        f"| rank | strategy | {unit} | {_escape_markdown(findings.question.metric)} | 95 % | difference | 95 % | p "
        "(Holm) | verdict |",
        "| ---: | :--- | ---: | ---: | ---: | ---: | ---: | ---: | :--- |",
    ]
    rows = [_markdown_row(entry, digits) for entry in findings.entries]
    tail = ["", "The complete report: artifact `report/report.html` of this run."]
    while rows and len("\n".join([*head, *rows, *tail])) > _NOTE_LENGTH:
        rows.pop()
        tail[0] = "\nThe table is cut: see `report/leaderboard.csv`."
    return "\n".join([*head, *rows, *tail])


def _further_results(report: Report) -> list[str]:
    """Return the detectable difference of a single task, or the test of all strategies over data sets."""
    findings = report.findings
    if findings.overall is None:
        texts = [
            describe_detectable(task_findings.detectable, task_findings.entries, task_findings.splits.overlap)
            for task_findings in findings.tasks
        ]
        return [text for text in texts if text]
    comparison = findings.over_data_sets
    return [comparison.test_result] if isinstance(comparison, DataSetComparison) else []


def _mark_selected(entry: Entry) -> str:
    return f"{entry.label}{' *' if entry.has_alternatives and entry.chosen and entry.n else ''}"


def _caption(entries: Sequence[Entry], unit: str) -> str:
    selected = (
        "; * selected among the strengths of its strategy" if any(entry.has_alternatives for entry in entries) else ""
    )
    notes = [f"({number}) {reason}" for reason, number in _reason_numbers(entries).items()]
    return "\n".join([f"n counts {unit}{selected}", *notes])


def _reason_numbers(entries: Sequence[Entry]) -> dict[str, int]:
    """Return the reasons of verdicts, each with the number of its note below the table."""
    reasons = dict.fromkeys(entry.reason for entry in entries if entry.reason)
    return {reason: number for number, reason in enumerate(reasons, start=1)}


def _rows(entries: Sequence[Entry]) -> list[tuple[str, ...]]:
    """Return the cells of each entry except its name."""
    digits, numbers = decimal_places(entries), _reason_numbers(entries)
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        difference = format_signed(entry.diff, digits)
        if entry.diff_interval:
            difference += f" {format_interval(entry.diff_interval, digits, sign=True)}"
        verdict = _SHORT_VERDICTS.get(entry.verdict, entry.verdict)
        verdict += f" ({numbers[entry.reason]})" if entry.reason else ""
        mean, spread = format_fixed(entry.mean, digits), format_fixed(entry.std, digits)
        rows.append((str(entry.n), mean, spread, difference, format_p(entry.p_holm), verdict))
    return rows


def _cells_width(rows: Sequence[tuple[str, ...]]) -> int:
    """Return the columns that the cells take."""
    return sum(max(len(row[i]) for row in [_HEADS, *rows]) + 2 for i in range(len(_HEADS)))


def _markdown_row(entry: Entry, digits: int) -> str:
    selected = " (selected)" if entry.has_alternatives and entry.chosen and entry.n else ""
    mean = format_fixed(entry.mean, digits)
    cells = (
        format_rank(entry.rank),
        _escape_markdown(entry.label) + selected,
        str(entry.n),
        mean if entry.std is None else f"{mean} ± {format_fixed(entry.std, digits)}",
        format_interval(entry.interval, digits),
        format_signed(entry.diff, digits),
        format_interval(entry.diff_interval, digits, sign=True),
        format_p(entry.p_holm),
        f"{entry.verdict}{f': {entry.reason}' if entry.reason else ''}",
    )
    return f"| {' | '.join(cells)} |"


def _escape_markdown(text: str) -> str:
    """Return a text without links, table separators and HTML."""
    return re.sub(r"([\\`*\[\]<>|&])", r"\\\1", visible(text))
