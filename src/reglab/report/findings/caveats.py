"""Caveats on the comparison of one task: how strengths were selected, tags of the runs, and doubtful differences."""

from collections.abc import Sequence

from reglab.report.arms import Arm, ArmTable, Selection, tracked_strengths
from reglab.report.findings.leaderboard import Entry, paired_values
from reglab.report.number_format import format_p
from reglab.report.question import Question
from reglab.report.records import finite_metric
from reglab.report.statistics.paired import ALPHA
from reglab.schema.text import join_names

_CAVEAT_TAGS = {
    "double_counting": "one effect is applied twice",
    "no_effect": "some or all of its methods are off",
    "not_averaged": "the tested weights are not averaged",
    "remark": "a caveat on its methods or its model",
}
_REMAINING = 0.5  # share of a claimed difference that validation must show at the last epoch
_MIN_EQUAL_SEEDS = 3  # two seeds can agree by chance: with few test rows accuracy has few values


def comparison_caveats(
    entries: Sequence[Entry], table: ArmTable, selection: Selection, question: Question
) -> list[str]:
    """Return all caveats on the leaderboard of a task."""
    return [
        *_selected_by_test(selection, question),
        *_tagged_caveats(table),
        *_equal_to_baseline(table, question),
        *_early_stopping(table),
        *_several_commits(table),
        *_significant_but_unclear(entries),
        *early_stopping_artifacts(entries, table, question),
    ]


def early_stopping_artifacts(entries: Sequence[Entry], table: ArmTable, question: Question) -> list[str]:
    """Return a caveat on claimed differences of which validation shows less than half at the last epoch.

    The tested weights are those with the lowest val/loss. If that is early for the baseline, whose confidence grows
    while its accuracy does, they are not its best weights by the reported metric.
    """
    name = question.metric.removeprefix("test/")
    arms = {arm.label: arm for arm in table.arms}
    base = next((arms[entry.label] for entry in entries if entry.baseline and entry.label in arms), None)
    vanishing = []
    for entry in entries:
        if base is None or not entry.verdict.is_difference or question.metric == name:
            continue
        arm = arms[entry.label]
        tested, last = (_mean_difference(arm, base, f"{prefix}val/{name}") for prefix in ("best/", ""))
        if tested and last is not None and last / tested < _REMAINING:
            vanishing.append(f"{entry.label} ({tested:+.3g}, at the last epoch {last:+.3g})".replace("-", "−"))
    if not vanishing:
        return []
    return [
        f"{join_names(vanishing)}: the difference in val/{name} with the tested weights, those with the lowest "
        f"val/loss, is not present at the end of training. It depends on when {question.baseline} is stopped."
    ]


def _selected_by_test(selection: Selection, question: Question) -> list[str]:
    if not selection.undecided:
        return []
    return [
        f"No run of {join_names(selection.undecided)} tracks {' or '.join(question.select_by)}, so only the test "
        "metric could select a strength: each strength is an entry, and the result of the best one is optimistic."
    ]


def _tagged_caveats(table: ArmTable) -> list[str]:
    """Return the caveats that runs are tagged with."""
    caveats = []
    for tag, meaning in _CAVEAT_TAGS.items():
        for text in table.tag_values(tag):
            labels = [arm.label for arm in table.arms if text in arm.tags(tag)]
            caveats.append(f"{join_names(labels)}: {meaning} ({text}).")
    return [*caveats, *(f"Data: {text}." for text in table.tag_values("data_remark"))]


def _equal_to_baseline(table: ArmTable, question: Question) -> list[str]:
    """Return a caveat on arms that equal the baseline on every seed although their strengths are on."""
    base = next((arm.values(question.metric) for arm in table.arms if arm.strategy == question.baseline), {})
    equal = []
    for arm in table.arms:
        values = arm.values(question.metric)
        same = len(values) >= _MIN_EQUAL_SEEDS and all(
            base.get(replicate) == value for replicate, value in values.items()
        )
        if same and arm.strategy != question.baseline and not arm.tags("no_effect"):
            equal.append(arm.label)
    if not equal:
        return []
    return [
        f"{join_names(equal)}: {question.metric} equals that of {question.baseline} on every seed: "
        "the method has no measurable effect on this metric."
    ]


def _early_stopping(table: ArmTable) -> list[str]:
    """Return a caveat on strategies with early stopping, with the mean number of epochs."""
    epochs: dict[str, list[float]] = {}
    for arm in table.arms:
        for record in arm.runs.values():
            if tracked_strengths(record).get("early_stopping.patience", "inf") != "inf":
                length = finite_metric(record, "time/epochs")
                epochs.setdefault(arm.strategy, []).extend([] if length is None else [length])
    stopped = [
        f"{strategy} (trained for {sum(lengths) / len(lengths):.1f} epochs on average)" if lengths else strategy
        for strategy, lengths in epochs.items()
    ]
    if not stopped:
        return []
    return [
        f"{join_names(stopped)}: validation labels decided the end of training; for the other strategies they only "
        "select the best epoch."
    ]


def _several_commits(table: ArmTable) -> list[str]:
    commits = table.tag_values("git_commit")
    if len(commits) < 2:
        return []
    return [f"The runs come from {len(commits)} versions of the code ({', '.join(c[:10] for c in commits)})."]


def _significant_but_unclear(entries: Sequence[Entry]) -> list[str]:
    """Return a caveat on each entry with an adjusted p below .05 for which no difference is claimed."""
    return [
        f"{entry.label}: Holm’s p is {format_p(entry.p_holm)}, but no difference is claimed, because {entry.reason}."
        for entry in entries
        if entry.reason and entry.p_holm is not None and entry.p_holm < ALPHA
    ]


def _mean_difference(arm: Arm, base: Arm, metric: str) -> float | None:
    differences = [own - other for own, other in paired_values(arm, base, metric)]
    return sum(differences) / len(differences) if differences else None
