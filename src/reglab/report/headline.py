"""The answer in one sentence, with how sure it is."""

from collections import Counter
from collections.abc import Sequence

from reglab.report.leaderboard import Line
from reglab.report.number_format import decimals, fixed, p_value, signed
from reglab.report.question import Question
from reglab.report.run_filter import Failure
from reglab.report.select import Choice
from reglab.report.statistics import smallest_p
from reglab.wording import join_names, pluralize


def of_task(lines: Sequence[Line], question: Question, task: str) -> str:
    """One task's answer: what helps, by how much, how sure; or why nothing can be claimed."""
    return f"On {task}, {_answer(lines, question, 'seeds', 'seeds')}"


def over_tasks(lines: Sequence[Line], question: Question, boards: Sequence[Sequence[Line]], data_sets: int) -> str:
    """The answer over several tasks, by mean ranks and a test over data sets; task by task where these are too few.

    Args:
        lines: over all tasks.
        boards: the lines of each task.
        data_sets: how many the tasks are of.
    """
    tested = [line for line in lines if line.diff is not None]
    helping, hurting = _by_count(boards, "helps"), _by_count(boards, "hurts")
    too_few = all(line.verdict.startswith("too few") for line in tested)
    if not tested or not too_few or not (helping or hurting):
        return f"Over {len(boards)} tasks, {_answer(lines, question, 'tasks', 'data sets')}"
    told = "; ".join(filter(None, [helping or f"no strategy is shown to beat {question.baseline}", hurting]))
    few = f"{pluralize(data_sets, 'data set')} {'is' if data_sets == 1 else 'are'} too few"
    why = f"the corrected p cannot fall below {_floor(tested)}"
    return f"Task by task, {told}. For an answer beyond these tasks {few}: {why}."


def _floor(tested: Sequence[Line]) -> str:
    """The smallest p after Holm's correction that so many pairs can reach."""
    return p_value(min(1.0, smallest_p(max(line.pairs for line in tested)) * len(tested)))


def _by_count(boards: Sequence[Sequence[Line]], verdict: str) -> str:
    """``dropout and l2 help on 4 of 4 tasks, mixup on 1``: on how many each has the verdict, most first."""
    found = Counter(line.name for board in boards for line in board if line.chosen and line.verdict == verdict)
    groups: dict[int, list[str]] = {}
    for name, count in found.most_common():
        groups.setdefault(count, []).append(name)
    told: list[str] = []
    for count, names in groups.items():
        verb = verdict if len(names) == 1 else verdict.removesuffix("s")
        told.append(
            f"{join_names(names)} on {count}"
            if told
            else f"{join_names(names)} {verb} on {count} of {len(boards)} tasks"
        )
    return ", ".join(told)


