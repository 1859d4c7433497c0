"""The methods section: sentences on how the numbers were obtained."""

from collections.abc import Sequence

from reglab.report.findings.findings import Findings
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.statistics.paired import RESAMPLES
from reglab.report.trials import StudyRecord, short_key
from reglab.samplers import get_sampler
from reglab.schema.search_space import OFF_PROBABILITY, Choice, Range
from reglab.schema.text import join_names, pluralize


def describe_methods(findings: Findings) -> list[str]:
    """Return the sentences on selection, intervals, tests and tuning that hold for all tasks."""
    question = findings.question
    text = [f"{question.metric}: {'higher' if question.higher else 'lower'} is better. Baseline: {question.baseline}."]
    metrics = sorted(
        {task_findings.selection.metric for task_findings in findings.tasks if task_findings.selection.metric}
    )
    if question.forced:
        text.append(
            f"Where strengths vary, the TEST metric {question.select_by[0]} selected one for each strategy "
            "(force=true): the results of the selected entries are optimistic."
        )
    elif metrics:
        text.append(
            f"If strengths vary, each strategy is represented by its strength with the best mean "
            f"{' or '.join(metrics)}, among those with the most seeds; the test set was used once, for the result."
        )
    elif all(task_findings.tuning is None for task_findings in findings.tasks):
        text.append("No strategy has several strengths to select from.")
    text += [
        "The tested weights are those with the lowest val/loss (the last ones if validation has no rows), or the mean "
        "of weights if a strategy computes one. Tuning runs never enter a mean; of several runs of one configuration "
        "the newest finished one is used.",
        f"Intervals of means: 95 % BCa bootstrap, {RESAMPLES} resamples, for three values or more; for few values they "
        "are too narrow (with ten, about 90 % contain the true mean). Intervals of differences: 95 %, Student’s t on "
        "the paired differences.",
        "p: two-sided Wilcoxon signed-rank test on the paired differences; zeros are dropped, and ties share their "
        f"mean rank. {_describe_exactness(findings)}Holm’s correction is over all entries except the baseline.",
        f"“Helps” and “hurts” require Holm’s p below .05 and an interval without zero{_describe_overlap(findings)}. "
        "“Too few to tell”: even if every pair agreed, the smallest possible p times the number of comparisons would "
        "be above .05.",
    ]
    if any(task_findings.detectable for task_findings in findings.tasks):
        text.append(
            "Minimum detectable difference: what both the t-test (noncentral t, with the variance of the intervals) "
            "and Wilcoxon’s test detect with 80 % power at level .05 over the number of comparisons, for normally "
            "distributed differences with the observed standard deviation. Seeds needed: the same for the observed "
            "difference, which may differ from the true one."
        )
    if any(task_findings.interactions for task_findings in findings.tasks):
        text.append(
            "Combinations: for each seed, the difference from none minus the sum of the differences of its parts from "
            "none, with intervals and p as above; Holm’s correction is over the combinations of a task."
        )
    if findings.overall is not None:
        text.append(
            "Overall: n counts tasks, and rank is the mean rank over them, among the strategies that were run on all "
            "of them. Means, intervals, differences and p are over data sets: several settings of one data set are "
            "averaged first, since they are not independent."
        )
    if isinstance(findings.over_data_sets, DataSetComparison):
        text.append(
            "All pairs of strategies: Friedman’s test on the ranks over data sets (ties share their mean rank) with "
            "Iman and Davenport’s correction, then Wilcoxon’s test for each pair. Holm’s correction is over all pairs, "
            "so p is larger than in the leaderboard, which compares with the baseline only."
        )
    studies = [task_findings.tuning.study for task_findings in findings.tasks if task_findings.tuning is not None]
    return [*text, *(describe_tuning(studies[0]) if studies else [])]


