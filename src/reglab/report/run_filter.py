"""Select the runs that a report compares: one for each configuration, none of tuning, none that failed."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from reglab.report.records import RunRecord, finite_metric
from reglab.schema.text import join_names

_REQUIRED_TAGS = ("strategy", "data", "seed")
_LISTED_PARENTS = 6  # sweeps and studies that are listed by name


@dataclass(frozen=True)
class Failure:
    """A run without a finite value of the metric.

    Attributes:
        record: the run.
        outcome: how it ended, for example ``diverged at step 40``.
    """

    record: RunRecord
    outcome: str

    @property
    def strategy(self) -> str:
        return self.record.tags["strategy"]

    @property
    def data(self) -> str:
        return self.record.tags["data"]

    @property
    def seed(self) -> str:
        return self.record.tags["seed"]

    @property
    def outcome_kind(self) -> str:
        """The outcome without its step: ``diverged``."""
        return self.outcome.split(" at step ")[0]


@dataclass
class FilteredRuns:
    """The runs to compare, the failures, and a sentence for each group of runs that was left out."""

    records: list[RunRecord] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    exclusions: list[str] = field(default_factory=list)


def filter_runs(records: Sequence[RunRecord], metric: str) -> FilteredRuns:
    """Select one run for each configuration: the newest FINISHED one that has the metric, else a failure.

    Every run except parents is accounted for exactly once: in `records`, in `failures`, or in a sentence of
    `exclusions`.

    Runs have one configuration if their `config_hash` is equal, or if one is the rerun of the other (`rerun_of`); a
    rerun is used only if the run that it repeats has no value.
    """
    result = FilteredRuns()
    runs = [r for r in records if r.tags.get("phase") not in ("parent", "tune")]
    _exclude_tuning(records, result)
    runs = _exclude_undeclared(runs, result)
    runs = _exclude_incomplete(runs, result)
    runs = _exclude_old_code(runs, result)
    repeated, retried = 0, Counter[str]()
    for group in _group_by_configuration(runs):
        finished = [r for r in group if r.status == "FINISHED"]
        with_metric = [r for r in finished if finite_metric(r, metric) is not None]
        repeated += max(0, len(finished) - 1)
        if with_metric:
            selected = _newest(with_metric)
            result.records.append(selected)
        else:
            selected = _newest(finished or group)
            result.failures.append(classify_failure(selected, metric))
        others = [r for r in group if r.run_id != selected.run_id and r.status != "FINISHED"]
        retried.update(classify_failure(r, metric).outcome_kind.removeprefix("was ") for r in others)
    _exclude_without_metric(result, metric)
    if repeated:
        result.exclusions.append(
            f"{repeated} {_runs_were(repeated)} left out because a newer run of the same configuration is used."
        )
    if count := retried.total():
        outcomes = join_names([f"{number} {outcome}" for outcome, number in sorted(retried.items())])
        result.exclusions.append(
            f"{count} {_runs_were(count)} left out: other attempts at the same configuration ({outcomes})."
        )
    return result


def classify_failure(record: RunRecord, metric: str) -> Failure:
    """Return the failure of a run that has no finite value of the metric."""
    tags = record.tags
    if tags.get("diverged") == "true":
        step = tags.get("diverged_step")
        outcome = "diverged" + (f" at step {step}" if step else "")
    elif tags.get("out_of_memory") == "true":
        outcome = "ran out of memory"
    elif record.status == "KILLED" and "error" in tags:  # only set on runs whose process no longer exists
        outcome = "ended with its process"
    elif record.status == "FINISHED":
        outcome = f"finished without a finite {metric}"
    elif record.status in ("RUNNING", "SCHEDULED"):
        outcome = "not finished yet"
    else:
        outcome = {"FAILED": "failed", "KILLED": "was stopped"}.get(record.status, record.status.lower())
    return Failure(record, outcome)


def note_on_reused_runs(records: Sequence[RunRecord], study: str) -> list[str]:
    """Return a sentence on runs of a study that were first run for another sweep or study, if there are any."""
    parents = [r.tags.get("study") or r.tags.get("sweep") for r in records if r.status == "FINISHED"]
    others = [name for name in parents if name not in (None, study)]
    if not others:
        return []
    return [
        f"{len(others)} of {len(parents)} {_runs_were(len(parents))} first trained in "
        f"{join_names(sorted(set(map(str, others))))} with the same configurations: their results are identical, but "
        "their training times were measured there."
    ]


def note_on_sources(records: Sequence[RunRecord]) -> list[str]:
    """Return a sentence if runs of several sweeps and studies are compared with each other."""
    compared = [r.tags for r in records if r.status == "FINISHED" and r.tags.get("phase") not in ("parent", "tune")]
    names = sorted({str(name) for tags in compared if (name := tags.get("study") or tags.get("sweep"))})
    if len(names) < 2:
        return []
    listed = join_names(names)
    if len(names) > _LISTED_PARENTS:
        listed = f"{', '.join(names[:_LISTED_PARENTS])} and {len(names) - _LISTED_PARENTS} more"
    return [f"Runs of {len(names)} sweeps and studies are compared: {listed} (use sweep=NAME for a single one)."]


def _exclude_tuning(records: Sequence[RunRecord], result: FilteredRuns) -> None:
    if tuning := sum(r.tags.get("phase") == "tune" for r in records):
        result.exclusions.append(
            f"{tuning} tuning {_runs_were(tuning)} left out: they selected the strengths, so they cannot evaluate them."
        )


def _exclude_undeclared(runs: list[RunRecord], result: FilteredRuns) -> list[RunRecord]:
    """Exclude runs that only an earlier start of the sweep or study declared (tag `undeclared`)."""
    phases = Counter(r.tags.get("phase") for r in runs if "undeclared" in r.tags)
    if confirmed := phases.pop("confirm", 0):
        result.exclusions.append(
            f"{confirmed} confirmation {_runs_were(confirmed)} left out: an earlier start of this study declared them, "
            "for seeds or chosen trials that it no longer has."
        )
    if others := phases.total():
        result.exclusions.append(
            f"{others} {_runs_were(others)} left out: an earlier start of this sweep declared them, with other "
            "settings or another version of the code."
        )
    return [r for r in runs if "undeclared" not in r.tags]


def _exclude_incomplete(runs: list[RunRecord], result: FilteredRuns) -> list[RunRecord]:
    complete = [r for r in runs if all(r.tags.get(tag) for tag in _REQUIRED_TAGS)]
    if missing := len(runs) - len(complete):
        names = [tag for tag in _REQUIRED_TAGS if any(not r.tags.get(tag) for r in runs)]
        tags = f"tag{'s' if len(names) > 1 else ''} {join_names(names)}"
        result.exclusions.append(f"{missing} {_runs_were(missing)} left out because of missing {tags}.")
    return complete


def _exclude_old_code(records: Sequence[RunRecord], result: FilteredRuns) -> list[RunRecord]:
    """Exclude runs with an earlier version of their regularizers' code than the newest runs of the same arm."""
    by_arm: dict[tuple[str | None, ...], list[RunRecord]] = {}
    for record in records:
        by_arm.setdefault(tuple(record.tags.get(tag) for tag in ("data", "setting", "strategy")), []).append(record)
    kept = []
    for arm in by_arm.values():
        originals = [r for r in arm if "rerun_of" not in r.tags]
        code = max(originals, key=lambda r: r.started or 0).tags.get("strategy_code") if originals else None
        old = {r.run_id for r in originals if r.tags.get("strategy_code") != code}
        current = [r for r in arm if not old & {r.run_id, r.tags.get("rerun_of")}]
        kept += current
        if excluded := len(arm) - len(current):
            strategy, data = arm[0].tags["strategy"], arm[0].tags["data"]
            result.exclusions.append(
                f"{excluded} {_runs_were(excluded)} left out: {strategy} on {data}, with another version of its "
                "regularizers’ code than the newest runs."
            )
    return kept


