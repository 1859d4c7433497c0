"""Tables of the page: formatted values of entries, pairs, interactions and detectable differences."""

import re
from dataclasses import replace

import pytest
from jinja2 import Environment, StrictUndefined

from reglab.report.findings.interactions import Interaction
from reglab.report.findings.leaderboard import DetectableDifference, Entry
from reglab.report.findings.verdicts import Verdict
from reglab.report.number_format import MISSING
from reglab.report.question import Question
from reglab.report.render.tables import (
    detectable_rows,
    interaction_rows,
    leaderboard_table,
    pair_rows,
    render_tuning,
)
from reglab.report.statistics.data_sets import Pair
from reglab.report.statistics.paired import paired_difference
from tests.report.study_by_hand import small

QUESTION = Question("test/accuracy", "max", "none", ("best/val/accuracy",), "max")
BASE = Entry("none", "none", 6, 0.7251, 0.02, (0.71, 0.74), rank=2.0, baseline=True)
L2 = Entry(
    "l2", "l2", 6, 0.7789, 0.02, (0.76, 0.79), diff=0.0538, diff_interval=(-0.033, 0.073), diff_std=0.02, pairs=6,
    p=0.0312, p_holm=1.0, rank=1.5, seconds=12.34,
)  # fmt: skip


def test_a_leaderboard_is_formatted_with_equal_decimals() -> None:
    table = leaderboard_table([L2, BASE])
    first, second = table["rows"]
    assert first == {
        "entry": L2,
        "rank": "1.5",
        "mean": "0.779",
        "std": "0.020",
        "interval": "[0.760, 0.790]",
        "diff": "+0.054",
        "diff_interval": "[−0.033, +0.073]",
        "p": "0.031",
        "p_holm": "1",
        "selected_on": MISSING,
        "seconds": "12.3",
    }
    assert [second[key] for key in ("diff", "diff_interval", "p", "p_holm", "seconds")] == [MISSING] * 5


def test_optional_columns_are_those_that_an_entry_has() -> None:
    table = leaderboard_table([L2, BASE])
    assert (table["selected"], table["seconds"]) == (False, True)
    table = leaderboard_table([replace(L2, seconds=None, selected_on=0.5), BASE])
    assert (table["selected"], table["seconds"]) == (True, False)


@pytest.mark.parametrize(("p_holm", "verdict"), [(0.04, "differ"), (0.06, "not shown to differ")])
def test_pairs_over_data_sets(p_holm: float, verdict: str) -> None:
    difference = paired_difference([0.1, 0.2, 0.3, 0.25, 0.15, 0.2])
    (row,) = pair_rows([Pair("l2", "none", difference, p_holm)], 2)
    assert (row["first"], row["second"], row["diff"], row["verdict"]) == ("l2", "none", "+0.20", verdict)
    assert row["p"] == "0.031"


def test_interactions() -> None:
    difference = paired_difference([-0.01, -0.02, -0.03])
    interaction = Interaction(
        "dropout+l2", 0.05, 0.07, difference, same_strengths=False, p_holm=0.5, verdict=Verdict.NO_CLEAR_INTERACTION
    )
    (row,) = interaction_rows([interaction], 2)
    assert {key: row[key] for key in ("label", "pairs", "effect", "parts", "diff", "same_strengths", "verdict")} == {
        "label": "dropout+l2",
        "pairs": 3,
        "effect": "+0.05",
        "parts": "+0.07",
        "diff": "−0.02",
        "same_strengths": False,
        "verdict": "no clear interaction",
    }


@pytest.mark.parametrize(
    ("found", "smallest", "needed"),
    [
        (DetectableDifference(L2, 0.0456, 12345), "0.046", "12,345"),
        (DetectableDifference(L2, None, None), "out of reach", "out of reach"),
        (DetectableDifference(replace(L2, verdict=Verdict("helps")), 0.01, 4), "0.010", MISSING),
    ],
)
def test_detectable_differences(found: DetectableDifference, smallest: str, needed: str) -> None:
    (row,) = detectable_rows([found], 3)
    assert (row["diff"], row["spread"], row["smallest"], row["needed"]) == ("+0.054", "0.020", smallest, needed)


def test_the_section_on_tuning() -> None:
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["breakable"] = str
    html = render_tuning(environment, small().tuning(), QUESTION, 3)
    chosen, costs, equal_compute = (rows_of(table) for table in re.findall(r"<table.*?</table>", html, re.DOTALL))
    assert chosen["dropout"] == ["2", "lr=0.0099, dropout.p=0.6", "0.800", "0.770", "0.740", "+0.060"]
    assert costs["l2"] == ["3", "3", "6.00", "2.00", "× 2.00", "1", "1"]  # one diverged, one failed
    assert costs["none"][4] == "× 1.00"
    assert equal_compute["dropout"] == ["2 of 3", "0.720", "0.800", "different (trial 0)"]
    assert equal_compute["l2"] == ["1 of 3", MISSING, "0.710", "none"]
    assert equal_compute["none"][-1] == "the same"
    assert render_tuning(environment, None, QUESTION, 3) == ""


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the cells of each row of an HTML table, by the first cell."""
    rows = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]
    texts = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in rows]
    return {row[0]: row[1:] for row in texts}
