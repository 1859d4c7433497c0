"""The report as one self-contained HTML page."""

import platform
import re
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from reglab.report import failed, not_seen, page_tables, rules, style, svg
from reglab.report import number_format as figures
from reglab.report.arms import show
from reglab.report.drawing import Drawn
from reglab.report.findings import Findings, TaskFindings
from reglab.report.folder import SOURCE, Source
from reglab.report.many_tasks import ManyTasks
from reglab.report.question import Question
from reglab.report.records import by_number, value
from reglab.report.render import tuning_section
from reglab.wording import join_names

_PACKAGES = ("reglab", "numpy", "scipy", "matplotlib", "mlflow", "torch", "pytorch-lightning")


def render(
    name: str,
    findings: Findings,
    colours: dict[str, str],
    overall: Sequence[Drawn],
    charts: Sequence[Sequence[Drawn]],
    source: Source,
) -> str:
    """The page: the answer, the leaderboard, charts, what failed, how it was done.

    Args:
        overall: charts over all tasks, none for a single task.
        charts: those of each task.
        source: of the runs, kept in the page's head.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breakable"] = lambda text: Markup(_breakable(str(Markup.escape(text))))
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    several = findings.overall is not None
    tasks = [
        _task(found, findings.question, drawn, f"t{i}", several)
        for i, (found, drawn) in enumerate(zip(findings.tasks, charts, strict=True))
    ]
    for task, found in zip(tasks, findings.tasks, strict=True):
        digits = figures.decimals(found.lines)
        task["tuning"] = Markup(tuning_section.section(environment, found.tuning, findings.question, digits))
    return template.render(
        name=name,
        source=source,
        source_name=SOURCE,
        question=findings.question,
        answer=findings.answer,
        remarks=findings.remarks,
        date=time.strftime("%Y-%m-%d %H:%M"),
        runs=findings.runs,
        seeds=max((len(found.grid.cells) for found in findings.tasks), default=0),
        colours={strategy: svg.themed(colour) for strategy, colour in colours.items()},
        palette=style.PALETTE,
        several=several,
        overall=page_tables.leaderboard(findings.overall) if findings.overall is not None else None,
        pairs=_pairs(findings),
        no_ranks=findings.many if isinstance(findings.many, str) else None,
        cautions=findings.cautions,
        overall_charts=[_chart(chart) for chart in overall],
        tasks=tasks,
        failures=failed.failures(findings),
        failed=failed.by_strategy(findings),
        left_out=findings.left_out,
        absent=findings.absent,
        rules=rules.rules(findings),
        how=_how(findings.tasks),
        versions=_versions(),
        units="tasks" if several else "seeds",
    )


def _pairs(findings: Findings) -> list[dict[str, Any]]:
    if not isinstance(findings.many, ManyTasks):
        return []
    return page_tables.pairs(findings.many.pairs, figures.decimals(findings.lines))


def _task(
    found: TaskFindings, question: Question, charts: Sequence[Drawn], prefix: str, several: bool
) -> dict[str, Any]:
    digits = figures.decimals(found.lines)
    runs = [
        (row.label, show(cell), value(record, question.metric), record.run_id)
        for row in found.grid.rows
        for cell, record in sorted(row.runs.items(), key=lambda item: [by_number(part) for part in item[0]])
    ]
    return {
        "name": found.task.name,
        "prefix": prefix,
        "headline": found.headline if several else None,
        "table": page_tables.leaderboard(found.lines),
        "could": not_seen.sentence(found.not_seen, found.lines, found.splits.overlap),
        "not_seen": page_tables.not_seen(found, digits),
        "interactions": page_tables.combinations(found.interactions, digits),
        "charts": [_chart(chart) for chart in charts],
        "weaknesses": found.weaknesses,
        "selected_by": found.choice.metric,
        "about": sorted((k or "setting", v) for k, v in found.task.about.items()),
        "runs": [(label, cell, "–" if v is None else f"{v:.6g}", run_id) for label, cell, v, run_id in runs],
    }


def _how(tasks: Sequence[TaskFindings]) -> list[str]:
    """How splits and pairs were, once where it is the same for all tasks."""
    told: dict[str, list[str]] = {}
    for found in tasks:
        for text in found.how:
            told.setdefault(text, []).append(found.task.name)
    return [text if len(names) == len(tasks) else f"{join_names(names)}: {text}" for text, names in told.items()]


def _chart(chart: Drawn) -> dict[str, Any]:
    from markupsafe import Markup

    return {"title": chart.title, "caption": chart.caption, "svg": Markup(chart.svg), "name": chart.name}


def _versions() -> list[tuple[str, str]]:
    found = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return found


def _breakable(text: str) -> str:
    """Long names may break after `+`, `(`, `,`, `/` and `_`, so that they are never cut."""
    return re.sub(r"(?<=\w)([+(_,/])(?=\w)", r"\1<wbr>", text)
