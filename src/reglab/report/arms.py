"""Arms of a task: a strategy with the strengths that vary within it, its runs, their selection, and pairs of runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reglab.report.question import Question
from reglab.report.records import RunRecord, finite_metric, normalize_number, numeric_order
from reglab.report.run_filter import Failure

# (seed,) or (seed, split_seed): runs of two arms with one replicate are a pair.
Replicate = tuple[str, ...]
_PREFIX = "regularizer."
_SHARED_BY_HASH = {"split_hash": "the split", "init_hash": "the initial weights", "order_hash": "the batch order"}


@dataclass
class Arm:
    """The runs of a strategy with certain strengths on one task.

    Attributes:
        label: name that is unique in the task, for example ``dropout(p=0.3)``.
        strategy: name without strengths, ``dropout``.
        strengths: those that vary within the strategy, by ``<regularizer>.<strength>``.
        runs: run of each replicate; empty if all runs failed.
    """

    label: str
    strategy: str
    strengths: dict[str, str]
    runs: dict[Replicate, RunRecord] = field(default_factory=dict)

    def values(self, metric: str) -> dict[Replicate, float]:
        """Return the finite values of a metric by replicate."""
        values = {replicate: finite_metric(record, metric) for replicate, record in self.runs.items()}
        return {replicate: value for replicate, value in values.items() if value is not None}

    def mean(self, metric: str) -> float | None:
        """Return the mean of a metric over the runs that track it; None if none does."""
        values = list(self.values(metric).values())
        return sum(values) / len(values) if values else None

    def tags(self, tag: str) -> list[str]:
        """Return the values of a tag in the arm's runs, without missing and empty ones."""
        return [record.tags[tag] for record in self.runs.values() if record.tags.get(tag)]


@dataclass
class ArmTable:
    """All arms of one task.

    Attributes:
        arms: sorted by strategy and strengths.
        replicates: all replicates of any arm.
        duplicates: sentences on runs of one arm and replicate, of which only the newest is used.
        varying: names of the strengths that vary, by strategy.
    """

    arms: list[Arm]
    replicates: list[Replicate]
    duplicates: list[str]
    varying: dict[str, list[str]]

    @property
    def records(self) -> list[RunRecord]:
        """The runs of all arms."""
        return [record for arm in self.arms for record in arm.runs.values()]

    def label(self, record: RunRecord) -> str:
        """Return the label of the arm that a run belongs to."""
        strategy = record.tags["strategy"]
        strengths = tracked_strengths(record)
        return arm_label(strategy, {name: strengths.get(name, "") for name in self.varying.get(strategy, [])})

    def tag_values(self, tag: str) -> list[str]:
        """Return the distinct values of a tag."""
        return sorted({value for arm in self.arms for value in arm.tags(tag)}, key=numeric_order)


@dataclass(frozen=True)
class Selection:
    """The arm that represents each strategy.

    Attributes:
        chosen: label of the chosen arm, by strategy.
        metric: metric that selected the arms; None if no strategy has several arms.
        scores: mean of `metric` of each arm, by label.
        undecided: strategies with several arms and no validation metric: all their arms represent them.
    """

    chosen: dict[str, str]
    metric: str | None
    scores: dict[str, float]
    undecided: list[str]

    def represents(self, arm: Arm) -> bool:
        """Return whether the arm represents its strategy."""
        return self.chosen.get(arm.strategy) == arm.label or arm.strategy in self.undecided


def group_runs(records: Sequence[RunRecord], failures: Sequence[Failure] = ()) -> ArmTable:
    """Return the arms of one task; an arm whose runs all failed has no runs.

    Args:
        records: the runs to compare.
        failures: other runs of the task.
    """
    by_split = all("split_seed" in record.tags for record in records)
    arms: dict[str, Arm] = {}
    repeated_seeds: dict[str, list[str]] = {}
    varying = _varying_strengths([*records, *(failure.record for failure in failures)])

    def arm_of(record: RunRecord) -> Arm:
        strategy, tracked = record.tags["strategy"], tracked_strengths(record)
        strengths = {name: tracked.get(name, "") for name in varying[strategy]}
        label = arm_label(strategy, strengths)
        return arms.setdefault(label, Arm(label, strategy, strengths))

    for record in sorted(records, key=lambda r: (r.started or 0, r.run_id)):
        arm, seed = arm_of(record), record.tags["seed"]
        replicate = (seed, record.tags["split_seed"]) if by_split else (seed,)
        if replicate in arm.runs:
            repeated_seeds.setdefault(arm.label, []).append(seed)
        arm.runs[replicate] = record  # the newest replaces older ones
    for failure in failures:
        arm_of(failure.record)
    ordered = sorted(arms.values(), key=lambda a: (a.strategy, [numeric_order(s) for s in a.strengths.values()]))
    all_replicates = {replicate for arm in ordered for replicate in arm.runs}
    replicates = sorted(all_replicates, key=lambda replicate: [numeric_order(part) for part in replicate])
    for arm in ordered:  # not in the order of starting times: bootstrap intervals depend on the order of values
        arm.runs = {replicate: arm.runs[replicate] for replicate in replicates if replicate in arm.runs}
    duplicates = [
        f"{label} was run more than once with the same seed ({', '.join(sorted(set(seeds), key=numeric_order))}) under "
        "configurations that its tags do not distinguish; the newest run is used."
        for label, seeds in repeated_seeds.items()
    ]
    return ArmTable(ordered, replicates, duplicates, varying)


