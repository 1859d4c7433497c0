"""Selection of the compared runs, and notes on the others."""

import re

import pytest

from reglab.report.findings.findings import Findings, StrategyFailures, failures_by_strategy
from reglab.report.render.csv_files import leaderboard_csv
from reglab.report.run_filter import note_on_reused_runs, note_on_sources
from tests.report.runs_by_hand import NONE, UP, Rec, accuracies, analyze, entries_of, rec


def test_missing_tags_are_reported() -> None:
    bare = [
        Rec(f"{name}{s}", tags={"strategy": name, "data": "d", "seed": str(s)}, metrics={"test/accuracy": v})
        for name, vs in {"none": NONE, "l1": UP}.items()
        for s, v in enumerate(vs)
    ]
    findings = analyze(bare)
    assert entries_of(findings)["l1"].verdict == "helps"
    caveats = " ".join(findings.tasks[0].caveats)
    assert "12 of 12 runs have no split_hash" in caveats
    assert "no tags split_seed or split_hash" in caveats


def test_differing_hashes_are_reported() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    records[7].tags["order_hash"] = "another"
    caveats = " ".join(analyze(records).tasks[0].caveats)
    assert re.search(r"order_hash .* for seed 1:", caveats)
    assert "split_hash" not in caveats


def test_methods_without_effect_are_reported() -> None:
    records = accuracies({"none": NONE}) + accuracies({"l2": NONE}, no_effect="l2: no effect, for strength=0 is off")
    caveats = analyze(records).tasks[0].caveats
    assert any(text.startswith("l2: ") and "strength=0 is off" in text for text in caveats)


def test_strengths_without_effect_are_reported() -> None:
    equal = "l1 and max_norm: test/accuracy equals that of none on every seed"
    records = accuracies({"none": NONE, "l1": NONE, "max_norm": NONE[:3], "l2": UP})
    assert any(text.startswith(equal) for text in analyze(records).tasks[0].caveats)
    for values in ({"none": NONE, "l1": [*NONE[:-1], 0.5]}, {"none": NONE, "l1": NONE[:2]}):
        assert not [text for text in analyze(accuracies(values)).tasks[0].caveats if "equals that of none" in text]


def test_double_counting_is_reported() -> None:
    records = accuracies({"none": NONE}) + accuracies({"l2": UP}, double_counting="shrunken weights: a and b")
    assert any(text.startswith("l2: one effect is applied twice") for text in analyze(records).tasks[0].caveats)


def test_tuning_runs_reruns_and_repetitions_are_excluded() -> None:
    records = accuracies({"none": NONE, "dropout": UP})
    for record in records:
        record.tags["config_hash"] = f"{record.tags['strategy']}{record.tags['seed']}"
    extra = [
        rec("dropout", 0, {"test/accuracy": 0.1}, phase="tune", config_hash="t"),
        rec("dropout", 0, {"test/accuracy": 0.2}, rerun_of=records[6].run_id, config_hash="dropout0", started=9),
        rec(
            "dropout", 1, {"test/accuracy": 0.79}, config_hash="dropout1", started=5
        ),  # repeated: the newest run counts
        rec("dropout", 2, status="FAILED", config_hash="dropout2", started=7),
        rec("none", 0, {"test/accuracy": 0.3}, rerun_of=records[0].run_id, config_hash="other code"),
        Rec("p", tags={"phase": "parent"}),
    ]
    findings = analyze([*records, *extra])
    line = entries_of(findings)["dropout"]
    assert (line.n, line.mean) == (6, pytest.approx((4.67 + 0.01) / 6))
    assert entries_of(findings)["none"].mean == pytest.approx(4.35 / 6)
    assert findings.failures == []  # the failed run has a successful repetition
    assert any("1 tuning run was left out" in text for text in findings.exclusions)


