"""The headline: one sentence with the answer, its size and its uncertainty, and a sentence on how it was obtained."""

from collections import Counter
from collections.abc import Sequence

from reglab.report.arms import Selection
from reglab.report.findings.leaderboard import Entry, decimal_places
from reglab.report.findings.verdicts import Verdict
from reglab.report.number_format import format_fixed, format_p, format_signed
from reglab.report.question import Question
from reglab.report.run_filter import Failure
from reglab.report.statistics.paired import smallest_p
from reglab.schema.text import join_names, pluralize


def task_headline(entries: Sequence[Entry], question: Question, task: str) -> str:
    """Return the answer for one task: what helps, by how much and how certain; or why nothing can be claimed."""
    return f"On {task}, {_answer(entries, question, 'seeds', 'seeds')}"


def overall_headline(
    overall: Sequence[Entry], question: Question, boards: Sequence[Sequence[Entry]], data_sets: int
) -> str:
    """Return the answer over several tasks; if there are too few data sets for a test, the verdicts by task.

    Args:
        overall: the overall leaderboard.
        question: metric, direction and baseline.
        boards: the leaderboard of each task.
        data_sets: number of different data sets.
    """
    tested = [entry for entry in overall if entry.diff is not None]
    helping, hurting = (
        _describe_verdicts(boards, Verdict.HELPS, "help"),
        _describe_verdicts(boards, Verdict.HURTS, "hurt"),
    )
    too_few = all(entry.verdict.too_few for entry in tested)
    if not tested or not too_few or not (helping or hurting):
        return f"Over {len(boards)} tasks, {_answer(overall, question, 'tasks', 'data sets')}"
    verdicts = "; ".join(filter(None, [helping or f"no strategy is shown to beat {question.baseline}", hurting]))
    few = f"{pluralize(data_sets, 'data set')} {'is' if data_sets == 1 else 'are'} too few"
    return (
        f"By task: {verdicts}. {few} to generalize beyond these tasks: the corrected p cannot fall below "
        f"{_smallest_corrected_p(tested)}."
    )


def headline_notes(
    question: Question,
    failures: Sequence[Failure],
    selections: Sequence[Selection],
    missing: int,
    without_choice: Sequence[str] = (),
) -> str:
    """Return sentences that qualify the answer: how strengths were selected, and what failed.

    Args:
        question: whether a test metric was forced to select.
        failures: runs without a value.
        selections: selection of each task.
        missing: number of declared runs that were never run.
        without_choice: strategies, with their tasks, of which no trial could be chosen.
    """
    notes = []
    metrics = sorted({selection.metric for selection in selections if selection.metric})
    if question.forced:
        notes.append(
            f"Forced: the test metric {question.select_by[0]} selected the strengths, so these results are optimistic."
        )
    elif metrics:
        notes.append(f"Strengths were selected by {join_names(metrics)}.")
    if any(selection.undecided for selection in selections):
        notes.append("Strengths without a validation metric to select by are listed side by side.")
    if failures:
        kinds = Counter(failure.outcome_kind for failure in failures)
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        notes.append(f"{len(failures)} {'run has' if len(failures) == 1 else 'runs have'} no result ({listed}).")
    if without_choice:
        verb = "it is" if len(without_choice) == 1 else "they are"
        notes.append(f"No trial of {join_names(without_choice)} has a score: {verb} not compared.")
    if missing:
        notes.append(f"{missing} declared {'run is' if missing == 1 else 'runs are'} missing.")
    return " ".join(notes)


def _answer(entries: Sequence[Entry], question: Question, unit: str, pair_unit: str) -> str:
    """Return the answer without its subject.

    Args:
        entries: entries of a leaderboard.
        question: metric, direction and baseline.
        unit: what `n` counts, in the plural.
        pair_unit: unit of the pairs, in the plural.
    """
    chosen = [entry for entry in entries if entry.chosen and entry.mean is not None]
    others = [entry for entry in chosen if not entry.baseline]
    base = next((entry for entry in entries if entry.baseline), None)
    if not chosen:
        return f"no finished run has {question.metric}: nothing can be compared."
    if not others:
        return _nothing_to_compare(entries, chosen[0].label)
    if base is None or all(entry.p is None for entry in others):
        return _nothing_to_test(others[0], base, question, unit, pair_unit, decimal_places(entries))
    helping = [entry for entry in others if entry.verdict is Verdict.HELPS]
    if helping:
        return _improvement(helping, base, question, pair_unit, decimal_places(entries))
    return _no_improvement(entries, others, base, pair_unit)


