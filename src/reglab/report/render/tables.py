"""Tables of the page: values formatted as they are shown."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from reglab.report.findings.interactions import Interaction
from reglab.report.findings.leaderboard import DetectableDifference, Entry, decimal_places
from reglab.report.findings.tuning import StrategyTuning, TaskTuning
from reglab.report.number_format import (
    MISSING,
    format_fixed,
    format_interval,
    format_p,
    format_rank,
    format_seconds,
    format_signed,
)
from reglab.report.question import Question
from reglab.report.statistics.data_sets import Pair
from reglab.report.trials import NO_SCORE, TrialSummary, format_values, short_key

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = "tuning_section.html"


def leaderboard_table(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return the rows of a leaderboard, and which optional columns it has."""
    digits = decimal_places(entries)
    return {
        "selected": any(entry.selected_on is not None for entry in entries),
        "seconds": any(entry.seconds is not None for entry in entries),
        "rows": [
            {
                "entry": entry,
                "rank": format_rank(entry.rank),
                "mean": format_fixed(entry.mean, digits),
                "std": format_fixed(entry.std, digits),
                "interval": format_interval(entry.interval, digits),
                "diff": format_signed(entry.diff, digits),
                "diff_interval": format_interval(entry.diff_interval, digits, sign=True),
                "p": format_p(entry.p),
                "p_holm": format_p(entry.p_holm),
                "selected_on": format_fixed(entry.selected_on, digits),
                "seconds": format_seconds(entry.seconds),
            }
            for entry in entries
        ],
    }


def pair_rows(pairs: Sequence[Pair], digits: int) -> list[dict[str, Any]]:
    """Return the rows of all pairs of strategies over data sets."""
    return [
        {
            "first": pair.first,
            "second": pair.second,
            "diff": format_signed(pair.difference.mean, digits),
            "interval": format_interval(pair.difference.interval, digits, sign=True),
            "p": format_p(pair.difference.p),
            "p_holm": format_p(pair.p_holm),
            "verdict": "differ" if pair.differs else "not shown to differ",
        }
        for pair in pairs
    ]


def interaction_rows(interactions: Sequence[Interaction], digits: int) -> list[dict[str, Any]]:
    """Return the rows of combinations against the sum of their parts."""
    return [
        {
            "label": interaction.label,
            "pairs": interaction.difference.pairs,
            "effect": format_signed(interaction.effect, digits),
            "parts": format_signed(interaction.parts, digits),
            "diff": format_signed(interaction.difference.mean, digits),
            "interval": format_interval(interaction.difference.interval, digits, sign=True),
            "p": format_p(interaction.difference.p),
            "p_holm": format_p(interaction.p_holm),
            "verdict": interaction.verdict,
            "reason": interaction.reason,
            "same_strengths": interaction.same_strengths,
        }
        for interaction in interactions
    ]


def detectable_rows(detectable: Sequence[DetectableDifference], digits: int) -> list[dict[str, Any]]:
    """Return the rows of minimum detectable differences."""
    return [
        {
            "entry": difference.entry,
            "diff": format_signed(difference.entry.diff, digits),
            "spread": format_fixed(difference.entry.diff_std, digits),
            "smallest": format_fixed(difference.smallest, digits)
            if difference.smallest is not None
            else "out of reach",
            "needed": _format_needed(difference),
        }
        for difference in detectable
    ]


def _format_needed(difference: DetectableDifference) -> str:
    """Return the seeds that the observed difference needs; `MISSING` if it is already significant."""
    if difference.entry.verdict.is_difference:
        return MISSING
    return f"{difference.needed:,}" if difference.needed is not None else "out of reach"


