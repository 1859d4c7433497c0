"""Runs of a study that can be trained at the same time: all tuning runs that are known, or the confirmation runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reglab.execution.plan import Plan


@dataclass(frozen=True)
class Round(Plan):
    """A plan whose runs are those of a study.

    Attributes:
        phase: ``tune`` or ``confirm``.
        tuned: keys that tuning sets, beside strengths.
    """

    phase: str = "tune"
    tuned: Sequence[str] = ()

    def child_settings(self, parent: str) -> dict[str, Any]:
        """Settings that the study gives each run."""
        return {
            "tracking.parent": parent,
            "tracking.phase": self.phase,
            "tracking.study": self.name,
            "tracking.tuned": ",".join(self.tuned),
            "trainer.progress": False,
            "resume": self.cfg.resume is not False,  # the study has looked, but others may have begun since
        }