def select_arms(table: ArmTable, question: Question) -> Selection:
    """Select for each strategy the arm with the best mean of the selection metric; of ties the first.

    Only arms with the most replicates of their strategy can be selected: a strength whose runs failed for some seeds
    would be judged by the remaining ones alone.
    """
    by_strategy: dict[str, list[Arm]] = {}
    for arm in table.arms:
        if arm.runs:
            by_strategy.setdefault(arm.strategy, []).append(arm)
    most = {name: max(len(arm.runs) for arm in arms) for name, arms in by_strategy.items()}
    complete = {name: [arm for arm in arms if len(arm.runs) == most[name]] for name, arms in by_strategy.items()}
    candidates = [arm for arms in complete.values() if len(arms) > 1 for arm in arms]
    chosen = {name: arms[0].label for name, arms in complete.items() if len(arms) == 1}
    if not candidates:
        return Selection(chosen, None, {}, [])
    metric = _selection_metric(candidates, question.select_by)
    means = {arm.label: arm.mean(metric) for arm in candidates} if metric else {}
    scores = {label: mean for label, mean in means.items() if mean is not None}
    undecided = []
    sign = -1.0 if question.select_direction == "max" else 1.0
    for name, arms in complete.items():
        if len(arms) > 1:
            scored = [arm.label for arm in arms if arm.label in scores]
            if scored:
                chosen[name] = min(scored, key=lambda label: sign * scores[label])
            else:
                undecided.append(name)
    return Selection(chosen, metric, scores, undecided)


def tracked_strengths(record: RunRecord) -> dict[str, str]:
    """Return strengths by ``<regularizer>.<strength>``, from the params ``regularizer.<name>.<strength>``."""
    strengths = {
        key.removeprefix(_PREFIX): normalize_number(value)
        for key, value in record.params.items()
        if key.startswith(_PREFIX)
    }
    return {name: text for name, text in sorted(strengths.items()) if "." in name}


def arm_label(strategy: str, strengths: Mapping[str, str]) -> str:
    """Return the strategy with its strengths after each regularizer.

    >>> arm_label("dropout+l2", {"dropout.p": "0.3", "l2.strength": "0.001"})
    'dropout(p=0.3)+l2(strength=0.001)'
    """
    parts = []
    for name in strategy.split("+"):
        own = [f"{k.split('.', 1)[1]}={v}" for k, v in strengths.items() if v and k.split(".", 1)[0] == name]
        parts.append(f"{name}({', '.join(own)})" if own else name)
    return "+".join(parts)


def format_replicate(replicate: Replicate) -> str:
    """Return ``seed 3``, with the seed of the split if it differs: ``seed 3, split 1``."""
    seed, *split = replicate
    return f"seed {seed}, split {split[0]}" if split and split[0] != seed else f"seed {seed}"


def _varying_strengths(records: Sequence[RunRecord]) -> dict[str, list[str]]:
    """Return, by strategy, the strengths of its regularizers that have more than one value."""
    by_strategy: dict[str, list[dict[str, str]]] = {}
    for record in records:
        by_strategy.setdefault(record.tags["strategy"], []).append(tracked_strengths(record))
    varying = {}
    for strategy, strengths in by_strategy.items():
        names = sorted(
            {
                name
                for run_strengths in strengths
                for name in run_strengths
                if name.split(".", 1)[0] in strategy.split("+")
            }
        )
        varying[strategy] = [
            name for name in names if len({run_strengths.get(name, "") for run_strengths in strengths}) > 1
        ]
    return varying


def _selection_metric(arms: list[Arm], metrics: tuple[str, ...]) -> str | None:
    """Return the first metric that all runs track, else that all runs of some arm, else that some run; None if none."""
    for quantifier in (all, any):
        for metric in metrics:
            if quantifier(len(arm.values(metric)) == len(arm.runs) for arm in arms):
                return metric
    return next((metric for metric in metrics if any(arm.values(metric) for arm in arms)), None)


