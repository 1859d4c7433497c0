"""Charts drawn in several processes equal those of one process."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from reglab.report.charts import drawing
from reglab.report.charts.learning_curves import draw_curves
from reglab.report.findings.learning_curves import ArmCurves, Curve, LearningCurves
from reglab.report.make import make_report
from reglab.report.question import resolve_question
from reglab.report.records import History
from tests.report.runs_by_hand import NONE, SOURCE, UP, Rec, accuracies


def histories(run_ids: list[str], metrics: list[str]) -> dict[str, dict[str, History]]:
    return {metric: history(run_ids, metric) for metric in metrics}


def history(run_ids: list[str], metric: str) -> dict[str, History]:
    return {run_id: [(epoch, len(metric) / epoch) for epoch in range(1, 5)] for run_id in run_ids}


@pytest.mark.slow
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core: there is nothing to draw beside")
def test_several_processes_draw_the_same_charts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[Rec] = []
    for number in range(2):
        records += accuracies({"none": NONE, "l1": [v + number / 100 for v in UP]}, data=f"data{number}")
    for record in records:
        record.metrics.update({"val/accuracy": 0.5, "time/train_s": 1.0})
    question = resolve_question(records, metric="test/accuracy")
    monkeypatch.setattr(drawing, "MAX_IN_PROCESS", 1)
    several = make_report("several", question, records, histories, SOURCE, tmp_path / "several")
    monkeypatch.setattr(drawing, "MAX_IN_PROCESS", 2)
    alone = make_report("several", question, records, histories, SOURCE, tmp_path / "alone")
    assert [file.name for file in several.files] == [file.name for file in alone.files]
    assert sum(file.suffix == ".png" for file in alone.files) == 2 * 4 + 1
    for file, expected in zip(several.files, alone.files, strict=True):
        assert _undated(file) == _undated(expected), file.name


def _undated(file: Path) -> bytes:
    return re.sub(rb"\d{4}-\d\d-\d\d \d\d:\d\d", b"", file.read_bytes())


def test_a_baseline_that_has_no_panel_is_not_cut_off() -> None:
    steps, std = np.array([1, 2]), np.zeros(2)
    behind = Curve(steps, np.array([0.2, 0.9]), std)
    panel = ArmCurves("l2", "l2", None, Curve(steps, np.array([0.5, 0.6]), std))
    (axes,) = draw_curves(LearningCurves("accuracy", [panel], behind, "none", 13), {"l2": "#0072b2"}).axes
    low, high = axes.get_ylim()
    assert low < 0.2 < 0.9 < high
