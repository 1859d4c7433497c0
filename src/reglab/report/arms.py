"""Rows of a leaderboard: a strategy with the strengths that vary within it, and its runs by seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reglab.report.records import Record, by_number, number, value
from reglab.report.run_filter import Failure

Cell = tuple[str, ...]  # (seed,) or (seed, split_seed): what two runs share that are a pair
_PREFIX = "regularizer."


@dataclass
class Row:
    """One line's runs. `label` is unique in its task; `strategy` is the name without strengths."""

    label: str
    strategy: str
    strengths: dict[str, str]
    runs: dict[Cell, Record] = field(default_factory=dict)

    def values(self, metric: str) -> dict[Cell, float]:
        """The metric by cell, where it is tracked and finite."""
        found = {cell: value(record, metric) for cell, record in self.runs.items()}
        return {cell: v for cell, v in found.items() if v is not None}

    def mean(self, metric: str) -> float | None:
        """Mean of the metric over the runs that track it."""
        values = list(self.values(metric).values())
        return sum(values) / len(values) if values else None


@dataclass
class Grid:
    """All rows of one task, the cells they cover, remarks on doubles, and the strengths that vary by strategy."""

    rows: list[Row]
    cells: list[Cell]
    doubles: list[str]
    varying: dict[str, list[str]]

    def label(self, record: Record) -> str:
        """The label of the row that a run belongs to."""
        strategy = record.tags["strategy"]
        own = strengths_of(record)
        return label_of(strategy, {name: own.get(name, "") for name in self.varying.get(strategy, [])})


def grid(records: Sequence[Record], failures: Sequence[Failure] = ()) -> Grid:
    """Rows of one task's runs, by strategy and then by strength; what only failed gets an empty row."""
    by_split = all("split_seed" in record.tags for record in records)
    rows: dict[str, Row] = {}
    doubles: dict[str, list[str]] = {}
    varying = _varying([*records, *(failure.record for failure in failures)])
    for record in sorted(records, key=lambda r: (r.started or 0, r.run_id)):
        strategy = record.tags["strategy"]
        strengths = {name: strengths_of(record).get(name, "") for name in varying[strategy]}
        label = label_of(strategy, strengths)
        row = rows.setdefault(label, Row(label, strategy, strengths))
        seed = record.tags["seed"]
        cell = (seed, record.tags["split_seed"]) if by_split else (seed,)
        if cell in row.runs:
            doubles.setdefault(label, []).append(seed)
        row.runs[cell] = record  # the newest counts
    for failure in failures:
        strengths = {name: strengths_of(failure.record).get(name, "") for name in varying[failure.strategy]}
        label = label_of(failure.strategy, strengths)
        rows.setdefault(label, Row(label, failure.strategy, strengths))
    ordered = sorted(rows.values(), key=lambda r: (r.strategy, [by_number(s) for s in r.strengths.values()]))
    cells = sorted({cell for row in ordered for cell in row.runs}, key=lambda c: [by_number(part) for part in c])
    for row in ordered:  # and not in the order in which runs began: what is resampled must not depend on it
        row.runs = {cell: row.runs[cell] for cell in cells if cell in row.runs}
    remarks = [
        f"{label} was run more than once with the same seed ({', '.join(sorted(set(seeds), key=by_number))}) under "
        "configurations that its tags do not tell apart; the newest run counts."
        for label, seeds in doubles.items()
    ]
    return Grid(ordered, cells, remarks, varying)


def strengths_of(record: Record) -> dict[str, str]:
    """Strengths by `<regularizer>.<strength>`, from the params `regularizer.<name>.<strength>`."""
    found = {k.removeprefix(_PREFIX): number(v) for k, v in record.params.items() if k.startswith(_PREFIX)}
    return {name: text for name, text in sorted(found.items()) if "." in name}


def label_of(strategy: str, strengths: Mapping[str, str]) -> str:
    """`dropout(p=0.3)+l2(strength=0.001)`: each regularizer followed by those of its strengths that vary."""
    parts = []
    for name in strategy.split("+"):
        own = [f"{k.split('.', 1)[1]}={v}" for k, v in strengths.items() if v and k.split(".", 1)[0] == name]
        parts.append(f"{name}({', '.join(own)})" if own else name)
    return "+".join(parts)


def show(cell: Cell) -> str:
    """`seed 3`, and its split where that has a number of its own."""
    seed, *split = cell
    return f"seed {seed}, split {split[0]}" if split and split[0] != seed else f"seed {seed}"


def _varying(records: Sequence[Record]) -> dict[str, list[str]]:
    """By strategy, the strengths of its own regularizers that take more than one value."""
    told: dict[str, list[dict[str, str]]] = {}
    for record in records:
        told.setdefault(record.tags["strategy"], []).append(strengths_of(record))
    varying = {}
    for strategy, strengths in told.items():
        names = sorted({name for one in strengths for name in one if name.split(".", 1)[0] in strategy.split("+")})
        varying[strategy] = [name for name in names if len({one.get(name, "") for one in strengths}) > 1]
    return varying
