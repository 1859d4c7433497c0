"""Whether the splits of paired runs overlap, and the proof that pairs share what they should share."""

from collections.abc import Sequence
from dataclasses import dataclass

from reglab.report.arms import Grid, Row, show
from reglab.report.records import Record, by_number

_PROOFS = {"split_hash": "the split", "init_hash": "the initial weights", "order_hash": "the batch order"}


@dataclass(frozen=True)
class Splits:
    """How the splits of a task vary over its seeds; `overlap` enters the variance of a paired difference."""

    overlap: float
    how: str
    weakness: str | None = None


def splits(grid: Grid) -> Splits:
    """Overlap = tested rows / other rows where splits vary over one finite data set (Nadeau and Bengio), else 0."""
    records = [record for row in grid.rows for record in row.runs.values()]
    vary = _vary(records)
    if vary is False:
        return Splits(0.0, "The split is the same for every seed: intervals of differences are plain t intervals.")
    share = _overlap(records)
    if vary is None or share is None:
        tags = "split_seed or split_hash" if vary is None else "rows and test_rows"
        plain = f"The runs carry no tags {tags}"
        weakness = f"{plain}: whether splits overlap is unknown, so intervals of differences may be too narrow."
        return Splits(0.0, f"{plain}: intervals of differences are plain t intervals.", weakness)
    if share == 0:
        return Splits(0.0, "Every seed has rows of its own: intervals of differences are plain t intervals.")
    how = (
        "Splits vary over one finite data set, so runs of different seeds share rows: the variance of a mean "
        f"difference is s²(1/n + {share:.3g}), {share:.3g} being tested over all other rows, whether trained on or not "
        "(after Nadeau and Bengio 2003)."
    )
    return Splits(share, how)


def _vary(records: Sequence[Record]) -> bool | None:
    """Whether splits differ between runs, by the seed of the split, else by its hash; None where neither is told.

    One hash for all is proof of one split whatever the seeds: a column of the data said who goes where. Hashes that
    differ prove nothing where seeds are told, since labels with noise enter them.
    """
    hashes = [record.tags.get("split_hash") for record in records]
    if all(hashes) and len(set(hashes)) == 1:
        return False
    for tag in ("split_seed", "split_hash"):
        told = [record.tags[tag] for record in records if record.tags.get(tag)]
        if told and len(told) == len(records):
            return len(set(told)) > 1
    return None


def _overlap(records: Sequence[Record]) -> float | None:
    """The largest ratio of tested rows to other rows; None where a run does not tell."""
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


def proofs(grid: Grid) -> tuple[list[str], list[str]]:
    """What hashes prove (sentences for how it was done), and where they are missing or differ (weaknesses)."""
    rows = [row for row in grid.rows if row.runs]
    proven: list[str] = []
    weak: list[str] = []
    if len(rows) < 2:
        return proven, weak
    for tag, what in _PROOFS.items():
        missing = sum(not record.tags.get(tag) for row in rows for record in row.runs.values())
        if missing:
            total = sum(len(row.runs) for row in rows)
            weak.append(f"{missing} of {total} runs carry no {tag}: that pairs share {what} is not proven for them.")
        differ = [show(cell) for cell in grid.cells if len(_told(rows, cell, tag)) > 1]
        if differ:
            weak.append(f"{tag} differs between strategies for {_some(differ)}: those pairs do not share {what}.")
        if not missing and not differ:
            proven.append(what)
    return proven, weak


def _told(rows: Sequence[Row], cell: tuple[str, ...], tag: str) -> set[str]:
    return {row.runs[cell].tags[tag] for row in rows if cell in row.runs and row.runs[cell].tags.get(tag)}


def missing_cells(grid: Grid) -> list[str]:
    """One remark for each row that lacks seeds which other rows have."""
    remarks = []
    for row in grid.rows:
        lacking = [show(cell) for cell in grid.cells if cell not in row.runs]
        if row.runs and lacking:
            remarks.append(
                f"{row.label} has no result for {_some(lacking)}: its mean and its pairs rest on fewer seeds."
            )
    return remarks


def tag_values(grid: Grid, tag: str) -> list[str]:
    """All values of a tag among the runs that count."""
    values = {record.tags.get(tag, "") for row in grid.rows for record in row.runs.values()}
    return sorted(filter(None, values), key=by_number)


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} and {len(names) - 5} more"
