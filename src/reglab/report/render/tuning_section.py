"""The tables of a task's tuning, as a part of the page."""

from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reglab.report import number_format as figures
from reglab.report.budget import Budget
from reglab.report.question import Question
from reglab.report.study_record import short
from reglab.report.trials import Trial
from reglab.report.tuning import TaskTuning
from reglab.report.tuning_charts import told
from reglab.schema.search_space import Value

if TYPE_CHECKING:
    from jinja2 import Environment

_LOST = ("pruned", "diverged", "failed", "not done")


def section(environment: "Environment", tuned: TaskTuning | None, question: Question, digits: int) -> str:
    """HTML of what was chosen, what tuning took, equal compute and importances; empty without tuning.

    Args:
        environment: of the page.
        tuned: the tuning of one task.
        question: the reported metric.
        digits: of scores, as in the task's leaderboard.
    """
    if tuned is None:
        return ""
    template = environment.from_string(files(__package__).joinpath("tuning_section.html").read_text(encoding="utf-8"))
    lost = [what for what in _LOST if any(row.count(what) for row in tuned.budgets)]
    return template.render(
        select_by=tuned.study.select_by[0],
        question=question,
        baseline=tuned.study.baseline,
        compared=any(row.optimism is not None for row in tuned.budgets),
        chosen=[_chosen(row, tuned, digits) for row in tuned.budgets],
        lost=lost,
        spent=[_spent(row, tuned, lost) for row in tuned.budgets],
        equal=_equal(tuned, digits),
        importances=[(name, _shares(shares)) for name, shares in tuned.importances.items()],
    )


def failures(tuned: TaskTuning | None, data: str) -> list[dict[str, str]]:
    """Rows of what failed: the tuning runs that gave no score."""
    return [
        {
            "label": f"{trial.strategy}, tuning trial {trial.number}",
            "data": data,
            "seed": failure.record.tags.get("seed", figures.NONE),
            "what": failure.what,
            "run_id": failure.record.run_id,
        }
        for trial in (tuned.trials if tuned is not None else [])
        for failure in trial.failures
    ]


def _chosen(row: Budget, tuned: TaskTuning, digits: int) -> dict[str, Any]:
    trial = row.chosen
    return {
        "strategy": row.strategy,
        "trial": figures.NONE if trial is None else str(trial.number),
        "values": figures.NONE if trial is None else _values(trial, tuned),
        "tuning": figures.fixed(trial.score if trial else None, digits),
        "validation": figures.fixed(row.validation, digits),
        "test": figures.fixed(row.test, digits),
        "optimism": figures.signed(row.optimism, digits),
    }


def _values(trial: Trial, tuned: TaskTuning) -> str:
    off = {one.key: getattr(one, "off", None) for one in tuned.study.space.get(trial.strategy, ())}

    def text(key: str, value: Value) -> str:
        return told({key: value}) + (" (off)" if off.get(key) is not None and value == off[key] else "")

    return ", ".join(text(key, value) for key, value in trial.values.items()) or "nothing to search"


def _spent(row: Budget, tuned: TaskTuning, lost: list[str]) -> dict[str, Any]:
    base = next((other.run_seconds for other in tuned.budgets if other.strategy == tuned.study.baseline), None)
    own = row.run_seconds
    return {
        "strategy": row.strategy,
        "trials": row.tried,
        "runs": row.runs,
        "seconds": figures.seconds(row.seconds),
        "run": figures.seconds(own),
        "ratio": f"× {own / base:.2f}" if own and base else figures.NONE,
        "lost": [row.count(what) for what in lost],
    }


def _equal(tuned: TaskTuning, digits: int) -> dict[str, Any] | None:
    if tuned.affordable is None:
        return None
    budget, rows = tuned.affordable
    cheapest = min((row for row in tuned.budgets if tuned.study.tuned(row.strategy)), key=lambda row: row.seconds)
    now = {row.strategy: row.chosen for row in tuned.budgets}
    return {
        "seconds": figures.seconds(budget),
        "cheapest": cheapest.strategy,
        "rows": [
            {
                "strategy": row.strategy,
                "count": row.count,
                "of": row.of,
                "best": _score(row.best, digits),
                "all": _score(now.get(row.strategy), digits),
                "choice": f"trial {row.best.number}" if row.best else figures.NONE,
                "another": row.another,
            }
            for row in rows
        ],
    }


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{short(key)} {100 * share:.0f} %" for key, share in shares.items())


def _score(trial: Trial | None, digits: int) -> str:
    return figures.fixed(trial.score if trial else None, digits)
