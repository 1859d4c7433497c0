"""The report as one self-contained HTML page."""

import platform
import re
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from reglab.report.arms import format_replicate
from reglab.report.charts import style, svg
from reglab.report.charts.drawing import RenderedChart
from reglab.report.findings.findings import Findings, TaskFindings, failed_runs, failures_by_strategy
from reglab.report.findings.leaderboard import decimal_places, describe_detectable
from reglab.report.findings.methods import describe_methods, describe_task_methods
from reglab.report.folder import SOURCE, ReportSource
from reglab.report.number_format import MISSING
from reglab.report.question import Question
from reglab.report.records import finite_metric, numeric_order
from reglab.report.render import tables
from reglab.report.render.tables import render_tuning
from reglab.report.statistics.data_sets import DataSetComparison

_TEMPLATE = "page.html"
_PACKAGES = ("reglab", "numpy", "scipy", "matplotlib", "mlflow", "torch", "pytorch-lightning")


def render_page(
    name: str,
    findings: Findings,
    colours: Mapping[str, str],
    overall_charts: Sequence[RenderedChart],
    task_charts: Sequence[Sequence[RenderedChart]],
    source: ReportSource,
) -> str:
    """Return the page: the answer, leaderboards with charts, failed runs and methods.

    Args:
        name: heading.
        findings: findings of all tasks.
        colours: colour of each strategy.
        overall_charts: charts over tasks.
        task_charts: charts of each task.
        source: source of the runs, written into the head of the page.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters["breakable"] = lambda text: Markup(_add_line_breaks(str(Markup.escape(text))))
    template = environment.from_string(files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    several = findings.overall is not None
    tasks = [
        _task_context(task_findings, findings.question, charts, f"t{i}", several=several)
        for i, (task_findings, charts) in enumerate(zip(findings.tasks, task_charts, strict=True))
    ]
    for task, task_findings in zip(tasks, findings.tasks, strict=True):
        digits = decimal_places(task_findings.entries)
        task["tuning"] = Markup(render_tuning(environment, task_findings.tuning, findings.question, digits))
    comparison = findings.over_data_sets
    pairs = comparison.pairs if isinstance(comparison, DataSetComparison) else []
    return template.render(
        name=name,
        source=source,
        source_name=SOURCE,
        question=findings.question,
        answer=findings.answer,
        notes=findings.notes,
        date=time.strftime("%Y-%m-%d %H:%M"),
        runs=findings.runs,
        seeds=max((len(task_findings.table.replicates) for task_findings in findings.tasks), default=0),
        colours={strategy: svg.use_theme_colours(colour) for strategy, colour in colours.items()},
        palette=style.PALETTE,
        several=several,
        overall=tables.leaderboard_table(findings.overall) if findings.overall is not None else None,
        overall_caveats=findings.overall_caveats,
        overall_charts=[_chart_context(chart) for chart in overall_charts],
        pairs=tables.pair_rows(pairs, decimal_places(findings.entries)),
        no_ranks=comparison if isinstance(comparison, str) else None,
        tasks=tasks,
        failed_runs=failed_runs(findings),
        failures_by_strategy=failures_by_strategy(findings),
        missing=findings.missing,
        methods=[*describe_methods(findings), *describe_task_methods(findings)],
        exclusions=findings.exclusions,
        versions=_versions(),
    )


def _task_context(
    task_findings: TaskFindings, question: Question, charts: Sequence[RenderedChart], prefix: str, *, several: bool
) -> dict[str, Any]:
    digits = decimal_places(task_findings.entries)
    runs = [
        (arm.label, format_replicate(replicate), finite_metric(record, question.metric), record.run_id)
        for arm in task_findings.table.arms
        for replicate, record in sorted(arm.runs.items(), key=lambda item: [numeric_order(part) for part in item[0]])
    ]
    return {
        "name": task_findings.task.name,
        "prefix": prefix,
        "headline": task_findings.headline if several else None,
        "table": tables.leaderboard_table(task_findings.entries),
        "detectable_summary": describe_detectable(
            task_findings.detectable, task_findings.entries, task_findings.splits.overlap
        ),
        "detectable": tables.detectable_rows(task_findings.detectable, digits),
        "interactions": tables.interaction_rows(task_findings.interactions, digits),
        "charts": [_chart_context(chart) for chart in charts],
        "caveats": task_findings.caveats,
        "selected_by": task_findings.selection.metric,
        "about": sorted((key or "setting", value) for key, value in task_findings.task.about.items()),
        "runs": [(label, pair, MISSING if v is None else f"{v:.6g}", run_id) for label, pair, v, run_id in runs],
    }


def _chart_context(chart: RenderedChart) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": chart.title, "caption": chart.caption, "svg": Markup(chart.svg), "name": chart.name}


def _versions() -> list[tuple[str, str]]:
    versions = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            versions.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return versions


def _add_line_breaks(text: str) -> str:
    """Return HTML in which long names can break after ``+``, ``(``, ``,``, ``/`` and ``_``."""
    return re.sub(r"(?<=\w)([+(_,/])(?=\w)", r"\1<wbr>", text)
