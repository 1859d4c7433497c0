"""Pairs of runs, and intervals corrected for overlapping splits."""

import csv
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from reglab.report.findings.findings import Findings
from reglab.report.findings.leaderboard import Entry
from reglab.report.folder import Report
from reglab.report.render.csv_files import leaderboard_csv
from reglab.report.render.page import render_page
from reglab.report.render.terminal import print_report, to_markdown
from tests.report.runs_by_hand import NONE, SOURCE, UP, accuracies, analyze, entries_of, rec


def test_pairs_are_the_seeds_that_both_have() -> None:
    records = [
        r for r in accuracies({"none": NONE, "dropout": UP}) if (r.tags["strategy"], r.tags["seed"]) != ("none", "0")
    ]
    findings = analyze(records)
    line = entries_of(findings)["dropout"]
    assert (line.n, line.pairs) == (6, 5)
    assert line.diff == pytest.approx(0.27 / 5)
    assert any("none has no result for seed 0" in text for text in findings.tasks[0].caveats)


def test_split_seeds_pair_within_a_seed() -> None:
    records = [
        rec(name, seed, {"test/accuracy": 0.5 + 0.1 * split + 0.01 * seed + up}, split_seed=str(split))
        for name, up in (("none", 0.0), ("l1", 0.1))
        for seed in range(2)
        for split in range(3)
    ]
    line = entries_of(analyze(records))["l1"]
    assert (line.n, line.pairs) == (6, 6)
    assert line.diff_interval == pytest.approx((0.1, 0.1))


def test_fixed_splits_take_the_plain_t() -> None:
    free = entries_of(analyze(accuracies({"none": NONE, "dropout": UP})))["dropout"]
    fixed = analyze(accuracies({"none": NONE, "dropout": UP}, split_seed="0", split_hash="same"))
    line = entries_of(fixed)["dropout"]
    assert line.diff_interval
    assert free.diff_interval
    ratio = (line.diff_interval[1] - line.diff_interval[0]) / (free.diff_interval[1] - free.diff_interval[0])
    assert ratio == pytest.approx(((1 / 6) / (1 / 6 + 0.25)) ** 0.5)
    assert "same for every seed" in fixed.tasks[0].splits.description


def test_one_hash_for_all_seeds_is_one_split_whatever_the_seeds() -> None:
    # With parts from a column or by time, every split seed gives the same rows.
    values = {"none": NONE, "dropout": UP}
    same = analyze(accuracies(values, split_hash="same"))
    assert same.tasks[0].splits.overlap == 0
    assert "same for every seed" in same.tasks[0].splits.description
    entry = entries_of(analyze(accuracies(values, split_seed="0", split_hash="same")))["dropout"]
    assert entries_of(same)["dropout"].diff_interval == entry.diff_interval


def test_fresh_rows_take_the_plain_t() -> None:
    fresh = [
        dataclasses.replace(r, tags={**r.tags, "rows": "inf", "test_rows": "5000"})
        for r in accuracies({"none": NONE, "dropout": UP})
    ]
    findings = analyze(fresh)
    assert findings.tasks[0].splits.overlap == 0
    assert any("No two seeds share rows" in text for text in findings.tasks[0].methods)


