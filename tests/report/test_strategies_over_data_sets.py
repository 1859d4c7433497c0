"""Strategies over data sets, interactions and detectable differences: in findings, files and page."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reglab.report.charts import style
from reglab.report.charts.chart import OverallChartData
from reglab.report.charts.rank_diagram import RankDiagram
from reglab.report.findings.findings import Findings
from reglab.report.findings.leaderboard import describe_detectable, detectable_differences
from reglab.report.folder import Report
from reglab.report.make import make_report
from reglab.report.question import resolve_question
from reglab.report.records import History
from reglab.report.render.terminal import print_report
from reglab.report.statistics.data_sets import DataSetComparison
from reglab.report.statistics.power import minimum_detectable_difference, pairs_needed
from tests.report.page_checks import cut_texts, wide_cards
from tests.report.runs_by_hand import NONE, SOURCE, UP, Rec, accuracies, analyze, entries_of

LONG = "stochastic_depth+label_smoothing+orthogonality+spectral_norm"
EFFECTS = {"none": 0.0, "l1": 0.02, "dropout": 0.03, "dropout+l1": 0.04, LONG: -0.02, "a" * 60: 0.021}


def histories(run_ids: list[str], metrics: list[str]) -> dict[str, dict[str, History]]:
    return {metric: history(run_ids, metric) for metric in metrics}


def history(run_ids: list[str], metric: str) -> dict[str, History]:
    return {run_id: [] for run_id in run_ids}


def study(data_sets: int, seeds: int = 6, effects: dict[str, float] = EFFECTS) -> list[Rec]:
    """Return runs with effects that differ slightly between data sets and seeds."""
    rng = np.random.default_rng(0)
    records: list[Rec] = []
    for i in range(data_sets):
        base = 0.7 + 0.02 * i + 0.01 * rng.normal(size=seeds)
        values = {
            name: (base + effect * (1 + 0.1 * rng.normal()) + 0.002 * rng.normal(size=seeds)).tolist()
            for name, effect in effects.items()
        }
        records += accuracies(values, data=f"data{i}")
    return records


def report_of(records: list[Rec], folder: Path) -> Report:
    return make_report("further", resolve_question(records), records, histories, SOURCE, folder)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_of(study(10), tmp_path_factory.mktemp("further"))


def comparison_of(findings: Findings) -> DataSetComparison:
    assert isinstance(findings.over_data_sets, DataSetComparison)
    return findings.over_data_sets


@pytest.mark.slow
def test_strategies_are_compared_as_in_the_overall_leaderboard(report: Report) -> None:
    comparison, board = comparison_of(report.findings), entries_of(report.findings)
    assert comparison.data_sets == 10
    assert dict(zip(comparison.strategies, comparison.ranks, strict=True)) == pytest.approx(
        {name: line.rank for name, line in board.items()}
    )
    with_none = {p.first: p for p in comparison.pairs if p.second == "none"}
    for name, pair in with_none.items():
        assert pair.difference.p == board[name].p
        assert pair.difference.mean == pytest.approx(board[name].diff)
        assert pair.p_holm >= (board[name].p_holm or 0)  # fifteen pairs, of which five are with the baseline


def test_settings_of_one_data_set_count_once() -> None:
    records = study(5, effects={"none": 0.0, "l1": 0.02, "l2": 0.01})
    for record in study(1, effects={"none": 0.0, "l1": -0.3, "l2": 0.01}):
        record.tags.update(setting="other", about="other")
        records.append(record)
    comparison = comparison_of(analyze(records))
    assert comparison.data_sets == 5
    # On data0 l1 is 0.02 above none in one setting and 0.3 below in the other: the worst on average
    assert dict(zip(comparison.strategies, comparison.ranks, strict=True)) == pytest.approx(
        {"l1": 7 / 5, "l2": 9 / 5, "none": 14 / 5}
    )


def test_too_few_data_sets_or_strategies_are_reported() -> None:
    reason = str(analyze(study(4)).over_data_sets)
    assert "at least 3 strategies and 5 data sets" in reason
    assert "6 and 4 were compared" in reason
    assert "2 and 5 were compared" in str(analyze(study(5, effects={"none": 0.0, "l1": 0.02})).over_data_sets)
    assert analyze(study(1)).over_data_sets is None


def test_bars_are_drawn_only_if_a_pair_can_be_significant(report: Report) -> None:
    page = report.page.read_text()
    assert "Holm-corrected for 15 pairs" in page
    assert "Iman and Davenport’s F(5, 45) = " in page
    few = analyze(study(5, seeds=3))  # without charts of single tasks, which take seconds
    (ranks,) = RankDiagram().draw(OverallChartData(few, style.strategy_colours(list(EFFECTS), "none")))
    assert "No bars: with 5 data sets and 15 pairs" in ranks.caption
    assert "0.938" in ranks.caption
    assert (report.folder / "ranks.png").exists()


def test_csv_files_of_pairs_and_interactions(report: Report, tmp_path: Path) -> None:
    with (report.folder / "pairwise.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 15
    best = rows[0]
    pair = comparison_of(report.findings).pairs[0]
    assert (best["first"], best["second"], best["n"]) == (pair.first, pair.second, "10")
    assert float(best["diff"]) == pytest.approx(pair.difference.mean)
    assert float(best["p_holm"]) == pytest.approx(pair.p_holm)
    assert float(best["rank_first"]) < float(best["rank_second"])
    with (report.folder / "interactions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["strategy"], row["n"]) for row in rows[:2]] == [
        ("data0", "dropout+l1", "6"),
        ("data1", "dropout+l1", "6"),
    ]
    assert len(rows) == 10
    assert float(rows[0]["effect"]) - float(rows[0]["sum_of_parts"]) == pytest.approx(float(rows[0]["diff"]))
    plain = report_of(accuracies({"none": NONE, "l1": UP}), tmp_path)
    assert {file.name for file in plain.files if file.suffix == ".csv"} == {"leaderboard.csv"}


def test_detectable_differences_use_the_numbers_of_the_leaderboard() -> None:
    wiggle = [0.01, -0.012, 0.02, -0.015, 0.03, -0.02]
    values = {"none": NONE, "l1": UP, "l2": [v + w for v, w in zip(NONE, wiggle, strict=True)]}
    findings = analyze(accuracies(values))
    detectable = {one.entry.label: one for one in findings.tasks[0].detectable}
    spread = float(np.std(np.subtract(UP, NONE), ddof=1))
    assert detectable["l1"].entry.diff_std == pytest.approx(spread)
    assert detectable["l1"].smallest is None  # six seeds, two comparisons: .0625 at best
    assert detectable["l1"].needed == pairs_needed(0.32 / 6, spread, 2, 0.25)
    assert detectable["l1"].needed is not None
    assert detectable["l1"].needed > 6
    assert detectable["l2"].needed is None  # .002 of a spread of .02, with shared rows
    doubled = analyze(
        accuracies({name: [*of_seeds, *(v + 0.001 for v in of_seeds)] for name, of_seeds in values.items()})
    )
    line = entries_of(doubled)["l1"]
    one = next(one for one in doubled.tasks[0].detectable if one.entry == line)
    assert one.smallest == pytest.approx(minimum_detectable_difference(line.diff_std or 0, 12, 2, 0.25))
    same = analyze(accuracies({"none": NONE, "l1": [v + 0.01 for v in NONE]}))
    assert entries_of(same)["l1"].diff_std is not None
    assert analyze(accuracies({"none": NONE, "l1": NONE})).tasks[0].detectable == []  # no spread


def test_description_of_detectable_differences() -> None:
    def caveat_of(values: dict[str, list[float]], overlap: float = 0.0) -> str:
        board = analyze(accuracies(values)).entries
        return describe_detectable(detectable_differences(board, overlap), board, overlap)

    wiggle = [0.01, -0.01, 0.02, -0.01, 0.03, -0.01, 0.01, 0.006]
    none = [*NONE, 0.72, 0.73]
    unclear = {"none": none, "l1": [v + w for v, w in zip(none, wiggle, strict=True)]}
    spread = float(np.std(wiggle, ddof=1))
    mean = float(np.mean(wiggle))
    smallest = minimum_detectable_difference(spread, 8, 1) or 0.0
    detectable, needed = caveat_of(unclear).split(". ")
    assert f"8 paired seeds: {smallest:.3f}, at 80 % power" in detectable
    assert f" +{mean:.3f} of l1 " in needed
    assert f", {pairs_needed(mean, spread, 1)} seeds " in needed
    assert caveat_of(unclear, overlap=0.25).endswith("because splits share rows.")
    few = caveat_of({name: of_seeds[:5] for name, of_seeds in unclear.items()})
    assert few.startswith("With 5 paired seeds no difference")
    helps = caveat_of({"none": none, "l1": [v + 0.05 + w / 10 for v, w in zip(none, wiggle, strict=True)]})
    assert helps.endswith("at 80 % power.")
    assert caveat_of({"none": none}) == ""


def test_the_terminal_shows_detectable_differences_or_the_test_of_all_strategies(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report, "make ui")
    assert "6 strategies differ over 10 data sets: " in capsys.readouterr().out
    print_report(report_of(study(1, seeds=10), tmp_path), "make ui")
    assert "with 10 paired seeds: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 420])
def test_no_text_is_cut_in_a_browser(report: Report, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(report.page.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert cut_texts(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.locator("[data-chart=ranks] svg").count() == 1
    assert page.locator("[data-table=pairs] tbody tr").count() == 15
    assert page.locator("[data-table=interactions]").count() == 10
    text = re.sub(r"\s+", " ", page.locator("[data-chart=ranks]").inner_text())
    assert "mean rank over data sets (1 is best)" in text
    if width > 1000:
        assert wide_cards(page) == 0
    page.close()
