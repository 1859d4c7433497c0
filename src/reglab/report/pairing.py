"""Pairs of runs: overlap of splits between seeds, hashes that prove what pairs share, missing replicates."""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.report.arms import Arm, ArmTable, Replicate, format_replicate
from reglab.report.records import Record

_PROOFS = {"split_hash": "the split", "init_hash": "the initial weights", "order_hash": "the batch order"}


@dataclass(frozen=True)
class SplitDesign:
    """Variation of the splits of a task over seeds.

    Attributes:
        overlap: tested rows over all other rows where splits vary over one finite data set, else 0; a term of the
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
    """Return what hashes prove that pairs share (noun phrases), and caveats where hashes are missing or differ."""
    arms = [arm for arm in table.arms if arm.runs]
    proven: list[str] = []
    caveats: list[str] = []
    if len(arms) < 2:
        return proven, caveats
    for tag, what in _PROOFS.items():
        total = sum(len(arm.runs) for arm in arms)
        missing = total - sum(len(arm.tags(tag)) for arm in arms)
        if missing:
            caveats.append(f"{missing} of {total} runs have no {tag}: there is no proof that their pairs share {what}.")
        differing = [format_replicate(r) for r in table.replicates if len(_hashes(arms, r, tag)) > 1]
        if differing:
            caveats.append(
                f"{tag} differs between strategies for {_first_few(differing)}: those pairs do not share {what}."
            )
        if not missing and not differing:
            proven.append(what)
    return proven, caveats


def missing_replicates(table: ArmTable) -> list[str]:
    """Return a caveat for each arm that lacks seeds which other arms have."""
    caveats = []
    for arm in table.arms:
        missing = [format_replicate(replicate) for replicate in table.replicates if replicate not in arm.runs]
        if arm.runs and missing:
            caveats.append(
                f"{arm.label} has no result for {_first_few(missing)}: its mean and its differences are of fewer seeds."
            )
    return caveats


def _splits_vary(records: Sequence[Record]) -> bool | None:
    """Return whether splits differ between runs; None if no tag shows it.

    One hash for all runs proves one split whatever the seeds are: a column of the data defines the split. Hashes that
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


def _largest_overlap(records: Sequence[Record]) -> float | None:
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