def _nothing_to_compare(entries: Sequence[Entry], strategy: str) -> str:
    failed = [entry.label for entry in entries if entry.n == 0]
    if failed:
        return f"no run of {join_names(failed)} has a result: there is nothing to compare {strategy} with."
    return f"only {strategy} was run: there is nothing to compare it with."


def _nothing_to_test(
    best: Entry, base: Entry | None, question: Question, unit: str, pair_unit: str, digits: int
) -> str:
    mean = f"{question.metric} {format_fixed(best.mean, digits)}, {best.n} {unit if best.n != 1 else unit[:-1]}"
    baseline = question.baseline
    reason = f"no run of the baseline {baseline}" if base is None else f"no {pair_unit[:-1]} that pairs with {baseline}"
    return f"{best.label} has the best mean ({mean}), but there is {reason}, so no difference can be tested."


def _improvement(helping: Sequence[Entry], base: Entry, question: Question, pair_unit: str, digits: int) -> str:
    best, others = helping[0], helping[1:]
    text = f"{best.label} {'raises' if question.higher else 'lowers'} {question.metric}"
    if best.pairs == best.n == base.n:  # else the means are of other runs than the pairs
        text += f" from {format_fixed(base.mean, digits)} ({base.label}) to {format_fixed(best.mean, digits)},"
    else:
        text += f" against {base.label}"
    size = format_fixed(abs(best.diff or 0.0), digits)
    text += f" by {size} ({_uncertainty(best, pair_unit, decimal_places([best]))})"
    if not others:
        return f"{text}."
    return f"{text}; {join_names([e.label for e in others])} {'helps' if len(others) == 1 else 'help'} too."


def _no_improvement(entries: Sequence[Entry], others: Sequence[Entry], base: Entry, pair_unit: str) -> str:
    digits = decimal_places(entries)
    tested = [entry for entry in others if entry.diff is not None]
    best = tested[0]
    position = f"{best.label} {_position(best, base)} ({format_signed(best.diff, digits)} against {base.label}"
    if all(entry.verdict.too_few for entry in tested):
        pairs = pluralize(max(entry.pairs for entry in tested), f"paired {pair_unit[:-1]}")
        comparisons = pluralize(sum(entry.p is not None for entry in entries), "comparison")
        return (
            f"too few {pair_unit} to tell: {position}), but with {pairs} and {comparisons} the corrected p cannot "
            f"fall below {_smallest_corrected_p(tested)}."
        )
    hurting = [entry.label for entry in others if entry.verdict is Verdict.HURTS]
    also = f"; {join_names(hurting)} {'hurts' if len(hurting) == 1 else 'hurt'}" if hurting else ""
    uncertainty = _uncertainty(best, pair_unit, digits)
    return f"no strategy is shown to beat {base.label}: {position}; {uncertainty}){also}."


def _position(best: Entry, base: Entry) -> str:
    """Return the position of the best strategy relative to the baseline."""
    if best.rank is None or base.rank is None:
        return "has no rank, because it was not run on all tasks,"
    if best.rank == base.rank:
        return "ties with the baseline"
    return "ranks first" if best.rank < base.rank else "comes closest"


def _uncertainty(entry: Entry, pair_unit: str, digits: int) -> str:
    parts = []
    if entry.diff_interval:
        low, high = entry.diff_interval
        parts.append(f"95 % interval {format_signed(low, digits)} to {format_signed(high, digits)}")
    parts.append(pluralize(entry.pairs, f"paired {pair_unit[:-1]}"))
    if entry.p_holm is not None:
        parts.append(f"Holm’s p {format_p(entry.p_holm, relation=True)}")
    return ", ".join(parts) + (f"; not claimed, because {entry.reason}" if entry.reason else "")


def _smallest_corrected_p(tested: Sequence[Entry]) -> str:
    """Return the smallest p after Holm's correction that the number of pairs allows."""
    return format_p(min(1.0, smallest_p(max(entry.pairs for entry in tested)) * len(tested)))


def _describe_verdicts(boards: Sequence[Sequence[Entry]], verdict: Verdict, verb: str) -> str:
    """Return ``dropout and l2 help on 4 of 4 tasks, mixup on 1``: on how many tasks each has the verdict."""
    counts = Counter(entry.strategy for board in boards for entry in board if entry.chosen and entry.verdict is verdict)
    by_count: dict[int, list[str]] = {}
    for name, count in counts.most_common():
        by_count.setdefault(count, []).append(name)
    parts: list[str] = []
    for count, names in by_count.items():
        listed = join_names(names)
        ending = "s" if len(names) == 1 else ""
        parts.append(f"{listed} on {count}" if parts else f"{listed} {verb}{ending} on {count} of {len(boards)} tasks")
    return ", ".join(parts)