def _exclude_without_metric(result: FilteredRuns, metric: str) -> None:
    """Exclude finished runs on data sets for which no run has the metric: it does not apply to their task kind."""
    data_with_metric = {record.tags["data"] for record in result.records}
    excluded = [f for f in result.failures if f.record.status == "FINISHED" and f.data not in data_with_metric]
    for data in sorted({failure.data for failure in excluded}):
        count = sum(failure.data == data for failure in excluded)
        result.exclusions.append(f"{count} {_runs_were(count)} left out: no run on {data} has {metric}.")
    result.failures = [failure for failure in result.failures if failure not in excluded]


def _group_by_configuration(records: Iterable[RunRecord]) -> list[list[RunRecord]]:
    by_id = {record.run_id: record for record in records}
    groups: dict[str, list[RunRecord]] = {}
    for record in by_id.values():
        origin, seen = record, {record.run_id}
        while (repeated := by_id.get(origin.tags.get("rerun_of", ""))) is not None and repeated.run_id not in seen:
            origin = repeated
            seen.add(origin.run_id)
        # A rerun has the hash of its origin, unless the code that enters the hash has changed.
        groups.setdefault(origin.tags.get("config_hash") or origin.run_id, []).append(record)
    return list(groups.values())


def _newest(records: Sequence[RunRecord]) -> RunRecord:
    return max(records, key=lambda r: ("rerun_of" not in r.tags, r.started or 0, r.run_id))


def _runs_were(n: int) -> str:
    return "run was" if n == 1 else "runs were"
