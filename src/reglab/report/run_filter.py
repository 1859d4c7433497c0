"""The tracked runs that count: none twice, none of the tuning, none that failed; and remarks on the others."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reglab.report.records import Record, value
from reglab.wording import join_names

_NEEDED = ("strategy", "data", "seed")
_NAMED = 6  # sweeps and studies by name


@dataclass(frozen=True)
class Failure:
    """A run that was asked for and gives no value, with what became of it."""

    record: Record
    what: str

    @property
    def strategy(self) -> str:
        return self.record.tags["strategy"]

    @property
    def data(self) -> str:
        return self.record.tags["data"]

    @property
    def seed(self) -> str:
        return self.record.tags["seed"]


@dataclass
class FilteredRuns:
    """The runs that count, the failures, and remarks on what was left out."""

    records: list[Record] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def note_on_reused_runs(records: Sequence[Record], study: str) -> list[str]:
    """A sentence on runs that count in a study and were first made for another sweep or study."""
    made = [r.tags.get("study") or r.tags.get("sweep") for r in records if r.status == "FINISHED"]
    others = [name for name in made if name not in (None, study)]
    if not others:
        return []
    return [
        f"{len(others)} of {len(made)} {_runs(len(made))} first made for "
        f"{join_names(sorted(set(map(str, others))))}, with "
        "the same configurations: their results are the same, but their seconds were measured then."
    ]


def note_on_sources(records: Sequence[Record]) -> list[str]:
    """A sentence on runs of several sweeps and studies that are compared as if they were of one."""
    told = [r.tags for r in records if r.status == "FINISHED" and r.tags.get("phase") not in ("parent", "tune")]
    names = sorted({str(name) for tags in told if (name := tags.get("study") or tags.get("sweep"))})
    if len(names) < 2:
        return []
    shown = join_names(names) if len(names) <= _NAMED else f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return [f"Runs of {len(names)} sweeps and studies are compared together: {shown} (sweep=NAME: one of them alone)."]


def filter_runs(records: Sequence[Record], metric: str) -> FilteredRuns:
    """Select one run for each identity: the newest FINISHED one that has the metric, else a failure with its status.

    Each run that is no parent is counted exactly once: in `records`, in `failures`, or in a sentence of `left_out`.

    Runs are one identity where their `config_hash` is the same, or where one is the rerun of the other (`rerun_of`);
    a rerun counts only if the run that it repeats gave no value.
    """
    result = FilteredRuns()
    runs = [r for r in records if r.tags.get("phase") not in ("parent", "tune")]
    tuning = sum(r.tags.get("phase") == "tune" for r in records)
    if tuning:
        result.left_out.append(
            f"{tuning} tuning {_runs(tuning)} left out: they selected the strengths, so they cannot evaluate them."
        )
    apart = Counter(r.tags.get("phase") for r in runs if "undeclared" in r.tags)
    if confirmed := apart.pop("confirm", 0):
        result.left_out.append(
            f"{confirmed} confirmation {_runs(confirmed)} left out: an earlier start of this study declared them, for "
            "seeds or chosen trials that it does not have now."
        )
    if others := apart.total():
        result.left_out.append(
            f"{others} {_runs(others)} left out: an earlier start of this sweep declared them, under another setting "
            "or with other code."
        )
    if "undeclared" in set().union(*(r.tags for r in runs)):
        runs = [r for r in runs if "undeclared" not in r.tags]
    whole = [r for r in runs if all(r.tags.get(tag) for tag in _NEEDED)]
    if len(whole) < len(runs):
        missing = len(runs) - len(whole)
        wanted = [tag for tag in _NEEDED if any(not r.tags.get(tag) for r in runs)]
        tags = f"tag{'s' if len(wanted) > 1 else ''} {join_names(wanted)}"
        result.left_out.append(f"{missing} {_runs(missing)} left out because of missing {tags}.")
    whole = _of_one_code(whole, result)
    repeated, retried = 0, Counter[str]()
    for group in _identities(whole):
        finished = [r for r in group if r.status == "FINISHED"]
        told = [r for r in finished if value(r, metric) is not None]
        repeated += max(0, len(finished) - 1)
        if told:
            result.records.append(_newest(told))
        else:
            result.failures.append(failure_of(_newest(finished or group), metric))
        chosen = (result.records[-1] if told else result.failures[-1].record).run_id
        rest = [r for r in group if r.run_id != chosen and r.status != "FINISHED"]
        retried.update(kind(failure_of(r, metric).what).removeprefix("was ") for r in rest)
    _leave_out_other_kinds(result, metric)
    if repeated:
        result.left_out.append(
            f"{repeated} {_runs(repeated)} left out because a newer run of the same configuration counts."
        )
    if tries := retried.total():
        told_by = join_names([f"{number} {what}" for what, number in sorted(retried.items())])
        result.left_out.append(f"{tries} {_runs(tries)} left out: other tries of the same configuration ({told_by}).")
    return result


def _of_one_code(records: Sequence[Record], result: FilteredRuns) -> list[Record]:
    """The runs without those of an earlier version of their regularizers' code, by strategy and setting."""
    by_row: dict[tuple[str | None, ...], list[Record]] = {}
    for record in records:
        by_row.setdefault(tuple(record.tags.get(tag) for tag in ("data", "setting", "strategy")), []).append(record)
    kept = []
    for row in by_row.values():
        own = [r for r in row if "rerun_of" not in r.tags]
        code = max(own, key=lambda r: r.started or 0).tags.get("strategy_code") if own else None
        apart = {r.run_id for r in own if r.tags.get("strategy_code") != code}
        newest = [r for r in row if not apart & {r.run_id, r.tags.get("rerun_of")}]
        kept += newest
        if lost := len(row) - len(newest):
            strategy, data = row[0].tags["strategy"], row[0].tags["data"]
            result.left_out.append(
                f"{lost} {_runs(lost)} left out: {strategy} on {data}, with another version of its regularizers’ code "
                "than the newest runs."
            )
    return kept


