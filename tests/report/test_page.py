"""The page is self-contained and complete, and no text is cut in a browser."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from reglab.report.charts.style import PALETTE, strategy_colours, wrap
from reglab.report.findings.leaderboard import Entry, decimal_places
from reglab.report.findings.learning_curves import average_histories
from reglab.report.folder import Report
from reglab.report.make import make_report
from reglab.report.number_format import format_fixed, format_interval, format_p, format_signed
from reglab.report.question import resolve_question
from reglab.report.records import History
from tests.report.page_checks import cut_texts, wide_cards
from tests.report.runs_by_hand import SOURCE, Rec, rec

LONG = ["stochastic_depth+label_smoothing+orthogonality+spectral_norm", "a" * 60, "dropout+max_norm", "l1", "none"]


def histories(run_ids: list[str], metrics: list[str]) -> dict[str, dict[str, History]]:
    return {metric: history(run_ids, metric) for metric in metrics}


def history(run_ids: list[str], metric: str) -> dict[str, History]:
    start = 1.0 + len(metric) / 10
    return {run_id: [(e, start / e + i / 50) for e in range(1, 11)] for i, run_id in enumerate(run_ids)}


def records() -> list[Rec]:
    runs = []
    for i, strategy in enumerate(LONG):
        for seed in range(6):
            value = 0.8 - 0.03 * i + 0.01 * ((seed * 7 + i) % 5)
            figures = {"test/accuracy": value, "test/ece": 0.1, "gap/loss": 0.3 + seed / 50, "time/train_s": 1.0 + i}
            figures |= {"val/accuracy": value, "val/loss": 1.0, "train/accuracy": 0.9, "train/loss": 0.2}
            for p in (0.1, 0.3) if strategy.startswith("dropout") else (None,):
                strengths = {"dropout.p": p, "dropout.input_p": p / 2} if p else None
                runs.append(rec(strategy, seed, figures, strengths=strengths, git_commit="c0ffee"))
    runs.append(rec("l1", 9, status="FAILED", diverged="true", diverged_step="3"))
    return runs


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    runs = records()
    return make_report(  # type: ignore[arg-type]
        "<b>names & such</b>",
        resolve_question(runs),
        runs,
        histories,
        SOURCE,
        tmp_path_factory.mktemp("page"),
        ["l1 seed=10"],
    )


@pytest.mark.slow
def test_the_page_is_self_contained(report: Report) -> None:
    page = report.page.read_text()
    assert not re.findall(r"https?://", page)
    assert "<script" not in page
    assert "<link" not in page.replace('<link rel="icon" href="data:,">', "")
    assert set(re.findall(r'(?:src|href)="([^"#][^"]*)"', page)) == {"data:,"}
    assert "<b>names" not in page  # names are escaped


@pytest.mark.slow
def test_wrong_labels_are_reported_beside_the_gap_and_the_curves(tmp_path: Path) -> None:
    clean = records()[:12]
    noisy = [dataclasses.replace(r, tags={**r.tags, "label_noise": "0.4"}) for r in clean]
    for runs, count in ((clean, 0), (noisy, 3)):
        report = make_report("x", resolve_question(runs), runs, histories, SOURCE, tmp_path)  # type: ignore[arg-type]
        assert report.page.read_text().count("40 % of the training labels are wrong") == (
            2 * count  # in the caption and in the alternative text
        )


def test_the_sections_of_the_page_are_in_order(report: Report) -> None:
    page = re.sub(r"<wbr>", "", report.page.read_text())
    heads = [
        'class="answer"',
        ">Leaderboard<",
        ">Paired differences<",
        ">Results by seed<",
        ">Learning curves: accuracy<",
        ">Learning curves: loss<",
        ">Generalization gap<",
        ">Calibration<",
        ">Cost<",
        ">Failed runs<",
        ">Methods<",
    ]
    places = [page.index(head) for head in heads]
    assert places == sorted(places)
    assert "diverged at step 3" in page
    assert "never run: l1 seed=10." in page
    assert "s²(1/n + 0.25)" in page
    assert "Pairs share the split, " in page
    assert page.count("<title>l1, seed 3: ") == 4  # in the charts of seeds, gaps, calibration and costs


def test_pictures_are_sharp(report: Report) -> None:
    for path in report.files:
        if path.suffix == ".png":
            data = path.read_bytes()
            width, dots_per_metre = int.from_bytes(data[16:20]), data[data.index(b"pHYs") + 4 :][:4]
            assert width >= 1200
            assert int.from_bytes(dots_per_metre) >= 150 / 0.0254


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 420)])
def test_no_text_is_cut_in_a_browser(report: Report, browser: Any, scheme: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda request: problems.extend([] if request.url.startswith(("file:", "data:")) else [request.url])
    )
    page.goto(report.page.as_uri())
    assert problems == []
    assert page.locator("svg").count() == 7
    assert cut_texts(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    names = page.locator("td.swatched").all_inner_texts()
    assert any("a" * 60 in name.replace("\n", "") for name in names)
    if width > 1000:  # on telephones the table scrolls horizontally
        assert wide_cards(page) == 0
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(246, 247, 249)") == (scheme == "light")
    page.close()


def test_each_strategy_has_one_colour() -> None:
    colours = strategy_colours(["none", "l1", "dropout", "l1"], "none")
    assert colours["none"] == PALETTE[-1][0]
    assert len(set(colours.values())) == 3
    assert len(set(strategy_colours([f"s{i}" for i in range(10)], None).values())) == 10


def test_wrapped_names_are_complete() -> None:
    assert wrap("dropout+max_norm") == "dropout+max_norm"
    wrapped = wrap("stochastic_depth+label_smoothing(epsilon=0.1, other=2)", 24)
    assert all(len(line) <= 24 for line in wrapped.split("\n"))
    assert wrapped.replace("\n", "").replace(" ", "") == "stochastic_depth+label_smoothing(epsilon=0.1,other=2)"
    assert wrap("x" * 50, 24).replace("\n", "") == "x" * 50
    assert wrap("dropout+weight_decay", 16) == "dropout+\nweight_decay"
    assert wrap("stochastic_depth", 12) == "stochastic_\ndepth"


def test_curves_are_means_over_seeds() -> None:
    curve = average_histories([[(1, 1.0), (2, 2.0)], [(1, 3.0), (2, 4.0), (3, 9.0)], [(1, 5.0), (2, float("nan"))], []])
    assert curve is not None
    assert curve.steps.tolist() == [1, 2]  # at step 3 one seed of three is left
    assert curve.mean.tolist() == [3.0, 3.0]
    assert curve.std.tolist() == pytest.approx([2.0, 2**0.5])
    assert average_histories([[], []]) is None


def test_numbers_as_they_are_written() -> None:
    assert decimal_places([Entry("a", "a", 3, 0.8, 0.0102)]) == 3
    assert decimal_places([Entry("a", "a", 3, 12.0, 1.5)]) == 1
    assert decimal_places([Entry("a", "a", 1, 123.4)]) == 0
    assert (
        decimal_places([Entry("a", "a", 3, 0.17, 0.14, diff_interval=(-0.03, 0.01))]) == 3
    )  # differences keep more digits
    assert decimal_places([Entry("a", "a", 3, 0.17, 0.014, diff_interval=(-0.3, 0.1))]) == 3
    formatted = (
        format_fixed(-0.5, 2),
        format_signed(0.5, 2),
        format_signed(-0.0001, 2),
        format_signed(0.0, 2),
        format_fixed(None, 2),
    )
    assert formatted == ("−0.50", "+0.50", "−0.00", "0.00", "–")
    assert format_interval((-0.1, 0.1), 1, sign=True) == "[−0.1, +0.1]"
    assert [format_p(p) for p in (None, 1.0, 0.5, 0.0039, 0.0001)] == ["–", "1", "0.500", "0.0039", "<0.001"]