def describe_task_methods(findings: Findings) -> list[str]:
    """Return the sentences on splits and pairs, once if they hold for all tasks."""
    tasks_by_text: dict[str, list[str]] = {}
    for task_findings in findings.tasks:
        for text in task_findings.methods:
            tasks_by_text.setdefault(text, []).append(task_findings.task.name)
    task_count = len(findings.tasks)
    return [
        text if len(names) == task_count else f"{join_names(names)}: {text}" for text, names in tasks_by_text.items()
    ]


def describe_tuning(study: StudyRecord) -> list[str]:
    """Return the sentences on budget, search, spaces and pruning."""
    ranges = [dimension for space in study.space.values() for dimension in space if isinstance(dimension, Range)]
    limit = f", or {study.max_seconds:g} s of training if that is reached first" if study.max_seconds else ""
    text = [
        f"Tuning: {pluralize(study.trials, 'trial')} for each strategy and task{limit}, with "
        f"{pluralize(len(study.tuning_seeds), 'run')} for each trial (seeds: {_format_seeds(study.tuning_seeds)}). "
        f"The trial with the best mean {study.select_by[0]} was chosen (the first of ties) and run on "
        f"{pluralize(len(study.seeds), 'fresh seed')} ({_format_seeds(study.seeds)}); only these runs are compared."
    ]
    text.append(get_sampler(study.sampler).describe(study.search_seed))
    if spaces := _describe_spaces(study):
        text.append(f"Search space: {'; '.join(spaces)}.")
    if any(dimension.off is not None for dimension in ranges):
        text.append(f"A strength is off in 1/{round(1 / OFF_PROBABILITY)} of the trials: tuning may disable a method.")
    if all(any(dimension.key == "optimizer.lr" for dimension in space) for space in study.space.values()):
        text.append("The learning rate is searched for every strategy.")
    else:
        text.append(
            "The learning rate is not searched for every strategy: the best strength may depend on the fixed rate."
        )
    if study.pruning is not None:
        eta, rungs = study.pruning["eta"], study.pruning["rungs"]
        text.append(
            f"Pruning: successive halving over {rungs} rungs; each rung keeps one trial in {eta} and trains it {eta} "
            "times as long. Scores of different rungs are not compared."
        )
    return text


def _describe_exactness(findings: Findings) -> str:
    entries = [entry for task_findings in findings.tasks for entry in task_findings.entries]
    entries += findings.overall or []
    methods = {entry.method for entry in entries if entry.method}
    if methods == {"exact"}:
        return "All p values are exact. "
    if "normal approximation" in methods:
        names = sorted({entry.label for entry in entries if entry.method == "normal approximation"})
        return (
            f"p values are exact, except for {', '.join(names)}: normal approximation (ties, zeros or more than 50 "
            "pairs). "
        )
    return ""


def _describe_overlap(findings: Findings) -> str:
    """Return the additional condition of a claim where splits overlap."""
    if not any(task_findings.splits.overlap for task_findings in findings.tasks):
        return ""
    return (
        "; where splits overlap, the corrected resampled t-test (with the variance of the interval) must also have an "
        "adjusted p below .05, since Wilcoxon’s test assumes independent pairs"
    )


def _describe_spaces(study: StudyRecord) -> list[str]:
    """Return each key with its range, again for each strategy that searches a different range of it."""
    spaces: dict[str, None] = {}
    for dimension in (dimension for space in study.space.values() for dimension in space):
        if isinstance(dimension, Choice):
            spaces[f"{short_key(dimension.key)} one of {', '.join(map(str, dimension.options))}"] = None
        else:
            details = [name for name, applies in (("log", dimension.log), ("whole", dimension.whole)) if applies]
            details += [f"off at {dimension.off:g}"] if dimension.off is not None else []
            extra = f" ({', '.join(details)})" if details else ""
            spaces[f"{short_key(dimension.key)} {dimension.low:g} to {dimension.high:g}{extra}"] = None
    return list(spaces)


def _format_seeds(seeds: Sequence[int]) -> str:
    """Return ``0 to 9`` for consecutive seeds, else a list."""
    if not seeds:
        return "none"
    consecutive = list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 1
    return f"{seeds[0]} to {seeds[-1]}" if consecutive else ", ".join(map(str, seeds))