def _leave_out_other_kinds(result: FilteredRuns, metric: str) -> None:
    """Finished runs of data on which no run has the metric did not fail: it is no metric of theirs."""
    asked = {record.tags["data"] for record in result.records}
    other = [f for f in result.failures if f.record.status == "FINISHED" and f.data not in asked]
    for data in sorted({failure.data for failure in other}):
        count = sum(failure.data == data for failure in other)
        result.left_out.append(f"{count} {_runs(count)} left out: no run on {data} has {metric}.")
    result.failures = [failure for failure in result.failures if failure not in other]


def _identities(records: Iterable[Record]) -> list[list[Record]]:
    """Groups of runs of one configuration."""
    by_id = {record.run_id: record for record in records}
    groups: dict[str, list[Record]] = {}
    for record in by_id.values():
        origin, seen = record, {record.run_id}
        while (before := by_id.get(origin.tags.get("rerun_of", ""))) is not None and before.run_id not in seen:
            origin = before
            seen.add(origin.run_id)
        # A rerun carries its origin's hash, unless its code has changed what enters the hash.
        groups.setdefault(origin.tags.get("config_hash") or origin.run_id, []).append(record)
    return list(groups.values())


def _newest(records: Sequence[Record]) -> Record:
    return max(records, key=lambda r: ("rerun_of" not in r.tags, r.started or 0, r.run_id))


def failure_of(record: Record, metric: str) -> Failure:
    """The failure of a run that gives no value of the metric."""
    tags = record.tags
    if tags.get("diverged") == "true":
        step = tags.get("diverged_step")
        what = "diverged" + (f" at step {step}" if step else "")
    elif tags.get("out_of_memory") == "true":
        what = "ran out of memory"
    elif record.status == "KILLED" and "error" in tags:  # the tag of a run that was found dead
        what = "ended with its process"
    elif record.status == "FINISHED":
        what = f"finished without a finite {metric}"
    elif record.status in ("RUNNING", "SCHEDULED"):
        what = "not finished yet"
    else:
        what = {"FAILED": "failed", "KILLED": "was stopped"}.get(record.status, record.status.lower())
    return Failure(record, what)


def kind(what: str) -> str:
    """Return a failure without its step: ``diverged`` for ``diverged at step 40``."""
    return what.split(" at step ")[0]


def _runs(n: int) -> str:
    return "run was" if n == 1 else "runs were"
