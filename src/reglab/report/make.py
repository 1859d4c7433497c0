"""Make a report: read tracked runs, and write a folder of files."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from reglab.filesystem import draft_folder
from reglab.report.charts import drawing, style
from reglab.report.charts.chart import OverallChartData, TaskChartData
from reglab.report.charts.drawing import RenderedChart
from reglab.report.findings.findings import Findings, compute_findings
from reglab.report.findings.learning_curves import learning_curves
from reglab.report.folder import BOARD, PAGE, Report, ReportSource, check_source, folder_of, make_room, slug
from reglab.report.question import Question
from reglab.report.records import Histories, RunRecord, escape_record
from reglab.report.render import csv_files
from reglab.report.render.page import render_page
from reglab.report.run_filter import note_on_reused_runs
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.trials import StudyRecord
from reglab.schema.errors import ConfigError, Setting
from reglab.stopping import defer_signals
from reglab.streams import visible

TUNING, PAIRWISE, INTERACTIONS = "tuning.csv", "pairwise.csv", "interactions.csv"


def make_report(
    name: str,
    question: Question,
    records: Sequence[RunRecord],
    histories: Histories,
    source: ReportSource,
    folder: Path | None = None,
    missing: Sequence[str] = (),
    study: StudyRecord | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Write `report.html`, `leaderboard.csv` (and one for each of several tasks) and the charts as PNG files.

    Further files, if they have content: `pairwise.csv` (strategies over data sets), `interactions.csv`, and
    for a study `tuning.csv` with a row for each trial. The files are replaced together, the page last; other files in
    the folder are kept.

    Args:
        name: heading, and the default folder under `reports/`.
        question: what is compared.
        records: tracked runs.
        histories: reads tracked values by step.
        source: source of the records, written into the page. A folder with the report of another source is renamed, not
            overwritten.
        folder: created if it does not exist.
        missing: labels of declared runs that were never run.
        study: definition of the study that the runs belong to, if any.
        remarks: sentences on the records.

    Raises:
        ConfigError: the folder cannot be written, or `folder` has the report of another source and other files.
    """
    check_source(folder, source)
    name, missing = visible(name), [visible(label) for label in missing]
    records = [escape_record(record) for record in records]
    findings = compute_findings(records, question, missing, study)
    findings.exclusions.extend(note_on_reused_runs(records, name) if study is not None else remarks)
    folder = folder_of(folder, name)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with draft_folder(folder) as draft:
            names = _write_files(draft, name, findings, histories, source)
            with defer_signals():  # an interrupt must not leave files of two reports
                make_room(folder, source)
                folder.mkdir(exist_ok=True)
                for file in names:
                    os.replace(draft / file, folder / file)
    except OSError as error:
        raise ConfigError(
            Setting("report.dir", folder), f"cannot be written ({error.strerror})", "name another folder"
        ) from error
    return Report(name, findings, folder, [folder / file for file in names])


def _write_files(draft: Path, name: str, findings: Findings, histories: Histories, source: ReportSource) -> list[str]:
    """Write the files of a report into an empty folder; return their names, the page last."""
    base = next(
        (entry.strategy for task_findings in findings.tasks for entry in task_findings.entries if entry.baseline), None
    )
    colours = style.strategy_colours(
        [name for task_findings in findings.tasks for name in task_findings.strategies], base
    )
    tables = _tables(findings)
    for file, text in tables.items():
        (draft / file).write_text(text, encoding="utf-8")
    overall_charts, task_charts = _draw_charts(draft, findings, colours, histories)
    page = render_page(name, findings, colours, overall_charts, task_charts, source)
    (draft / PAGE).write_text(page, encoding="utf-8")
    shutil.copymode(__file__, draft / PAGE)
    images = dict.fromkeys(chart.file for charts in (overall_charts, *task_charts) for chart in charts)
    return [*tables, *images, PAGE]


def _draw_charts(
    draft: Path, findings: Findings, colours: Mapping[str, str], histories: Histories
) -> tuple[list[RenderedChart], list[list[RenderedChart]]]:
    """Draw the charts over tasks and those of each task."""
    overall = drawing.draw_overall(OverallChartData(findings, colours), draft)
    several = findings.overall is not None
    drawings = (
        drawing.TaskDrawing(
            data=TaskChartData(
                task_findings, findings.question, colours, learning_curves(task_findings, findings.question, histories)
            ),
            folder=draft,
            file_prefix=f"{part}-" if several else "",
            id_prefix=f"t{number}",
        )
        for number, (part, task_findings) in enumerate(zip(_file_parts(findings), findings.tasks, strict=True))
    )
    return overall, list(drawing.draw_tasks(drawings, len(findings.tasks)))


def _tables(findings: Findings) -> dict[str, str]:
    """Return the CSV files by name."""
    tables = {BOARD: csv_files.leaderboard_csv(findings.entries)}
    if findings.overall is not None:
        for part, task_findings in zip(_file_parts(findings), findings.tasks, strict=True):
            tables[f"leaderboard-{part}.csv"] = csv_files.leaderboard_csv(task_findings.entries)
    if isinstance(findings.over_data_sets, DataSetComparison):
        tables[PAIRWISE] = csv_files.pairwise_csv(findings.over_data_sets)
    if trials := [
        trial
        for task_findings in findings.tasks
        if task_findings.tuning is not None
        for trial in task_findings.tuning.trials
    ]:
        tables[TUNING] = csv_files.tuning_csv(trials)
    if any(task_findings.interactions for task_findings in findings.tasks):
        tables[INTERACTIONS] = csv_files.interactions_csv(findings.tasks)
    return tables


def _file_parts(findings: Findings) -> list[str]:
    """Return each task's part of file names, unique also on file systems that ignore case."""
    parts: list[str] = []
    for task_findings in findings.tasks:
        part = start = slug(task_findings.task.name)
        number = 2
        while part.casefold() in map(str.casefold, parts):
            part, number = f"{start}-{number}", number + 1
        parts.append(part)
    return parts