@dataclass(frozen=True)
class SplitDesign:
    """Variation of the splits of a task over seeds.

    Attributes:
        overlap: number of tested over all other rows if splits vary over one finite data set, else 0; a term of the
            variance of a mean difference (see `statistics.paired.paired_difference`).
        description: sentence for the methods section.
        caveat: sentence, if the overlap is unknown.
    """

    overlap: float
    description: str
    caveat: str | None = None


def split_design(table: ArmTable) -> SplitDesign:
    """Return how splits vary, from the tags `split_seed`, `split_hash`, `rows` and `test_rows`."""
    varies = _splits_vary(table.records)
    if varies is False:
        return SplitDesign(0.0, "The split is the same for every seed: intervals of differences are plain t intervals.")
    overlap = _largest_overlap(table.records)
    if varies is None or overlap is None:
        tags = "split_seed or split_hash" if varies is None else "rows and test_rows"
        start = f"The runs have no tags {tags}"
        caveat = (
            f"{start}: the overlap of splits is unknown, and intervals of differences may be too narrow if splits "
            "overlap."
        )
        return SplitDesign(0.0, f"{start}: intervals of differences are plain t intervals.", caveat)
    if overlap == 0:
        return SplitDesign(0.0, "No two seeds share rows: intervals of differences are plain t intervals.")
    description = (
        "Splits vary over one finite data set, so runs of different seeds share rows. The variance of a mean "
        f"difference is s²(1/n + {overlap:.3g}), where {overlap:.3g} is the number of tested rows over the number of "
        "all other rows (corrected resampled t-test, Nadeau and Bengio 2003)."
    )
    return SplitDesign(overlap, description)


def check_pairing(table: ArmTable) -> tuple[list[str], list[str]]:
    """Return the properties that pairs share according to hashes, and caveats where hashes are missing or differ."""
    arms = [arm for arm in table.arms if arm.runs]
    proven: list[str] = []
    caveats: list[str] = []
    if len(arms) < 2:
        return proven, caveats
    for tag, shared in _SHARED_BY_HASH.items():
        total = sum(len(arm.runs) for arm in arms)
        missing = total - sum(len(arm.tags(tag)) for arm in arms)
        if missing:
            caveats.append(
                f"{missing} of {total} runs have no {tag}: there is no proof that their pairs share {shared}."
            )
        differing = [format_replicate(r) for r in table.replicates if len(_hashes(arms, r, tag)) > 1]
        if differing:
            caveats.append(
                f"{tag} differs between strategies for {_first_few(differing)}: those pairs do not share {shared}."
            )
        if not missing and not differing:
            proven.append(shared)
    return proven, caveats


def missing_replicates(table: ArmTable) -> list[str]:
    """Return a caveat for each arm that lacks seeds which other arms have."""
    caveats = []
    for arm in table.arms:
        missing = [format_replicate(replicate) for replicate in table.replicates if replicate not in arm.runs]
        if arm.runs and missing:
            caveats.append(
                f"{arm.label} has no result for {_first_few(missing)}: its mean and differences are over fewer seeds."
            )
    return caveats


def _splits_vary(records: Sequence[RunRecord]) -> bool | None:
    """Return whether splits differ between runs; None if no tag shows it.

    One hash for all runs proves that they have one split, which a column of the data defines. Hashes that
    differ prove nothing where seeds are known, since label noise changes them too.
    """
    hashes = [record.tags.get("split_hash") for record in records]
    if all(hashes) and len(set(hashes)) == 1:
        return False
    for tag in ("split_seed", "split_hash"):
        known = [record.tags[tag] for record in records if record.tags.get(tag)]
        if known and len(known) == len(records):
            return len(set(known)) > 1
    return None


def _largest_overlap(records: Sequence[RunRecord]) -> float | None:
    """Return the largest ratio of tested rows to other rows; None if a run does not have both numbers."""
    ratios = []
    for record in records:
        try:
            rows, tested = float(record.tags["rows"]), float(record.tags["test_rows"])
        except (KeyError, ValueError):
            return None
        if not 0 <= tested < rows:
            return None
        ratios.append(tested / (rows - tested))
    return max(ratios, default=None)


def _hashes(arms: Sequence[Arm], replicate: Replicate, tag: str) -> set[str]:
    return {
        arm.runs[replicate].tags[tag] for arm in arms if replicate in arm.runs and arm.runs[replicate].tags.get(tag)
    }


def _first_few(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"
