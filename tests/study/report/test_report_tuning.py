"""What a report says of a study's tuning: budgets, choices, warnings and rules, by hand."""

import math
import re
from pathlib import Path

import pytest

from reglab.study.report.budget import unequal
from reglab.study.report.equal_compute import equal_compute
from reglab.study.report.findings import find
from reglab.study.report.make import make_report
from reglab.study.report.question import ask
from reglab.study.report.records import History
from reglab.study.report.tuning import TaskTuning, at_edge, rules
from reglab.study.search.space import Choice, Range
from tests.study.report.lab import NONE, UP, accuracies, found
from tests.study.report.tuned import LR, Lab, P, small


def tuning(lab: Lab, metric: str = "test/accuracy") -> TaskTuning:
    told = lab.task(metric).tuning
    assert told is not None
    return told


def test_a_sweep_has_no_tuning() -> None:
    assert found(accuracies({"none": NONE, "l1": UP})).tasks[0].tuning is None


def test_what_tuning_took_and_chose() -> None:
    rows = {row.strategy: row for row in tuning(small()).budgets}
    assert list(rows) == ["dropout", "l2", "none"]  # as on the leaderboard
    dropout, l2 = rows["dropout"], rows["l2"]
    assert (dropout.tried, dropout.runs, dropout.seconds) == (3, 3, pytest.approx(4.2))
    assert dropout.run_seconds == pytest.approx(1.4)
    assert dropout.chosen is not None
    assert dropout.chosen.values == {"optimizer.lr": 9.9e-3, "regularizer.dropout.p": 0.6}
    assert dropout.validation == pytest.approx(0.77)
    assert dropout.test == pytest.approx(0.74)
    assert dropout.optimism == pytest.approx(0.80 - 0.74)
    assert [l2.count(what) for what in ("finished", "pruned", "diverged", "failed")] == [1, 0, 1, 1]
    assert l2.optimism == pytest.approx(0.71 - 0.70)


def test_optimism_is_positive_where_validation_looks_better_whichever_way_is_better() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P]}, definition={"select_by": ["best/val/loss"], "direction": "min"})
    for strategy in ("none", "dropout"):
        lab.tune(strategy, 0, {"optimizer.lr": 1e-3}, [0.5], chosen=True, metric="loss")
        lab.confirm(strategy, [0.55, 0.57], [0.6, 0.7], metric="loss")
    assert [row.optimism for row in tuning(lab, "test/loss").budgets] == pytest.approx([0.15, 0.15])


def test_optimism_is_not_told_of_unlike_quantities() -> None:
    lab = small()
    lab.definition["select_by"] = ["best/val/accuracy"]
    for record in lab.records:
        record.metrics["test/loss"] = 1.0
    assert [row.optimism for row in tuning(lab, "test/loss").budgets] == [None, None, None]


def test_the_edge_and_what_gave_no_score_weaken() -> None:
    weak = small().task().weaknesses
    assert (
        "dropout: the best lies on the edge of the range (lr=0.0099, searched from 0.0001 to 0.01): "
        "raise study.space.optimizer.lr.high."
    ) in weak
    assert "l2: 2 of its 3 trials gave no score (1 diverged, 1 failed)." in weak
    assert not any("Equal budgets" in text for text in weak)


def test_an_edge_that_is_off_or_the_off_value_is_none() -> None:
    p = Range("p", 0.0, 0.8, off=0.0)
    strength = Range("strength", 1e-6, 0.1, log=True, off=0.0)
    norm = Range("max_norm", 0.5, 4.0, log=True, off=math.inf)
    assert [at_edge(p, v) for v in (0.0, 0.03, 0.4, 0.77)] == [None, None, None, "high"]
    assert [at_edge(strength, v) for v in (0.0, 1.5e-6, 1e-3, 0.09)] == [None, "low", None, "high"]
    assert [at_edge(norm, v) for v in (math.inf, 0.51, 3.9)] == [None, "low", "high"]
    assert at_edge(Choice("k", (1, 2)), 1) is None


