"""How the numbers came about: sentences for the end of the page."""

from reglab.report import tuning
from reglab.report.findings import Findings
from reglab.report.many_tasks import ManyTasks
from reglab.report.statistics import RESAMPLES


def rules(findings: Findings) -> list[str]:
    """How the numbers came about, the same for all tasks."""
    question = findings.question
    told = [f"{question.metric}: {'higher' if question.higher else 'lower'} is better. Baseline: {question.baseline}."]
    chosen = sorted({found.choice.metric for found in findings.tasks if found.choice.metric})
    if question.forced:
        told.append(
            f"Where strengths vary, the TEST metric {question.select_by[0]} chose one for each strategy, because "
            "that was forced: the results of the chosen entries are too good."
        )
    elif chosen:
        told.append(
            f"Where strengths vary, the best mean {' or '.join(chosen)} chose the strength that stands for its "
            "strategy, among those with the most seeds; the test judged it once."
        )
    elif all(found.tuning is None for found in findings.tasks):
        told.append("No strategy has more than one strength that a validation metric chose among.")
    told += [
        "The weights tested are those of the lowest val/loss (the last ones where validation has no rows), "
        "or the mean of weights where a strategy makes one. Tuning runs are never averaged in; of several runs "
        "of one configuration the newest finished one counts.",
        f"Intervals of means: 95 % BCa bootstrap, {RESAMPLES} resamples, from three values on; of few values "
        "they are too narrow (with ten, about 90 % contain the true mean). Intervals of differences: 95 %, Student’s "
        "t on the paired differences.",
        "p: two-sided Wilcoxon signed-rank test on the paired differences; zeros are dropped, and ties share their "
        f"mean rank. {_methods(findings)}Holm’s correction is over all entries but the baseline.",
        f"“Helps” and “hurts” need Holm’s p below .05 and an interval without zero{_shared(findings)}. "
        "“Too few to tell”: even if every pair agreed, the smallest possible p times the number of "
        "comparisons would stay above .05.",
    ]
    if any(found.not_seen for found in findings.tasks):
        told.append(
            "Smallest differences: what the t-test (noncentral t, with the variance of the intervals) and Wilcoxon’s "
            "test both find with 80 % power at .05 over the number of comparisons, for normal differences with the "
            "spread seen. Seeds needed: the same for the difference seen, which need not be the true one."
        )
    if any(found.interactions for found in findings.tasks):
        told.append(
            "Combinations: seed by seed, the effect against none minus the sum of the effects of its parts against "
            "none, with intervals and p as above; Holm’s correction is over the combinations of a task."
        )
    if findings.overall is not None:
        told.append(
            "Overall: n counts tasks, rank is the mean rank over them, of the strategies that were run on all of them. "
            "Means, intervals, differences and p are over data sets: several settings of one data set are averaged "
            "first, since they are not independent."
        )
    if isinstance(findings.many, ManyTasks):
        told.append(
            "All strategies against each other: Friedman’s test on the ranks over data sets (ties share their mean "
            "rank) with its correction by Iman and Davenport, then Wilcoxon’s test for each pair. Holm’s correction is "
            "over all pairs there, so p is larger than in the leaderboard, which compares with the baseline alone."
        )
    studies = [found.tuning.study for found in findings.tasks if found.tuning is not None]
    return [*told, *(tuning.rules(studies[0]) if studies else [])]


def _methods(findings: Findings) -> str:
    lines = [line for found in findings.tasks for line in found.lines] + list(findings.overall or [])
    methods = {line.method for line in lines if line.method}
    if methods == {"exact"}:
        return "All p values are exact. "
    if "normal approximation" in methods:
        names = sorted({line.strategy for line in lines if line.method == "normal approximation"})
        return f"Exact, but for {', '.join(names)}: the normal approximation (ties, zeros or more than 50 pairs). "
    return ""


def _shared(findings: Findings) -> str:
    """Return the further condition of a claim where splits overlap."""
    if not any(found.splits.overlap for found in findings.tasks):
        return ""
    return (
        "; where splits overlap, the corrected resampled t-test (with the variance of the interval) must have an "
        "adjusted p below .05, too, since Wilcoxon’s test assumes that pairs are independent"
    )