def test_two_versions_of_a_method_are_never_averaged() -> None:
    old = accuracies({"none": NONE, "l1": UP}, setting="s")
    new = [rec("l1", seed, {"test/accuracy": 0.5}, strategy_code="new", setting="s", started=9) for seed in range(2)]
    again = rec("l1", 0, {"test/accuracy": 0.1}, strategy_code="third", setting="s", started=10, rerun_of=new[0].run_id)
    findings = analyze([*old, *new, again])
    assert (entries_of(findings)["l1"].n, entries_of(findings)["l1"].mean) == (2, pytest.approx(0.5))
    assert entries_of(findings)["none"].n == 6
    (exclusion,) = [text for text in findings.exclusions if "another version" in text]
    assert exclusion.startswith("6 runs were left out: l1 on ")


def test_a_rerun_counts_where_the_run_failed() -> None:
    records = accuracies({"none": NONE, "l1": UP[1:]})
    failed = rec("l1", 9, status="FAILED", run_id="lost")
    mended = rec("l1", 9, {"test/accuracy": 0.8}, rerun_of="lost")
    assert entries_of(analyze([*records, failed, mended]))["l1"].n == 6


def test_failures_are_reported_by_strategy() -> None:
    records = accuracies({"none": NONE, "l1": UP})[1:]
    records += [
        rec("sam", 0, status="FAILED", diverged="true", diverged_step="12"),
        rec("l1", 6, status="KILLED"),
        rec("l1", 7, status="RUNNING"),
        rec("l1", 8, {"test/accuracy": float("inf")}),
        rec("l1", 9, status="FAILED", out_of_memory="true"),
        rec("l1", 10, status="KILLED", error="its process ended without closing it"),
        *(rec("none", 0, status=status, config_hash="none0") for status in ("KILLED", "FAILED", "KILLED", "FAILED")),
        rec("none", 0, {"test/accuracy": NONE[0]}, config_hash="none0", started=1),
        rec("none", 0, status="KILLED", phase="tune"),
        rec("l1", 0, {"test/accuracy": 0.9}, undeclared="true", phase="sweep"),
        Rec("p", tags={"phase": "parent"}),
    ]
    findings = analyze(records)
    outcomes = {(f.strategy, f.seed): f.outcome for f in findings.failures}
    assert outcomes == {
        ("sam", "0"): "diverged at step 12",
        ("l1", "6"): "was stopped",
        ("l1", "7"): "not finished yet",
        ("l1", "8"): "finished without a finite test/accuracy",
        ("l1", "9"): "ran out of memory",
        ("l1", "10"): "ended with its process",
    }
    counted = sum(int(sentence.split()[0]) for sentence in findings.exclusions)
    assert findings.runs + len(findings.failures) + counted == len(records) - 1  # each once, without the parent
    assert any("other attempts" in text and "(2 failed and 2 s" in text for text in findings.exclusions)
    assert entries_of(findings)["sam"].n == 0
    assert entries_of(findings)["sam"].verdict == "no result"
    assert "6 runs have no result" in findings.headline
    assert leaderboard_csv(findings.entries).splitlines()[-1] == "sam,0,,,,,,,,,,,,no result,"


def test_runs_of_another_kind_of_task_are_left_out() -> None:
    records = [*accuracies({"none": NONE, "l1": UP}), rec("l1", 0, {"test/rmse": 1.0}, data="diabetes")]
    findings = analyze(records)
    assert findings.failures == []
    (exclusion,) = findings.exclusions
    assert exclusion.startswith("1 run was left out: ")
    assert "diabetes has test/accuracy" in exclusion


def test_runs_without_the_tags_that_a_report_needs_are_left_out() -> None:
    complete = accuracies({"none": NONE, "l1": UP})
    strange = [Rec("x", tags={"strategy": "l1", "seed": "0"}), Rec("y", tags={"strategy": "l1", "seed": "1"})]
    (exclusion,) = analyze([*complete, *strange]).exclusions
    assert exclusion.startswith("2 runs were left out ")
    assert exclusion.endswith("missing tag data.")
    strange.append(Rec("z"))
    note = "3 runs were left out because of missing tags strategy, data and seed."
    assert analyze([*complete, *strange]).exclusions == [note]