def test_with_shared_rows_the_t_test_is_corrected_for_all_comparisons() -> None:
    none = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75, 0.72, 0.74]
    effect = [0.003, 0.006, 0.020, 0.007, 0.022, 0.021, 0.009, 0.019]
    up = [v + e for v, e in zip(none, effect, strict=True)]
    values = {"none": none, "l1": up}
    assert entries_of(analyze(accuracies(values)))["l1"].verdict == "helps"
    zeros = {f"z{i}": none for i in range(4)}
    fresh = analyze([*accuracies(values | zeros, split_seed="0")])
    assert entries_of(fresh)["l1"].verdict == "helps"  # one split for all runs: no overlap
    assert [text for text in fresh.tasks[0].caveats if "equals that of" not in text] == []
    shared = analyze(accuracies(values | zeros))
    line = entries_of(shared)["l1"]
    assert line.p_holm == pytest.approx(5 * 2 / 2**8)
    assert line.diff_interval is not None
    assert line.diff_interval[0] > 0
    t = float(np.mean(effect)) / (float(np.std(effect, ddof=1)) * (1 / 8 + 0.25) ** 0.5)
    assert line.p_t_holm == pytest.approx(5 * 2 * stats.t.sf(t, 7))
    assert line.p_t_holm > 0.05
    assert line.verdict == "no clear difference"
    assert "t-test" in line.reason
    assert "0.135" in line.reason
    assert line.reason in shared.headline
    assert any(line.reason in text for text in shared.tasks[0].caveats)
    assert_shown(shared, line)
    assert all(not entry.reason for name, entry in entries_of(shared).items() if name != "l1")


def assert_shown(findings: Findings, line: Entry) -> None:
    """Check that the reason follows the verdict in the CSV file, on the page, in the terminal and in the note."""
    (row,) = (
        row for row in csv.DictReader(io.StringIO(leaderboard_csv(findings.entries))) if row["strategy"] == line.label
    )
    assert (row["verdict"], row["reason"]) == (line.verdict, line.reason)
    drawn = render_page(
        "x", findings, dict.fromkeys((entry.strategy for entry in findings.entries), "#000000"), [], [[]], SOURCE
    )
    assert re.search(rf">{line.verdict}</span><span[^>]*>{re.escape(line.reason)}<", drawn)
    report = Report("x", findings, Path("x"), [])
    assert f"{line.verdict}: {line.reason} |" in to_markdown(report)
    for width in (80, 30):  # a table, and entries on several lines
        console = Console(width=width, file=io.StringIO(), color_system=None)
        print_report(report, "make ui", console)
        text = re.sub(r"\s+", " ", console.file.getvalue())  # type: ignore[attr-defined]
        assert re.search(rf"\bl1\b.* unclear \(1\).*\(1\) {re.escape(line.reason)}", text)


def test_a_p_that_its_interval_contradicts_is_reported() -> None:
    none = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75, 0.72, 0.74]
    effect = [0.001, 0.002, 0.060, 0.003, 0.004, 0.070, 0.005, 0.006]  # all on one side, two of them far out
    shared = analyze(accuracies({"none": none, "l1": [v + e for v, e in zip(none, effect, strict=True)]}))
    line = entries_of(shared)["l1"]
    assert line.p_holm == pytest.approx(2 / 2**8)
    assert line.diff_interval is not None
    assert line.diff_interval[0] < 0 < line.diff_interval[1]
    assert line.verdict == "no clear difference"
    assert "interval of the difference includes zero" in line.reason
    (caveat,) = shared.tasks[0].caveats
    assert caveat.startswith("l1: Holm’s p is 0.0078")
    assert line.reason in caveat


def test_an_interval_that_its_p_contradicts_has_a_reason() -> None:
    none = [0.70, 0.72, 0.74, 0.71, 0.73, 0.75, 0.72, 0.74]
    effect = [0.02, 0.03, 0.04, 0.02, 0.03, 0.05, 0.04, -0.01]
    up = [v + e for v, e in zip(none, effect, strict=True)]
    findings = analyze(accuracies({"none": none, "l1": up, **{f"z{i}": none for i in range(5)}}, split_seed="0"))
    line = entries_of(findings)["l1"]
    assert line.diff_interval is not None
    assert line.diff_interval[0] > 0
    assert line.p_holm == pytest.approx(
        6 * 4 / 2**8
    )  # 6 * the two sign patterns that are at least as extreme, two-sided
    assert line.verdict == "no clear difference"
    assert "6 comparisons" in line.reason
    assert entries_of(findings)["z0"].reason == ""  # its p and its interval agree
