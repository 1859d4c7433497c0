"""The section of the page on the tuning of a study."""

import re
from pathlib import Path

import pytest

from reglab.report.findings.findings import compute_findings
from reglab.report.make import make_report
from reglab.report.question import resolve_question
from reglab.report.records import History
from tests.report.runs_by_hand import SOURCE
from tests.report.study_by_hand import LR, Lab, small


def report(lab: Lab, folder: Path) -> str:
    """Return the page without optional line breaks."""
    written = make_report("x", resolve_question(lab.records), lab.records, _untracked, SOURCE, folder, study=lab.study)
    return written.page.read_text().replace("<wbr>", "")


def _untracked(run_ids: object, metric: str) -> dict[str, History]:
    return {}


@pytest.mark.slow
def test_a_strategy_without_a_score_is_listed(tmp_path: Path) -> None:
    lab = small()
    lab.space = {**lab.space, "sam": [LR]}
    lab.tune("sam", 0, {"optimizer.lr": 1e-3}, ["diverged"])
    (caveat,) = [text for text in lab.task().caveats if text.startswith("sam: ")]
    assert "1 of 1 trials " in caveat
    assert "(1 diverged); none was chosen" in caveat
    page = report(lab, tmp_path)
    assert re.search(r'<td class="name">sam, tuning trial 0</td>.*?<td class="text">diverged</td>', page)


def test_the_page_shows_the_tuning_in_order(tmp_path: Path) -> None:
    page = report(small(), tmp_path)
    heads = [
        ">Results by seed<",
        ">Response to the searched values<",
        ">Tuning curves<",
        ">Tuning<",
        ">Chosen trials<",
        ">Cost of tuning<",
        ">Equal compute<",
        ">Failed runs<",
        ">Methods<",
    ]
    places = [page.index(head) for head in heads]
    assert places == sorted(places)
    assert "l2.strength=0.0001" in page
    assert "Importance of the searched values" not in page  # needs more than three trials
    assert "l2, tuning trial 0" in page
    assert (tmp_path / "tuning.csv").read_text().count("\n") == 10
    assert (tmp_path / "response.png").stat().st_size > 10_000
    assert (
        page.count("<title>none, trial 1: 0.65 (lr=0.0002)</title>") == 5
    )  # its own panel, and two panels of each other strategy
    assert page.count("<title>dropout, trial 2: 0.8 (lr=0.0099, dropout.p=0.6)</title>") == 2


@pytest.mark.slow
def test_importances_are_reported_from_sixteen_trials_on(tmp_path: Path) -> None:
    lab = small()
    for i in range(3, 18):
        lab.tune("dropout", i, {"optimizer.lr": 1e-3 * (1 + i % 2), "regularizer.dropout.p": i / 25}, [0.5 + i / 90])
    shares = lab.tuning().importances
    assert list(shares) == ["dropout"]  # none has one key, and l2 three trials
    assert shares["dropout"]["regularizer.dropout.p"] > 0.7
    row = re.search(
        r'<td class="name">dropout</td><td class="name">(dropout.p \d+ %, lr \d+ %)</td>', report(lab, tmp_path)
    )
    assert row is not None


@pytest.mark.slow
def test_each_task_has_its_own_trials(tmp_path: Path) -> None:
    lab = small()
    lab.task_name, lab.data = "wine mlp", "wine"
    for strategy in ("none", "dropout"):
        for i in range(2):
            lab.tune(strategy, i, {"optimizer.lr": 1e-3, "regularizer.dropout.p": 0.4}, [0.9 + i / 100], chosen=i == 1)
        lab.confirm(strategy, [0.9, 0.9], [0.9, 0.9])
    tasks = compute_findings(lab.records, resolve_question(lab.records, metric="test/accuracy"), study=lab.study).tasks
    trials = {task.task.data: task.tuning.trials for task in tasks if task.tuning is not None}
    assert {data: len(of_data) for data, of_data in trials.items()} == {"digits": 9, "wine": 4}
    assert {trial.score for trial in trials["wine"]} == {0.9, 0.91}
    assert report(lab, tmp_path).count(">Chosen trials<") == 2
    assert (tmp_path / "tuning.csv").read_text().count("\nwine mlp,") == 4
    assert (tmp_path / "digits-response.png").exists()
    assert (tmp_path / "wine-response.png").exists()


@pytest.mark.slow
def test_pruned_trials_have_no_curve_of_budget(tmp_path: Path) -> None:
    lab = small()
    lab.definition = {"pruning": {"eta": 2, "rungs": 2}}
    page = report(lab, tmp_path)
    assert "Tuning curves" not in page
    assert "Scores are those of the last rung" in page


@pytest.mark.slow
def test_adaptive_trials_have_the_best_so_far(tmp_path: Path) -> None:
    lab = small()
    lab.definition = {"sampler": "tpe"}
    page = report(lab, tmp_path)
    assert "in the order of the search" in page
    assert "Dodge" not in page
