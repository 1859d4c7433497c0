"""Whether other work on the machine disturbed the timings of a study: the chosen trials were trained at two times."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reglab.study.report.budget import Budget
from reglab.study.report.figures import seconds
from reglab.study.report.studied import Studied

if TYPE_CHECKING:
    from reglab.study.report.findings import TaskFindings

MOST = 2.0  # seeds, and the first run of a process, account for less


def disturbed(found: "TaskFindings", rows: Sequence[Budget], study: Studied) -> list[str]:
    """A sentence where strategies do not agree on how much longer the same work took on fresh seeds than in tuning.

    Work that waits for another process slows some strategies and not others, and then no seconds compare them.

    Args:
        found: what the confirmation runs say.
        rows: what tuning says, by strategy.
        study: what was declared; under pruning the two trainings are of unlike length.
    """
    if study.pruning is not None:
        return []
    fresh = {line.name: line.seconds for line in found.lines if line.chosen and line.seconds}
    tuned = {row.strategy: row.chosen.seconds / row.chosen.runs for row in rows if row.chosen and row.chosen.runs}
    ratios = {name: fresh[name] / took for name, took in tuned.items() if took and name in fresh}
    if len(ratios) < 2 or max(ratios.values()) <= MOST * min(ratios.values()):
        return []
    told = [
        f"that of {name} {seconds(tuned[name])} s in tuning and {seconds(fresh[name])} s on fresh seeds"
        for name in (min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__))
    ]
    return [
        f"Other work on the machine disturbed the timings: of the chosen trials {' and '.join(told)} (a run, for the "
        "same work). Seconds do not compare strategies here, and equal compute is not shown."
    ]