def render_tuning(environment: "Environment", tuning: TaskTuning | None, question: Question, digits: int) -> str:
    """Return the section on the tuning of a task as HTML; empty if nothing was tuned.

    Args:
        environment: Jinja environment of the page.
        tuning: tuning of one task.
        question: the reported metric.
        digits: decimals of scores, as in the task's leaderboard.
    """
    if tuning is None:
        return ""
    template = environment.from_string(files(__package__).joinpath(_TEMPLATE).read_text(encoding="utf-8"))
    outcomes = [s for s in ("pruned", *NO_SCORE) if any(strategy.count(s) for strategy in tuning.strategies)]
    return template.render(
        select_by=tuning.study.select_by[0],
        question=question,
        baseline=tuning.study.baseline,
        has_optimism=any(strategy.optimism is not None for strategy in tuning.strategies),
        chosen=[_chosen_row(strategy, tuning, digits) for strategy in tuning.strategies],
        outcomes=outcomes,
        costs=[_cost_row(strategy, tuning, outcomes) for strategy in tuning.strategies],
        equal_compute=_equal_compute_table(tuning, digits),
        importances=[(name, _format_shares(shares)) for name, shares in tuning.importances.items()],
    )


def _chosen_row(strategy: StrategyTuning, tuning: TaskTuning, digits: int) -> dict[str, Any]:
    trial = strategy.chosen
    return {
        "strategy": strategy.strategy,
        "trial": MISSING if trial is None else str(trial.number),
        "configuration": MISSING if trial is None else _format_trial(trial, tuning),
        "tuning": _format_score(trial, digits),
        "validation": format_fixed(strategy.validation, digits),
        "test": format_fixed(strategy.test, digits),
        "optimism": format_signed(strategy.optimism, digits),
    }


def _cost_row(strategy: StrategyTuning, tuning: TaskTuning, outcomes: list[str]) -> dict[str, Any]:
    baseline_seconds = next(
        (other.run_seconds for other in tuning.strategies if other.strategy == tuning.study.baseline), None
    )
    run_seconds = strategy.run_seconds
    return {
        "strategy": strategy.strategy,
        "trials": strategy.started,
        "runs": strategy.runs,
        "seconds": format_seconds(strategy.seconds),
        "run_seconds": format_seconds(run_seconds),
        "ratio": f"× {run_seconds / baseline_seconds:.2f}" if run_seconds and baseline_seconds else MISSING,
        "outcomes": [strategy.count(status) for status in outcomes],
    }


def _equal_compute_table(tuning: TaskTuning, digits: int) -> dict[str, Any] | None:
    if tuning.equal_compute is None:
        return None
    budget, choices = tuning.equal_compute
    tuned = [strategy for strategy in tuning.strategies if tuning.study.is_tuned(strategy.strategy)]
    chosen = {strategy.strategy: strategy.chosen for strategy in tuning.strategies}
    return {
        "seconds": format_seconds(budget),
        "cheapest": min(tuned, key=lambda strategy: strategy.seconds).strategy,
        "rows": [
            {
                "strategy": choice.strategy,
                "trials": choice.count,
                "total_trials": choice.total_trials,
                "best": _format_score(choice.best, digits),
                "best_of_all": _format_score(chosen.get(choice.strategy), digits),
                "choice": _format_choice(choice.best, differs=choice.differs),
            }
            for choice in choices
        ],
    }


def _format_choice(best: TrialSummary | None, *, differs: bool) -> str:
    if best is None or best.score is None:
        return "none"
    return f"different (trial {best.number})" if differs else "the same"


def _format_trial(trial: TrialSummary, tuning: TaskTuning) -> str:
    off_values = {
        dimension.key: getattr(dimension, "off", None) for dimension in tuning.study.space.get(trial.strategy, ())
    }
    parts = [
        format_values({key: value}) + (" (off)" if off_values.get(key) is not None and value == off_values[key] else "")
        for key, value in trial.values.items()
    ]
    return ", ".join(parts) or "no search space"


def _format_shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{short_key(key)} {100 * share:.0f} %" for key, share in shares.items())


def _format_score(trial: TrialSummary | None, digits: int) -> str:
    return format_fixed(trial.score if trial else None, digits)
