"""What weakens a comparison beside its pairing: what was run, and rows that seeds share."""

from collections.abc import Sequence

from reglab.report.arms import Grid, Row, strengths_of
from reglab.report.leaderboard import Line
from reglab.report.number_format import p_value
from reglab.report.question import Question
from reglab.report.records import value
from reglab.report.select import Choice
from reglab.report.splits import tag_values
from reglab.report.statistics import ALPHA
from reglab.wording import join_names


def untold(choice: Choice, table: Grid, question: Question) -> list[str]:
    """Report strengths that no metric chose among, duplicated effects, and several versions of the code."""
    weak = []
    if choice.undecided:
        weak.append(
            f"No run of {join_names(choice.undecided)} tracks {' or '.join(question.select_by)}, so only the test "
            "could "
            "choose a strength: each is an entry of its own, and the result of the best one is too good."
        )
    for tag, says in _NOTED.items():
        for text in tag_values(table, tag):
            names = [row.label for row in table.rows if any(r.tags.get(tag) == text for r in row.runs.values())]
            weak.append(f"{join_names(names)}: {says} ({text}).")
    weak += [f"Of the data: {text}." for text in tag_values(table, "data_remark")]
    weak += _as_the_baseline(table, question)
    weak += _ended_by_validation(table)
    commits = tag_values(table, "git_commit")
    if len(commits) > 1:
        weak.append(f"The runs come from {len(commits)} versions of the code ({', '.join(c[:10] for c in commits)}).")
    return weak


_NOTED = {
    "double_counting": "the same effect is applied twice",
    "no_effect": "it is off, wholly or in part",
    "not_averaged": "the tested weights are not averaged",
    "remark": "one of its methods does not fit well",
}


_HALF = 0.5
_COINCIDENCES = 3  # two seeds may agree by chance: a test part has few rows, and accuracy few values


def unclaimed(lines: Sequence[Line]) -> list[str]:
    """Report entries whose adjusted p is below .05, and of which no difference is claimed."""
    return [
        f"{line.strategy}: Holm’s p is {p_value(line.p_holm)}, but no difference is claimed, because {line.reason}."
        for line in lines
        if line.reason and line.p_holm is not None and line.p_holm < ALPHA
    ]


def made_by_the_stop(lines: Sequence[Line], table: Grid, question: Question) -> list[str]:
    """Differences that are claimed and that validation does not show, or not half of them, at the last epoch.

    The weights that are tested are those of the lowest val/loss. Where that comes early for the baseline, as its
    confidence grows while its accuracy does, they are not its best by the metric.
    """
    name = question.metric.removeprefix("test/")
    rows = {row.label: row for row in table.rows}
    base = next((rows[line.strategy] for line in lines if line.baseline and line.strategy in rows), None)
    told = []
    for line in lines:
        if base is None or line.verdict not in ("helps", "hurts") or question.metric == name:
            continue
        tested, last = (_mean_difference(rows[line.strategy], base, f"{of}val/{name}") for of in ("best/", ""))
        if tested and last is not None and last / tested < _HALF:
            told.append(f"{line.strategy} ({tested:+.3g}, {last:+.3g} at the last epoch)".replace("-", "−"))
    if not told:
        return []
    return [
        f"{join_names(told)}: what val/{name} shows with the weights that are tested, those of the lowest val/loss, it "
        f"does not show at the end of training. The difference is one of when to stop {question.baseline} too."
    ]


def _mean_difference(row: Row, base: Row, metric: str) -> float | None:
    own, other = row.values(metric), base.values(metric)
    pairs = [own[cell] - other[cell] for cell in own if cell in other]
    return sum(pairs) / len(pairs) if pairs else None


def _as_the_baseline(table: Grid, question: Question) -> list[str]:
    """Report entries that equal the baseline on every seed although their strengths are on."""
    base = next((row.values(question.metric) for row in table.rows if row.strategy == question.baseline), {})
    told = []
    for row in table.rows:
        own = row.values(question.metric)
        same = len(own) >= _COINCIDENCES and all(base.get(cell) == figure for cell, figure in own.items())
        if same and row.strategy != question.baseline and not any("no_effect" in r.tags for r in row.runs.values()):
            told.append(row.label)
    if not told:
        return []
    return [
        f"{join_names(told)}: {question.metric} equals that of {question.baseline} on every seed: "
        "the method changes nothing."
    ]


def _ended_by_validation(table: Grid) -> list[str]:
    """Report strategies whose training validation labels can end, with the mean number of epochs."""
    epochs: dict[str, list[float]] = {}
    for row in table.rows:
        for record in row.runs.values():
            if strengths_of(record).get("early_stopping.patience", "inf") != "inf":
                length = value(record, "time/epochs")
                epochs.setdefault(row.strategy, []).extend([] if length is None else [length])
    told = [
        f"{strategy} (trained for {sum(found) / len(found):.1f} epochs on average)" if found else strategy
        for strategy, found in epochs.items()
    ]
    if not told:
        return []
    return [
        f"{join_names(told)}: validation labels could end training, and not only choose its best epoch as they do "
        "for all."
    ]
