"""The report as one self-contained HTML page."""

import platform
import re
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

from reglab.study.report import figures, style, svg, tuning, tuning_page
from reglab.study.report.charts import Chart
from reglab.study.report.findings import Findings, TaskFindings
from reglab.study.report.leaderboard import Line
from reglab.study.report.records import by_number, value
from reglab.study.report.rows import show
from reglab.study.report.statistics import RESAMPLES

_PACKAGES = ("reglab", "numpy", "scipy", "matplotlib", "mlflow", "torch", "pytorch-lightning")


def render(
    name: str, findings: Findings, colours: dict[str, str], overall: Sequence[Chart], charts: Sequence[Sequence[Chart]]
) -> str:
    """The page: the answer, the leaderboard, charts, what failed, how it was done.

    Args:
        overall: charts over all tasks, none for a single task.
        charts: those of each task.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["breakable"] = lambda text: Markup(_breakable(str(Markup.escape(text))))
    template = environment.from_string(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))
    several = findings.overall is not None
    tasks = [
        _task(found, findings.question.metric, drawn, f"t{i}", several)
        for i, (found, drawn) in enumerate(zip(findings.tasks, charts, strict=True))
    ]
    for task, found in zip(tasks, findings.tasks, strict=True):
        digits = figures.decimals(found.lines)
        task["tuning"] = Markup(tuning_page.section(environment, found.tuning, findings.question, digits))
    return template.render(
        name=name,
        question=findings.question,
        answer=findings.answer,
        remarks=findings.remarks,
        date=time.strftime("%Y-%m-%d %H:%M"),
        runs=findings.runs,
        seeds=max((len(found.grid.cells) for found in findings.tasks), default=0),
        colours={strategy: svg.themed(colour) for strategy, colour in colours.items()},
        palette=style.PALETTE,
        several=several,
        overall=table(findings.overall) if findings.overall is not None else None,
        cautions=findings.cautions,
        overall_charts=[_chart(chart, "o") for chart in overall],
        tasks=tasks,
        failures=_failures(findings),
        left_out=findings.left_out,
        absent=findings.absent,
        rules=_rules(findings),
        versions=_versions(),
        units="tasks" if several else "seeds",
    )


def table(lines: Sequence[Line]) -> dict[str, Any]:
    """A leaderboard's cells as they are shown."""
    digits = figures.decimals(lines)
    return {
        "selected": any(line.selected_on is not None for line in lines),
        "seconds": any(line.seconds is not None for line in lines),
        "lines": [
            {
                "line": line,
                "rank": figures.rank(line.rank),
                "mean": figures.fixed(line.mean, digits),
                "std": figures.fixed(line.std, digits),
                "interval": figures.between(line.interval, digits),
                "diff": figures.signed(line.diff, digits),
                "diff_interval": figures.between(line.diff_interval, digits, sign=True),
                "p": figures.p_value(line.p),
                "p_holm": figures.p_value(line.p_holm),
                "selected_on": figures.fixed(line.selected_on, digits),
                "seconds": figures.seconds(line.seconds),
            }
            for line in lines
        ],
    }


def _task(found: TaskFindings, metric: str, charts: Sequence[Chart], prefix: str, several: bool) -> dict[str, Any]:
    runs = [
        (row.label, show(cell), value(record, metric), record.run_id)
        for row in found.grid.rows
        for cell, record in sorted(row.runs.items(), key=lambda item: [by_number(part) for part in item[0]])
    ]
    return {
        "name": found.task.name,
        "prefix": prefix,
        "headline": found.headline if several else None,
        "table": table(found.lines),
        "charts": [_chart(chart, prefix) for chart in charts],
        "weaknesses": found.weaknesses,
        "how": found.how,
        "selected_by": found.choice.metric,
        "about": sorted((k or "setting", v) for k, v in found.task.about.items()),
        "runs": [(label, cell, "–" if v is None else f"{v:.6g}", run_id) for label, cell, v, run_id in runs],
    }


def _chart(chart: Chart, prefix: str) -> dict[str, Any]:
    from markupsafe import Markup

    drawing = svg.inline(chart.figure, f"{prefix}-{chart.name}", f"{chart.title}. {chart.caption}", chart.titles)
    return {"title": chart.title, "caption": chart.caption, "svg": Markup(drawing), "name": chart.name}


def _failures(findings: Findings) -> list[dict[str, str]]:
    grids = {found.task.data: found.grid for found in findings.tasks}
    told = [
        {
            "label": grids[f.data].label(f.record) if f.data in grids else f.strategy,
            "data": f.data,
            "seed": f.seed,
            "what": f.what,
            "run_id": f.record.run_id,
        }
        for f in findings.failures
    ]
    for found in findings.tasks:
        told += tuning_page.failures(found.tuning, found.task.data)
    return sorted(told, key=lambda f: (f["label"], f["data"], by_number(f["seed"])))


def _rules(findings: Findings) -> list[str]:
    """How the numbers came about, the same for all tasks."""
    question = findings.question
    rules = [f"{question.metric}: {'higher' if question.higher else 'lower'} is better. Baseline: {question.baseline}."]
    chosen = sorted({found.choice.metric for found in findings.tasks if found.choice.metric})
    if question.forced:
        rules.append(
            f"Where strengths vary, the TEST metric {question.select_by[0]} chose one for each strategy, because "
            "that was forced: the chosen rows are flattered."
        )
    elif chosen:
        rules.append(
            f"Where strengths vary, the best mean {' or '.join(chosen)} chose the strength that stands for its "
            "strategy, among those with the most seeds; the test judged it once."
        )
    elif all(found.tuning is None for found in findings.tasks):
        rules.append("No strategy has more than one strength that a validation metric chose among.")
    rules += [
        "Weights are those that each run itself kept for its test. Tuning runs are never averaged in; of several runs "
        "of one configuration the newest finished one counts.",
        f"Intervals of means: 95 % BCa bootstrap, {RESAMPLES} resamples, from three values on. Intervals of "
        "differences: 95 %, Student’s t on the paired differences.",
        "p: two-sided Wilcoxon signed-rank test on the paired differences; zeros are dropped, and ties share their "
        f"mean rank. {_methods(findings)}Holm’s correction is over all rows but the baseline.",
        "“Helps” and “hurts” need Holm’s p below .05 and an interval without zero. “Too few to tell”: even if every "
        "pair agreed, the smallest possible p times the number of comparisons would stay above .05.",
    ]
    if findings.overall is not None:
        rules.append(
            "Overall: n counts tasks, means are over the tasks’ means, rank is the mean rank over tasks, of the "
            "strategies that were run on all of them. Differences, intervals and p are over data sets: several "
            "settings of one data set are averaged first, since they are not independent."
        )
    studies = [found.tuning.study for found in findings.tasks if found.tuning is not None]
    return [*rules, *(tuning.rules(studies[0]) if studies else [])]


def _methods(findings: Findings) -> str:
    lines = [line for found in findings.tasks for line in found.lines] + list(findings.overall or [])
    methods = {line.method for line in lines if line.method}
    if methods == {"exact"}:
        return "All p values are exact. "
    if "normal approximation" in methods:
        names = sorted({line.strategy for line in lines if line.method == "normal approximation"})
        return f"Exact, but for {', '.join(names)}: the normal approximation (ties, zeros or more than 50 pairs). "
    return ""


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
