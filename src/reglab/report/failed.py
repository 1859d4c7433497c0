"""What failed, run by run and counted by strategy."""

from collections import Counter
from typing import Any

from reglab.report.findings import Findings
from reglab.report.records import by_number
from reglab.report.render import tuning_section
from reglab.report.run_filter import kind


def failures(findings: Findings) -> list[dict[str, str]]:
    """A row for each run that gave no result, those of the tuning among them."""
    grids = {found.task.data: found.grid for found in findings.tasks}
    told = [
        {
            "label": grids[f.data].label(f.record) if f.data in grids else f.strategy,
            "data": f.data,
            "seed": f.seed,
            "what": f.what,
            "run_id": f.record.run_id,
        }
        for f in findings.failures
    ]
    for found in findings.tasks:
        told += tuning_section.failures(found.tuning, found.task.data)
    return sorted(told, key=lambda f: (f["label"], f["data"], by_number(f["seed"])))


def by_strategy(findings: Findings) -> dict[str, Any] | None:
    """How many runs of each strategy were asked for, and what became of those that gave no result; None without any.

    Those of the tuning are counted beside its budgets.
    """
    kinds = Counter((f.strategy, kind(f.what)) for f in findings.failures)
    if not kinds:
        return None
    counted = Counter(row.strategy for found in findings.tasks for row in found.grid.rows for _ in row.runs)
    lost = Counter(strategy for strategy, _ in kinds.elements())
    columns = sorted({what for _, what in kinds})
    rows = [
        {"strategy": s, "asked": counted[s] + lost[s], "lost": [kinds[s, what] for what in columns]}
        for s in sorted({*counted, *lost})
    ]
    return {"kinds": columns, "rows": rows}