def _answer(lines: Sequence[Line], question: Question, unit: str, paired: str) -> str:
    """`unit`: what n counts; `paired`: what the pairs are."""
    standing = [line for line in lines if line.chosen and line.mean is not None]
    rivals = [line for line in standing if not line.baseline]
    base = next((line for line in lines if line.baseline), None)
    digits = decimals(lines)
    if not standing:
        return f"no finished run has {question.metric}: nothing can be compared."
    if not rivals:
        failed = [line.strategy for line in lines if line.n == 0]
        why = f"no run of {join_names(failed)} gives a result" if failed else f"only {standing[0].strategy} was run"
        return f"{why}: there is nothing to compare {'it' if not failed else standing[0].strategy} with."
    best = rivals[0]
    mean = f"{question.metric} {fixed(best.mean, digits)}, {best.n} {unit if best.n != 1 else unit[:-1]}"
    if base is None or all(line.p is None for line in rivals):
        why = (
            f"no run of {question.baseline}"
            if base is None
            else f"no {paired[:-1]} that pairs with {question.baseline}"
        )
        return f"{best.strategy} has the best mean ({mean}), but there is {why}, so no difference can be tested."
    helping = [line for line in rivals if line.verdict == "helps"]
    comparisons = sum(line.p is not None for line in lines)
    if helping:
        best, others = helping[0], helping[1:]
        word = "raises" if question.higher else "lowers"
        text = f"{best.strategy} {word} {question.metric}"
        if best.pairs == best.n == base.n:  # else these means are of other runs than the pairs
            text += f" from {fixed(base.mean, digits)} ({base.strategy}) to {fixed(best.mean, digits)}:"
        else:
            text += f" against {base.strategy}"
        text += f" by {_size(best, digits)} ({_sure(best, paired)})"
        return text + (f"; {join_names([line.strategy for line in others])} {_verb(others)} too." if others else ".")
    tried = [line for line in rivals if line.diff is not None]
    best = tried[0]
    told = f"{best.strategy} {_place(best, base)} ({signed(best.diff, digits)} against {base.strategy}"
    if all(line.verdict.startswith("too few") for line in tried):
        pairs = max(line.pairs for line in tried)
        count = f"{pluralize(pairs, f'paired {paired[:-1]}')} and {pluralize(comparisons, 'comparison')}"
        return f"too few {paired} to tell: {told}), but with {count} the corrected p cannot fall below {_floor(tried)}."
    hurting = [line.strategy for line in rivals if line.verdict == "hurts"]
    also = f"; {join_names(hurting)} {'hurts' if len(hurting) == 1 else 'hurt'}" if hurting else ""
    return f"no strategy is shown to beat {base.strategy}: {told}; {_sure(best, paired, digits)}){also}."


def warnings(
    question: Question, failures: Sequence[Failure], choices: Sequence[Choice], absent: int, lost: Sequence[str] = ()
) -> str:
    """What the headline must not hide: how strengths were chosen, above all by a test metric, and what failed.

    Args:
        question: what was asked.
        failures: runs that gave no result.
        choices: by task.
        absent: how many declared runs were never run.
        lost: strategies, with their tasks, of which no trial gave a score.
    """
    text = ""
    metrics = sorted({choice.metric for choice in choices if choice.metric})
    if question.forced:
        text += (
            f" Forced: the test metric {question.select_by[0]} chose among strengths, so these results are too good."
        )
    elif metrics:
        text += f" Strengths were chosen by {join_names(metrics)}."
    if any(choice.undecided for choice in choices):
        text += " Strengths that no validation metric could choose among stand side by side."
    if failures:
        kinds = Counter(failure.what.split(" at step ")[0] for failure in failures)
        told = ", ".join(f"{count} {what}" for what, count in kinds.most_common())
        noun = "run gives" if len(failures) == 1 else "runs give"
        text += f" {len(failures)} {noun} no result ({told})."
    if lost:
        text += (
            f" No trial of {join_names(lost)} gave a score: {'it is' if len(lost) == 1 else 'they are'} not compared."
        )
    if absent:
        text += f" {absent} declared {'run is' if absent == 1 else 'runs are'} missing."
    return text.strip()


def _place(best: Line, base: Line) -> str:
    """Where the best of the rivals stands beside the baseline, as the leaderboard has it."""
    if best.rank is None or base.rank is None:
        return "has no rank, for it was not run on all tasks"
    if best.rank == base.rank:
        return "comes level"
    return "comes first" if best.rank < base.rank else "comes closest"


def _size(line: Line, digits: int) -> str:
    return fixed(abs(line.diff or 0.0), digits)


def _sure(line: Line, unit: str, digits: int | None = None) -> str:
    digits = decimals([line]) if digits is None else digits
    parts = []
    if line.diff_interval:
        low, high = line.diff_interval
        parts.append(f"95 % interval {signed(low, digits)} to {signed(high, digits)}")
    parts.append(f"{line.pairs} paired {unit}" if line.pairs != 1 else f"1 paired {unit[:-1]}")
    if line.p_holm is not None:
        parts.append(f"Holm’s p {p_value(line.p_holm, sign=True)}")
    return ", ".join(parts) + (f"; not claimed, because {line.reason}" if line.reason else "")


def _verb(lines: Sequence[Line]) -> str:
    return "helps" if len(lines) == 1 else "help"
