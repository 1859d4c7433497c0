"""The leaderboard, its verdicts and its headline, for records with known results."""

import csv
import io
import re
from dataclasses import replace

import pytest

from reglab.report.render.csv_files import LEADERBOARD, leaderboard_csv
from tests.report.runs_by_hand import NONE, UP, accuracies, analyze, entries_of, rec


def test_leaderboard_by_hand() -> None:
    findings = analyze(accuracies({"none": NONE, "dropout": UP}))
    line = entries_of(findings)["dropout"]
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
    base = entries_of(findings)["none"]
    assert (base.diff, base.p, base.rank, base.verdict) == (None, None, 2, "baseline")
    assert findings.headline.startswith("On digits, dropout raises test/accuracy ")
    assert re.findall(r"\d\.\d+", findings.headline)[:5] == ["0.725", "0.778", "0.053", "0.033", "0.073"]


def test_csv_has_the_documented_columns() -> None:
    text = leaderboard_csv(analyze(accuracies({"none": NONE, "dropout": UP})).entries)
    assert text.splitlines()[0] == (
        "strategy,n,mean,std,ci_low,ci_high,diff,diff_low,diff_high,p,p_holm,rank,seconds,verdict,reason"
    )
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["strategy"] for row in rows] == ["dropout", "none"]
    assert tuple(rows[0]) == LEADERBOARD
    assert float(rows[0]["diff"]) == pytest.approx(0.32 / 6)
    assert [row["verdict"] for row in rows] == ["helps", "baseline"]
    assert rows[0]["reason"] == rows[1]["diff"] == rows[1]["p"] == rows[0]["seconds"] == ""


def test_lower_is_better_for_losses() -> None:
    records = [
        rec(name, s, {"test/rmse": v}) for name, vs in {"none": UP, "l2": NONE}.items() for s, v in enumerate(vs)
    ]
    findings = analyze(records, metric="test/rmse")
    assert entries_of(findings)["l2"].verdict == "helps"
    assert entries_of(findings)["l2"].diff == pytest.approx(-0.32 / 6)
    assert "l2 lowers test/rmse from 0.778 " in findings.headline


def test_hurts_and_unclear() -> None:
    noisy = [v + d for v, d in zip(NONE, [0.01, -0.01, 0.02, -0.02, 0.03, -0.03], strict=True)]
    findings = analyze(accuracies({"none": [*UP, 0.8, 0.81], "bad": [*NONE, 0.7, 0.72], "l1": [*noisy, 0.8, 0.8]}))
    assert entries_of(findings)["bad"].verdict == "hurts"
    assert entries_of(findings)["l1"].verdict != "hurts"
    assert "no strategy is shown to beat none" in findings.headline
    assert "bad hurts" in findings.headline


def test_too_few_seeds_to_tell() -> None:
    findings = analyze(accuracies({"none": NONE[:5], "dropout": UP[:5]}))
    assert entries_of(findings)["dropout"].verdict == "too few seeds to tell"
    assert "too few seeds to tell" in findings.headline
    assert "5 paired seeds and 1 comparison" in findings.headline
    assert "p cannot fall below 0.062" in findings.headline


def test_the_best_rival_ranks_first_ties_or_comes_closest() -> None:
    base = [0.80, 0.81, 0.82, 0.79, 0.80, 0.81, 0.80, 0.82]
    wiggle = [0.01, -0.01, 0.02, -0.02, 0.03, -0.03, 0.004, -0.004]
    for shift, words in ((0.001, "ranks first (+"), (0.0, "ties with the baseline (0."), (-0.001, "comes closest (−")):
        rival = [b + w + shift for b, w in zip(base, wiggle, strict=True)]
        assert f"l1 {words}" in analyze(accuracies({"none": base, "l1": rival})).headline


def test_the_headline_names_means_of_the_same_runs_as_the_pairs() -> None:
    none = [0.50, 0.70, 0.71, 0.72, 0.70, 0.71, 0.72, 0.70, 0.71]
    dropout = [rec("dropout", s, {"test/accuracy": v + 0.02}) for s, v in enumerate(none) if s]
    findings = analyze([*accuracies({"none": none}), *dropout])
    assert "test/accuracy against none by 0.02" in findings.headline  # not from .686 to .729


def test_a_baseline_without_other_finished_strategies_is_not_compared() -> None:
    failed = [rec("l1", seed, status="FAILED") for seed in range(3)]
    findings = analyze([*accuracies({"none": NONE}), *failed])
    assert "no run of l1 has a result" in findings.headline


def test_without_a_baseline_nothing_is_tested() -> None:
    findings = analyze(accuracies({"l1": NONE, "l2": UP}))
    assert all(line.p is None for line in findings.entries)
    assert "no run of the baseline none" in findings.headline


def test_results_do_not_depend_on_the_order_of_runs() -> None:
    records = accuracies({"none": NONE, "l1": UP})
    backwards = [replace(record, started=-float(place)) for place, record in enumerate(records)]
    assert leaderboard_csv(analyze(backwards).entries) == leaderboard_csv(analyze(records).entries)
