"""The study of dropout in a decoder, on a few windows of text."""

from pathlib import Path

import pytest

from reglab.paths import PROJECT
from tests.processes import Process

FEW = [
    *("study=decoder_dropout", "study.trials=1", "study.tuning_seeds=1", "seeds=2", "workers=1"),
    "study.strategies=[none,residual_dropout]",
    "study.tasks=[{data:python_docs,model:llama,data.train_size:[8,64]}]",
    *("study.common.trainer.max_epochs=8", "study.common.trainer.max_steps=4", "study.common.data.context_length=16"),
    *("study.common.data.val_fraction=0.01", "study.common.data.test_fraction=0.01"),
    *("study.common.model.hidden_size=16", "study.common.model.layers=1", "study.common.model.intermediate_size=16"),
]


@pytest.mark.slow
def test_results_are_reported_by_training_size(tmp_path: Path, store_uri: str) -> None:
    places = [f"tracking.uri={store_uri}", f"report.dir={tmp_path / 'report'}"]
    process = Process(PROJECT / "pipelines" / "study.py", *FEW, *places, cwd=tmp_path)
    output = process.communicate()
    assert process.returncode == 0, output
    assert "[8/8]" in output  # two strategies, two seeds, two tasks
    assert "test/bits_per_character" in output
    page = (tmp_path / "report" / "report.html").read_text().replace("<wbr>", "")
    for size in (8, 64):
        assert f"python_docs (train_size={size})" in page
    board = (tmp_path / "report" / "leaderboard.csv").read_text().splitlines()
    assert sorted(line.split(",")[0] for line in board[1:]) == ["none", "residual_dropout"]
