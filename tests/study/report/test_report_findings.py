"""What counts, what is paired, what is chosen, and what is said: from plain records with known answers."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from typing import Any

import pytest

from reglab.config.metrics import guess_direction, validation_twins
from reglab.errors import ConfigError
from reglab.study.report.findings import Findings, find
from reglab.study.report.leaderboard import COLUMNS, Line, to_csv
from reglab.study.report.question import ask
from tests.study.report.lab import Rec, accuracies, rec

NONE = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75]
UP = [0.75, 0.78, 0.78, 0.77, 0.80, 0.79]  # differences .05 .06 .04 .06 .07 .04


def found(records: Sequence[Rec], **asked: Any) -> Findings:
    return find(records, ask(records, **{"metric": "test/accuracy", **asked}))


def lines(findings: Findings) -> dict[str, Line]:
    return {line.strategy: line for line in findings.lines}


def test_leaderboard_by_hand() -> None:
    findings = found(accuracies({"none": NONE, "dropout": UP}))
    line = lines(findings)["dropout"]
    assert line.n == 6
    assert line.mean == pytest.approx(4.67 / 6)
    assert line.std == pytest.approx(0.0172240, abs=1e-6)
    assert line.diff == pytest.approx(0.32 / 6)
    # s^2 of the differences = 14.6667e-5; t(.975, 5) = 2.570582; variance factor 1/6 + 200/800
    half = 2.570582 * (14.666667e-5 * (1 / 6 + 0.25)) ** 0.5
    assert line.diff_interval == pytest.approx((0.32 / 6 - half, 0.32 / 6 + half), abs=1e-7)
    assert line.p == pytest.approx(2 / 2**6)
    assert line.p_holm == line.p
    assert (line.rank, line.verdict) == (1, "helps")
    base = lines(findings)["none"]
    assert (base.diff, base.p, base.rank, base.verdict) == (None, None, 2, "baseline")
    assert findings.headline.startswith(
        "On digits, dropout raises test/accuracy from 0.725 (none) to 0.778: by 0.053 (95 % interval +0.033 to +0.073"
    )


def test_csv_has_the_columns_of_the_contract() -> None:
    text = to_csv(found(accuracies({"none": NONE, "dropout": UP})).lines)
    assert text.splitlines()[0] == "strategy,n,mean,std,ci_low,ci_high,diff,diff_low,diff_high,p,p_holm,rank,seconds"
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["strategy"] for row in rows] == ["dropout", "none"]
    assert tuple(rows[0]) == COLUMNS
    assert float(rows[0]["diff"]) == pytest.approx(0.32 / 6)
    assert rows[1]["diff"] == rows[1]["p"] == rows[0]["seconds"] == ""


def test_lower_is_better_for_losses() -> None:
    records = [
        rec(name, s, {"test/rmse": v}) for name, vs in {"none": UP, "l2": NONE}.items() for s, v in enumerate(vs)
    ]
    findings = found(records, metric="test/rmse")
    assert lines(findings)["l2"].verdict == "helps"
    assert lines(findings)["l2"].diff == pytest.approx(-0.32 / 6)
    assert "l2 lowers test/rmse from 0.778 (none) to 0.725" in findings.headline


def test_hurts_and_unclear() -> None:
    noisy = [v + d for v, d in zip(NONE, [0.01, -0.01, 0.02, -0.02, 0.03, -0.03], strict=True)]
    findings = found(accuracies({"none": [*UP, 0.8, 0.81], "bad": [*NONE, 0.7, 0.72], "l1": [*noisy, 0.8, 0.8]}))
    assert lines(findings)["bad"].verdict == "hurts"
    assert lines(findings)["l1"].verdict != "hurts"
    assert "no strategy is shown to beat none" in findings.headline
    assert "bad hurts" in findings.headline


def test_too_few_seeds_to_tell() -> None:
    findings = found(accuracies({"none": NONE[:5], "dropout": UP[:5]}))
    assert lines(findings)["dropout"].verdict == "too few seeds to tell"
    assert "too few seeds to tell" in findings.headline
    assert "with 5 paired seeds and 1 comparison the corrected p cannot fall below 0.062" in findings.headline


def test_the_best_rival_comes_first_level_or_closest() -> None:
    base = [0.80, 0.81, 0.82, 0.79, 0.80, 0.81, 0.80, 0.82]
    wiggle = [0.01, -0.01, 0.02, -0.02, 0.03, -0.03, 0.004, -0.004]
    for shift, says in ((0.001, "comes first (+"), (0.0, "comes level (0."), (-0.001, "comes closest (−")):
        rival = [b + w + shift for b, w in zip(base, wiggle, strict=True)]
        assert f"l1 {says}" in found(accuracies({"none": base, "l1": rival})).headline


def test_pairs_are_the_seeds_that_both_have() -> None:
    records = [
        r for r in accuracies({"none": NONE, "dropout": UP}) if (r.tags["strategy"], r.tags["seed"]) != ("none", "0")
    ]
    findings = found(records)
    line = lines(findings)["dropout"]
    assert (line.n, line.pairs) == (6, 5)
    assert line.diff == pytest.approx(0.27 / 5)
    assert any("none has no result for seed 0" in text for text in findings.tasks[0].weaknesses)


def test_split_seeds_pair_within_a_seed() -> None:
    records = [
        rec(name, seed, {"test/accuracy": 0.5 + 0.1 * split + 0.01 * seed + up}, split_seed=str(split))
        for name, up in (("none", 0.0), ("l1", 0.1))
        for seed in range(2)
        for split in range(3)
    ]
    line = lines(found(records))["l1"]
    assert (line.n, line.pairs) == (6, 6)
    assert line.diff_interval == pytest.approx((0.1, 0.1))


def test_fixed_splits_take_the_plain_t() -> None:
    free = lines(found(accuracies({"none": NONE, "dropout": UP})))["dropout"]
    fixed = found(accuracies({"none": NONE, "dropout": UP}, split_seed="0", split_hash="same"))
    line = lines(fixed)["dropout"]
    assert line.diff_interval
    assert free.diff_interval
    ratio = (line.diff_interval[1] - line.diff_interval[0]) / (free.diff_interval[1] - free.diff_interval[0])
    assert ratio == pytest.approx(((1 / 6) / (1 / 6 + 0.25)) ** 0.5)
    assert "same for every seed" in fixed.tasks[0].splits.how


def test_missing_tags_are_noted_not_fatal() -> None:
    bare = [
        Rec(f"{name}{s}", tags={"strategy": name, "data": "d", "seed": str(s)}, metrics={"test/accuracy": v})
        for name, vs in {"none": NONE, "l1": UP}.items()
        for s, v in enumerate(vs)
    ]
    findings = found(bare)
    assert lines(findings)["l1"].verdict == "helps"
    weak = " ".join(findings.tasks[0].weaknesses)
    assert "12 of 12 runs carry no split_hash" in weak
    assert "no tags split_seed or split_hash" in weak


def test_differing_hashes_are_told() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    records[7].tags["order_hash"] = "another"
    weak = " ".join(found(records).tasks[0].weaknesses)
    assert "order_hash differs between strategies for seed 1:" in weak
    assert "split_hash" not in weak


def test_double_counting_is_told() -> None:
    records = accuracies({"none": NONE}) + accuracies({"l2": UP}, double_counting="l2 is asked for by a and b")
    assert any(
        text.startswith("l2: the same effect was asked for twice") for text in found(records).tasks[0].weaknesses
    )


def test_that_validation_ended_the_training_is_told() -> None:
    def stopped(strategy: str, patience: float, epochs: float | None) -> list[Rec]:
        metrics = {"test/accuracy": 0.7} | ({} if epochs is None else {"time/epochs": epochs})
        return [rec(strategy, seed, metrics, strengths={"early_stopping.patience": patience}) for seed in range(2)]

    none = accuracies({"none": NONE})
    records = none + stopped("early_stopping", 5, 12.25) + stopped("early_stopping+l2", 5, None)
    told = [text for text in found(records).tasks[0].weaknesses if "validation labels" in text]
    assert told == [
        "early_stopping (after 12.2 epochs on average) and early_stopping+l2: validation labels decided when training "
        "ended, so val/ figures flatter it; the test's do not."
    ]
    for others in (none, none + stopped("early_stopping", float("inf"), 20)):
        assert not [text for text in found(others).tasks[0].weaknesses if "validation labels" in text]


def test_tuning_runs_reruns_and_repeats_never_count() -> None:
    records = accuracies({"none": NONE, "dropout": UP})
    for record in records:
        record.tags["config_hash"] = f"{record.tags['strategy']}{record.tags['seed']}"
    extra = [
        rec("dropout", 0, {"test/accuracy": 0.1}, phase="tune", config_hash="t"),
        rec("dropout", 0, {"test/accuracy": 0.2}, rerun_of=records[6].run_id, config_hash="dropout0", started=9),
        rec(
            "dropout", 1, {"test/accuracy": 0.79}, config_hash="dropout1", started=5
        ),  # trained anew: the newest counts
        rec("dropout", 2, status="FAILED", config_hash="dropout2", started=7),
        rec("none", 0, {"test/accuracy": 0.3}, rerun_of=records[0].run_id, config_hash="other code"),
        Rec("p", tags={"phase": "parent"}),
    ]
    findings = found([*records, *extra])
    line = lines(findings)["dropout"]
    assert (line.n, line.mean) == (6, pytest.approx((4.67 + 0.01) / 6))
    assert lines(findings)["none"].mean == pytest.approx(4.35 / 6)
    assert findings.failures == []  # what failed has another run that did not
    assert any("1 tuning run was left out" in text for text in findings.left_out)


def test_a_rerun_counts_where_the_run_failed() -> None:
    records = accuracies({"none": NONE, "l1": UP[1:]})
    failed = rec("l1", 9, status="FAILED", run_id="lost")
    mended = rec("l1", 9, {"test/accuracy": 0.8}, rerun_of="lost")
    assert lines(found([*records, failed, mended]))["l1"].n == 6


def test_failures_are_told_by_strategy() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    records += [
        rec("sam", 0, status="FAILED", diverged="true", diverged_step="12"),
        rec("l1", 6, status="KILLED"),
        rec("l1", 7, status="RUNNING"),
        rec("l1", 8, {"test/accuracy": float("inf")}),
    ]
    findings = found(records)
    told = {(f.strategy, f.seed): f.what for f in findings.failures}
    assert told == {
        ("sam", "0"): "diverged at step 12",
        ("l1", "6"): "was stopped",
        ("l1", "7"): "not finished yet",
        ("l1", "8"): "finished without a finite test/accuracy",
    }
    assert lines(findings)["sam"].n == 0
    assert lines(findings)["sam"].verdict == "no result"
    assert "4 runs give no result" in findings.headline
    assert to_csv(findings.lines).splitlines()[-1] == "sam,0,,,,,,,,,,,"


def test_runs_of_another_kind_of_task_are_left_out() -> None:
    records = [*accuracies({"none": NONE, "l1": UP}), rec("l1", 0, {"test/rmse": 1.0}, data="diabetes")]
    findings = found(records)
    assert findings.failures == []
    assert findings.left_out == ["1 run was left out: no run on diabetes has test/accuracy."]


def strengths(test: dict[float, list[float]], val: dict[float, list[float]]) -> list[Rec]:
    return [
        rec(
            "dropout",
            s,
            {"test/accuracy": v, "val/accuracy": val[p][s]},
            strengths={"dropout.p": p, "dropout.input_p": 0},
        )
        for p, values in test.items()
        for s, v in enumerate(values)
    ]


def test_validation_chooses_the_strength() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    findings = found([*accuracies({"none": NONE}), *tested])
    assert set(lines(findings)) == {"none", "dropout(p=0.1)", "dropout(p=0.3)"}
    assert lines(findings)["dropout(p=0.3)"].chosen
    assert not lines(findings)["dropout(p=0.1)"].chosen
    assert "dropout(p=0.3) comes level" in findings.headline  # the better one on the test was not chosen
    assert "chosen by val/accuracy" in findings.headline


def test_the_best_weights_metric_is_preferred() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    for record in tested:
        record.metrics["best/val/accuracy"] = record.metrics["test/accuracy"]
    findings = found([*accuracies({"none": NONE}), *tested])
    assert lines(findings)["dropout(p=0.1)"].chosen
    assert findings.tasks[0].choice.metric == "best/val/accuracy"


def test_a_test_metric_must_not_choose() -> None:
    records = [*accuracies({"none": NONE}), *strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})]
    with pytest.raises(
        ConfigError, match=r"select_by=test/accuracy: the test judges, .* val/accuracy, or say force=true"
    ):
        found(records, select_by="test/accuracy")
    forced = found(records, select_by="test/accuracy", force=True)
    assert lines(forced)["dropout(p=0.1)"].chosen
    assert "Forced: the test metric test/accuracy chose" in forced.headline


def test_without_validation_no_strength_is_chosen() -> None:
    tested = strengths({0.1: UP, 0.3: NONE}, {0.1: NONE, 0.3: UP})
    for record in tested:
        del record.metrics["val/accuracy"]
    findings = found([*accuracies({"none": NONE}), *tested])
    assert all(line.chosen for line in findings.lines)
    assert "stand side by side" in findings.headline


def test_names_hold_the_strengths_that_vary() -> None:
    records = [
        rec("dropout+l2", 0, {"test/accuracy": 0.5}, strengths={"dropout.p": 0.5, "l2.strength": s})
        for s in (1e-3, 1e-4)
    ]
    records += [
        rec("elastic_net", 0, {"test/accuracy": 0.5}, strengths={"elastic_net.l1": s, "elastic_net.l2": s})
        for s in (1, 2)
    ]
    assert set(lines(found(records))) == {
        "dropout+l2(strength=0.001)",
        "dropout+l2(strength=0.0001)",
        "elastic_net(l1=1, l2=1)",
        "elastic_net(l1=2, l2=2)",
    }


def test_the_same_strength_written_otherwise_is_one_row() -> None:
    records = accuracies({"l1": UP[:2]})
    records[0].params["regularizer.l1.strength"] = "0.001"
    records[1].params["regularizer.l1.strength"] = "1e-3"
    assert set(lines(found(records))) == {"l1"}


def test_unlike_settings_are_tasks() -> None:
    records = []
    for noise in (0.0, 0.3):
        about = f'{{"data.label_noise": {noise}, "model._target_": "reglab.models.MLP"}}'
        records += accuracies({"none": NONE, "l1": UP}, setting=str(noise), about=about)
    findings = found(records)
    assert [f.task.name for f in findings.tasks] == ["digits (label_noise=0.0)", "digits (label_noise=0.3)"]
    assert lines(findings)["l1"].n == 2


def test_models_are_told_apart_without_a_setting() -> None:
    records = accuracies({"none": NONE}, model="mlp") + accuracies({"none": UP}, model="cnn")
    assert [f.task.name for f in found(records).tasks] == ["digits (model=cnn)", "digits (model=mlp)"]


def test_a_task_with_one_strategy_is_no_comparison() -> None:
    compared = accuracies({"none": NONE, "dropout": UP})
    alone = [rec("none", 0, {"test/accuracy": 0.1}, data="wine")]
    findings = found([*compared, *alone])
    assert findings.overall is None
    assert findings.headline == found(compared).headline
    assert findings.left_out == [
        "1 run was left out: on wine only none was run, and there is nothing to compare it with."
    ]
    assert [task.task.name for task in found(alone).tasks] == ["wine"]
    failed = rec("l1", 0, status="FAILED", data="wine")
    assert len(found([*compared, *alone, failed]).tasks) == 2


def test_overall_ranks_and_tests_over_tasks() -> None:
    ups = [0.02, 0.03, 0.01, 0.04, 0.05, 0.06]
    records: list[Rec] = []
    for i, up in enumerate(ups):
        none = [v + 0.01 * i for v in NONE]
        better = {"l1": [v + up for v in none], "l2": [v - 0.01 if i else v + 0.1 for v in none]}
        records += accuracies({"none": none, **better}, data=f"data{i}")
    findings = found(records)
    board = lines(findings)
    assert board["l1"].n == 6
    assert board["l1"].rank == pytest.approx((2 + 5 * 1) / 6)
    assert board["none"].rank == pytest.approx((3 + 5 * 2) / 6)
    assert board["l2"].rank == pytest.approx((1 + 5 * 3) / 6)
    assert board["l1"].diff == pytest.approx(sum(ups) / 6)
    assert board["l1"].p == pytest.approx(2 / 2**6)
    assert board["l1"].p_holm == pytest.approx(4 / 2**6)
    assert board["l1"].verdict == "too few data sets to tell"
    assert len(findings.tasks) == 6
    assert findings.headline.startswith("Over 6 tasks, too few data sets to tell: l1 comes first")


def test_tasks_with_other_strengths_are_compared_by_strategy() -> None:
    records: list[Rec] = []
    for data, ps in (("a", (0.1, 0.3)), ("b", (0.2, 0.5))):
        records += accuracies({"none": NONE}, data=data)
        for p in ps:
            for s, v in enumerate(UP):
                told = {"test/accuracy": v - p / 10, "val/accuracy": v - p / 10}
                records.append(rec("dropout", s, told, strengths={"dropout.p": p}, data=data))
    findings = found(records)
    assert set(lines(findings)) == {"none", "dropout"}
    assert lines(findings)["dropout"].diff == pytest.approx(0.32 / 6 - 0.015)


def test_settings_of_one_data_set_are_no_repetitions() -> None:
    records: list[Rec] = []
    for i in range(8):  # the same data set at eight learning rates
        better = [v + 0.01 * (i + 1) for v in NONE]
        records += accuracies({"none": NONE, "l1": better}, setting=f"lr{i}", about=f"lr {i}")
    findings = found(records)
    line = lines(findings)["l1"]
    assert (line.n, line.pairs, line.p, line.rank) == (8, 1, 1.0, 1.0)
    assert line.diff == pytest.approx(0.045)
    assert line.verdict == "too few data sets to tell"
    assert "with 1 paired data set and 1 comparison the corrected p cannot fall below 1" in findings.headline
    assert any("settings of one data set (digits)" in text for text in findings.cautions)


def test_a_strategy_that_some_tasks_lack_has_no_rank() -> None:
    records: list[Rec] = []
    for i in range(3):
        records += accuracies({"none": NONE, "l2": [v + 0.01 for v in NONE]}, data=f"data{i}")
    records += accuracies({"l1": [v + 0.2 for v in NONE]}, data="data0")
    findings = found(records)
    board = lines(findings)
    assert [line.strategy for line in findings.lines] == ["l2", "none", "l1"]
    assert (board["l2"].rank, board["none"].rank, board["l1"].rank) == (1.0, 2.0, None)
    assert "l2 comes first" in findings.headline
    assert any("l1 was run on 1 of 3 tasks" in text for text in findings.cautions)


def test_a_strength_that_survived_few_seeds_is_not_chosen() -> None:
    records = [*accuracies({"none": NONE})]
    for p, seeds in ((0.5, range(6)), (0.9, range(1))):
        for seed in seeds:
            figures = {"test/accuracy": UP[seed] - p / 100, "val/accuracy": p}
            records.append(rec("dropout", seed, figures, strengths={"dropout.p": p}))
    findings = found(records)
    board = lines(findings)
    assert board["dropout(p=0.5)"].chosen
    assert not board["dropout(p=0.9)"].chosen
    assert any("dropout(p=0.9) has no result for seed 1" in text for text in findings.tasks[0].weaknesses)


def test_the_headline_names_means_of_the_same_runs_as_the_pairs() -> None:
    none = [0.50, 0.70, 0.71, 0.72, 0.70, 0.71, 0.72, 0.70, 0.71]
    dropout = [rec("dropout", s, {"test/accuracy": v + 0.02}) for s, v in enumerate(none) if s]
    findings = found([*accuracies({"none": none}), *dropout])
    assert "dropout raises test/accuracy against none by 0.02" in findings.headline  # and not from .686 to .729


def test_where_all_else_failed_that_is_said() -> None:
    failed = [rec("l1", seed, status="FAILED") for seed in range(3)]
    findings = found([*accuracies({"none": NONE}), *failed])
    assert "no run of l1 gives a result: there is nothing to compare none with" in findings.headline


def test_fresh_rows_take_the_plain_t() -> None:
    fresh = [
        dataclasses.replace(r, tags={**r.tags, "rows": "inf", "test_rows": "5000"})
        for r in accuracies({"none": NONE, "dropout": UP})
    ]
    findings = found(fresh)
    assert findings.tasks[0].splits.overlap == 0
    assert any("Every seed has rows of its own" in text for text in findings.tasks[0].how)


def test_no_baseline_compares_nothing_but_says_so() -> None:
    findings = found(accuracies({"l1": NONE, "l2": UP}))
    assert all(line.p is None for line in findings.lines)
    assert "there is no run of none, so no difference can be tested" in findings.headline


def test_another_baseline() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    assert lines(found(records, baseline="l1"))["none"].verdict == "hurts"
    with pytest.raises(ConfigError, match=r"baseline=l3: no run of that strategy; did you mean l1"):
        found(records, baseline="l3")


def test_questions_that_cannot_be_answered() -> None:
    records = accuracies({"none": NONE})
    with pytest.raises(ConfigError, match=r"metric=test/acuracy: no run tracks it; did you mean test/accuracy\?"):
        ask(records, metric="test/acuracy")
    with pytest.raises(ConfigError, match=r"direction=up: max or min"):
        ask(records, direction="up")
    with pytest.raises(ConfigError, match=r"direction=null: cannot tell which way my/figure is better"):
        ask([rec("none", 0, {"my/figure": 1})], metric="my/figure")
    assert ask(records).metric == "test/accuracy"


def test_directions_and_twins() -> None:
    ups = ["test/accuracy", "test/balanced_accuracy", "test/r2"]
    downs = ["test/loss", "test/rmse", "test/ece", "test/perplexity", "gap/loss", "time/train_s"]
    assert [guess_direction(m) for m in ups] == ["max"] * 3
    assert [guess_direction(m) for m in downs] == ["min"] * 6
    assert validation_twins("test/accuracy") == ("best/val/accuracy", "val/accuracy")
    assert validation_twins("test/r2") == ("best/val/rmse", "val/rmse")
    assert "val/accuracy" in validation_twins("test/balanced_accuracy")
    assert "val/loss" in validation_twins("test/ece")