def test_unequal_budgets_are_told() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P], "fixed": []}, definition={"max_seconds": 4})
    for i in range(4):
        lab.tune("none", i, {"optimizer.lr": 1e-3}, [0.5 + i / 10], seconds=1.0, chosen=i == 3)
    for i in range(2):
        lab.tune("dropout", i, {"optimizer.lr": 1e-3}, [0.5 + i / 10], seconds=2.5, chosen=i == 1)
    lab.tune("fixed", 0, {}, [0.6], chosen=True)
    for strategy in ("none", "dropout", "fixed"):
        lab.confirm(strategy, [0.5, 0.6], [0.5, 0.6])
    (told,) = [text for text in lab.task().weaknesses if "Equal" in text]
    assert told == (
        "Equal budgets broken: the strategies had unlike numbers of trials (dropout 2, none 4). "
        "study.max_seconds=4 ended the tuning of dropout."
    )
    assert unequal(tuning(small()).budgets, small().study) == []


def test_a_strategy_without_a_score_is_not_dropped_in_silence(tmp_path: Path) -> None:
    lab = small()
    lab.space = {**lab.space, "sam": [LR]}
    lab.tune("sam", 0, {"optimizer.lr": 1e-3}, ["diverged"])
    assert "sam: 1 of its 1 trials gave no score (1 diverged), none was chosen, and the leaderboard lacks it." in (
        lab.task().weaknesses
    )
    page = report(lab, tmp_path)
    assert re.search(r'<td class="name">sam, tuning trial 0</td>.*?<td class="text">diverged</td>', page)


def test_equal_compute_by_hand() -> None:
    told = tuning(small())
    assert told.affordable is not None
    seconds, rows = told.affordable
    assert seconds == pytest.approx(3.0)  # of none
    assert [(row.strategy, row.count, row.of, row.best and row.best.number, row.another) for row in rows] == [
        ("dropout", 2, 3, 0, True),  # 1.4 + 1.4, without the third and best
        ("l2", 1, 3, None, True),  # the first diverged
        ("none", 3, 3, 0, False),
    ]


def test_equal_compute_bears_noisy_timings() -> None:
    lab = Lab({"none": [LR], "dropout": [LR, P]})
    for i in range(2):
        lab.tune("none", i, {}, [0.5 + i / 10], seconds=1.0)
        lab.tune("dropout", i, {}, [0.5 + i / 10], seconds=1.04)
    lab.confirm("none", [0.5], [0.5])
    lab.confirm("dropout", [0.5], [0.5])
    own = {row.strategy: row.trials for row in tuning(lab).budgets}
    _, rows = equal_compute(own, minimized=False)
    assert [(row.count, row.another) for row in rows] == [(2, False), (2, False)]


@pytest.mark.parametrize("definition", [{"sampler": "tpe"}, {"pruning": {"eta": 2, "rungs": 2}}])
def test_no_equal_compute_where_the_order_of_trials_is_no_chance(definition: dict[str, object]) -> None:
    lab = small()
    lab.definition = definition
    assert tuning(lab).affordable is None


def test_how_it_was_done() -> None:
    told = " ".join(rules(small().study))
    for part in (
        "Tuning: 4 trials of each strategy on each task; 1 run of each trial (seed 1000). "
        "The best mean best/val/accuracy chose, of equals the first; the chosen trial was then run on 2 fresh seeds (0",
        "Search: quasi-random (search seed 0).",
        "Searched: lr 0.0001 to 0.01 (log); dropout.p 0 to 0.8 (off at 0)",
        "A strength is off in 1/8 of those points",
        "The learning rate is searched for every strategy.",
    ):
        assert part in told
    lab = small()
    lab.space = {**lab.space, "none": []}
    lab.definition = {"sampler": "tpe", "max_seconds": 60, "pruning": {"eta": 3, "rungs": 2}}
    told = " ".join(rules(lab.study))
    for part in (
        "or 60 s of training if that is reached before",
        "tree-structured Parzen estimators (search seed 0)",
        "The learning rate is not searched for every strategy",
        "successive halving over 2 rungs; each keeps one trial in 3 and trains 3 times as long",
    ):
        assert part in told


def test_the_page_shows_the_tuning_in_order(tmp_path: Path) -> None:
    page = report(small(), tmp_path)
    heads = [
        ">Every seed<",
        ">Response to what was searched<",
        ">What more tuning brings<",
        ">Tuning<",
        ">What tuning chose<",
        ">What tuning took<",
        ">Equal compute<",
        ">What failed<",
        ">How it was done<",
    ]
    places = [page.index(head) for head in heads]
    assert places == sorted(places)
    assert "l2.strength=0.0001" in page
    assert "Which value mattered" not in page  # three trials tell nothing of that
    assert "l2, tuning trial 0" in page
    assert (tmp_path / "tuning.csv").read_text().count("\n") == 10
    assert (tmp_path / "response.png").stat().st_size > 10_000
    assert page.count("<title>none, trial 1: 0.65 (lr=0.0002)</title>") == 5  # own panel, and two of each other
    assert page.count("<title>dropout, trial 2: 0.8 (lr=0.0099, dropout.p=0.6)</title>") == 2


