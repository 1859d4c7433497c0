"""Runs in, a report on disk out."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reglab.filesystem import draft_folder
from reglab.report import drawing, style, trials
from reglab.report.charts_overall import over_tasks
from reglab.report.findings import Findings, find
from reglab.report.folder import BOARD, PAGE, Source, check_source, folder_of, make_room, slug
from reglab.report.learning import learning
from reglab.report.many_tasks import ManyTasks
from reglab.report.question import Question
from reglab.report.records import Histories, Record, legible
from reglab.report.render import csv_files, page
from reglab.report.run_filter import note_on_reused_runs
from reglab.report.study_record import StudyRecord
from reglab.schema.errors import ConfigError, Setting
from reglab.stopping import defer_signals
from reglab.streams import visible

TUNING = "tuning.csv"


@dataclass(frozen=True)
class Report:
    """A report's findings, and its files."""

    name: str
    findings: Findings
    folder: Path
    files: list[Path]

    @property
    def headline(self) -> str:
        """The answer, in a sentence or two."""
        return self.findings.headline

    @property
    def page(self) -> Path:
        """The HTML page."""
        return self.folder / PAGE


def make_report(
    name: str,
    question: Question,
    records: Sequence[Record],
    histories: Histories,
    source: Source,
    folder: Path | None = None,
    absent: Sequence[str] = (),
    study: StudyRecord | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Write `report.html`, `leaderboard.csv` (one more for each of several tasks) and the charts as PNG.

    Where there is something to tell, `pairwise.csv` (strategies over data sets) and `interactions.csv` too; a study's
    report has `tuning.csv`, a row for each trial.

    Each file is replaced as a whole, the page last; other files in the folder stay.

    Args:
        name: heading, and the default folder under `reports/`.
        histories: run ids and metrics in; by metric, (step, value) pairs by run id out.
        source: of the records, written into the page. The folder of a report of another source is renamed, not
            overwritten.
        folder: where to write; made where missing.
        absent: what was declared and never run.
        study: what was declared of the tuning, where the runs are a study's.
        remarks: sentences on the records as a whole.

    Raises:
        ConfigError: the folder cannot be written, or `folder` holds the report of another source beside other files.
    """
    check_source(folder, source)
    name, records, absent = visible(name), [legible(record) for record in records], [visible(text) for text in absent]
    findings = find(records, question, absent, study)
    findings.left_out.extend(note_on_reused_runs(records, name) if study is not None else remarks)
    folder = folder_of(folder, name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(folder) as draft:
            names = _write(draft, name, findings, histories, source)
            with defer_signals():  # never files of two reports
                make_room(folder, source)
                folder.mkdir(exist_ok=True)
                for file in names:
                    os.replace(draft / file, folder / file)
    except OSError as error:
        raise ConfigError(
            Setting("report.dir", folder), f"cannot be written ({error.strerror})", "name another folder"
        ) from error
    return Report(name, findings, folder, [folder / file for file in names])


def _write(draft: Path, name: str, findings: Findings, histories: Histories, source: Source) -> list[str]:
    """Files of the report in a folder of their own; returns their names, the page last."""
    question = findings.question
    base = next((line.name for found in findings.tasks for line in found.lines if line.baseline), None)
    colours = style.colours([name for found in findings.tasks for name in found.strategies], base)
    tables = _tables(findings)
    for file, text in tables.items():
        (draft / file).write_text(text, encoding="utf-8")
    overall = drawing.drawn(over_tasks(findings, colours), draft, "", "o")
    sheets = (
        drawing.Sheet(
            found,
            question,
            colours,
            learning(found, question, colours, histories),
            draft,
            f"{part}-" if findings.overall is not None else "",
            f"t{number}",
        )
        for number, (part, found) in enumerate(zip(_file_parts(findings), findings.tasks, strict=True))
    )
    tasks = list(drawing.of_tasks(sheets, len(findings.tasks)))
    (draft / PAGE).write_text(page.render(name, findings, colours, overall, tasks, source), encoding="utf-8")
    shutil.copymode(__file__, draft / PAGE)
    pictures = [chart.file for some in (overall, *tasks) for chart in some]
    return [*tables, *dict.fromkeys(pictures), PAGE]


def _file_parts(findings: Findings) -> list[str]:
    """Return each task's part of file names, unique also on file systems that ignore case."""
    parts: list[str] = []
    for found in findings.tasks:
        part = start = slug(found.task.name)
        number = 2
        while part.casefold() in map(str.casefold, parts):
            part, number = f"{start}-{number}", number + 1
        parts.append(part)
    return parts


def _tables(findings: Findings) -> dict[str, str]:
    """CSV files by name."""
    tables = {BOARD: csv_files.to_csv(findings.lines)}
    if findings.overall is not None:
        for part, found in zip(_file_parts(findings), findings.tasks, strict=True):
            tables[f"leaderboard-{part}.csv"] = csv_files.to_csv(found.lines)
    if isinstance(findings.many, ManyTasks):
        tables["pairwise.csv"] = csv_files.pairwise(findings.many)
    if tuned := [trial for found in findings.tasks if found.tuning is not None for trial in found.tuning.trials]:
        tables[TUNING] = trials.to_csv(tuned)
    combined = csv_files.interactions(findings)
    return tables if combined is None else tables | {"interactions.csv": combined}