def test_early_stopping_is_reported() -> None:
    def stopped(strategy: str, patience: float, epochs: float | None) -> list[Rec]:
        metrics = {"test/accuracy": 0.7} | ({} if epochs is None else {"time/epochs": epochs})
        return [rec(strategy, seed, metrics, strengths={"early_stopping.patience": patience}) for seed in range(2)]

    none = accuracies({"none": NONE})
    records = none + stopped("early_stopping", 5, 12.25) + stopped("early_stopping+l2", 5, None)
    (caveat,) = [text for text in analyze(records).tasks[0].caveats if "validation labels" in text]
    subject, _, _ = caveat.partition(": ")
    assert "12.2 epochs" in subject
    assert subject.endswith(" and early_stopping+l2")
    for runs in (none, none + stopped("early_stopping", float("inf"), 20)):
        assert not [text for text in analyze(runs).tasks[0].caveats if "validation labels" in text]


def test_failures_are_counted_by_strategy() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    assert failures_by_strategy(analyze(records)) == []
    records += [rec("l1", 7, status="FAILED", diverged="true", diverged_step=str(step)) for step in (3, 40)]
    records += [rec("l1", 8, status="KILLED"), rec("dropout", 0, status="FAILED", diverged="true")]
    assert failures_by_strategy(analyze(records)) == [
        StrategyFailures("dropout", 1, {"diverged": 1, "was stopped": 0}),
        StrategyFailures("l1", 9, {"diverged": 2, "was stopped": 1}),
        StrategyFailures("none", 6, {"diverged": 0, "was stopped": 0}),
    ]


def test_runs_that_were_made_for_another_study_are_reported() -> None:
    of_study = accuracies({"none": NONE}, study="mine")
    of_other_study = accuracies({"l1": UP}, study="theirs")
    assert note_on_reused_runs(of_study, "mine") == []
    (note,) = note_on_reused_runs([*of_study, *of_other_study], "mine")
    assert note.startswith("6 of 12 runs were first trained in theirs ")


def test_runs_of_several_sweeps_are_reported_where_they_are_compared_as_one() -> None:
    of_one_sweep = accuracies({"none": NONE, "l1": UP}, sweep="mine")
    assert note_on_sources(of_one_sweep) == []
    assert note_on_sources([*of_one_sweep, *accuracies({"l2": UP})]) == []  # a single run has no sweep
    of_two_studies = [
        *of_one_sweep,
        *accuracies({"l2": UP}, study="quick"),
        *accuracies({"sam": UP}, study="tuned", phase="tune"),
    ]
    (note,) = note_on_sources(of_two_studies)
    assert " 2 sweeps and studies " in note
    assert ": mine and quick (" in note
    of_eight_sweeps = [rec for i in range(8) for rec in accuracies({"l2": UP}, sweep=f"s{i}")]
    assert "s0, s1, s2, s3, s4, s5 and 2 more" in note_on_sources(of_eight_sweeps)[0]


def test_a_difference_only_at_the_selected_epoch_is_reported() -> None:
    def findings(at_last: float) -> Findings:
        records = accuracies({"none": NONE, "l1": [v + 0.1 for v in NONE]})
        for record in records:
            record.metrics["best/val/accuracy"] = record.metrics["test/accuracy"]
            record.metrics["val/accuracy"] = 0.8 + (at_last if record.tags["strategy"] == "l1" else 0.0)
        return analyze(records)

    (caveat,) = [text for text in findings(-0.001).tasks[0].caveats if "last epoch" in text]
    assert caveat.startswith("l1 (+0.1, at the last epoch −0.001): ")
    assert " val/accuracy " in caveat
    assert any("at the last epoch +0.049" in text for text in findings(0.049).tasks[0].caveats)
    assert not any("last epoch" in text for text in findings(0.051).tasks[0].caveats)