def test_which_value_mattered_is_told_from_sixteen_trials_on(tmp_path: Path) -> None:
    lab = small()
    for i in range(3, 18):
        lab.tune("dropout", i, {"optimizer.lr": 1e-3 * (1 + i % 2), "regularizer.dropout.p": i / 25}, [0.5 + i / 90])
    told = tuning(lab).importances
    assert list(told) == ["dropout"]  # none has one key, and l2 three trials
    assert told["dropout"]["regularizer.dropout.p"] > 0.7
    row = re.search(
        r'<td class="name">dropout</td><td class="name">(dropout.p \d+ %, lr \d+ %)</td>', report(lab, tmp_path)
    )
    assert row is not None


def test_each_task_tells_its_own_trials(tmp_path: Path) -> None:
    lab = small()
    lab.task_name, lab.data = "wine mlp", "wine"
    for strategy in ("none", "dropout"):
        for i in range(2):
            lab.tune(strategy, i, {"optimizer.lr": 1e-3, "regularizer.dropout.p": 0.4}, [0.9 + i / 100], chosen=i == 1)
        lab.confirm(strategy, [0.9, 0.9], [0.9, 0.9])
    told = find(lab.records, ask(lab.records, metric="test/accuracy"), study=lab.study).tasks
    trials = {task.task.data: task.tuning.trials for task in told if task.tuning is not None}
    assert {data: len(some) for data, some in trials.items()} == {"digits": 9, "wine": 4}
    assert {trial.score for trial in trials["wine"]} == {0.9, 0.91}
    assert report(lab, tmp_path).count(">What tuning chose<") == 2
    assert (tmp_path / "tuning.csv").read_text().count("\nwine mlp,") == 4
    assert (tmp_path / "digits-response.png").exists()
    assert (tmp_path / "wine-response.png").exists()


def test_pruned_trials_have_no_curve_of_budget(tmp_path: Path) -> None:
    lab = small()
    lab.definition = {"pruning": {"eta": 2, "rungs": 2}}
    page = report(lab, tmp_path)
    assert "What more tuning brings" not in page
    assert "Each trial at the last rung that it was trained on." in page


def test_adaptive_trials_have_the_best_so_far(tmp_path: Path) -> None:
    lab = small()
    lab.definition = {"sampler": "tpe"}
    page = report(lab, tmp_path)
    assert "The best of the trials so far, in the order in which they were tried" in page
    assert "Dodge" not in page


def report(lab: Lab, folder: Path) -> str:
    """The page, without its places to break."""
    made = make_report("x", ask(lab.records), lab.records, _untracked, folder, study=lab.study)
    return made.page.read_text().replace("<wbr>", "")


def _untracked(run_ids: object, metric: str) -> dict[str, History]:
    return {}


def test_timings_that_other_work_disturbed_are_told_and_compare_nothing() -> None:
    def lab(fresh: float) -> Lab:
        made = Lab({"none": [LR], "dropout": [LR, P]})
        made.tune("none", 0, {"optimizer.lr": 1e-3}, [0.8], chosen=True, seconds=4.0)
        made.tune("dropout", 0, {"optimizer.lr": 1e-3}, [0.8], chosen=True, seconds=2.0)
        made.confirm("none", [0.8, 0.8], [0.7, 0.7], seconds=4.0)
        made.confirm("dropout", [0.8, 0.8], [0.7, 0.7], seconds=fresh)
        return made

    (told,) = [text for text in lab(4.1).task().weaknesses if "disturbed" in text]
    assert (
        "that of none 4.00 s in tuning and 4.00 s on fresh seeds and that of dropout 2.00 s in tuning and 4.10" in told
    )
    assert tuning(lab(4.1)).affordable is None
    assert not [text for text in lab(3.9).task().weaknesses if "disturbed" in text]
    assert tuning(lab(3.9)).affordable is not None
