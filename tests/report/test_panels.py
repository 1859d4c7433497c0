"""Panels of small multiples are placed row by row, in inches."""

import pytest

from reglab.report.charts import style
from reglab.report.charts.style import COLUMNS, LEFT, is_leftmost, is_lowest, label_axes, panel_grid, set_panel_ticks


def grid(count: int, **options: float):
    with style.chart_style():
        return panel_grid([f"panel {i}" for i in range(count)], ["black"] * count, {}, **options)


def test_panels_are_in_columns_of_equal_size() -> None:
    figure, panels = grid(COLUMNS + 1, panel_height=1.5)
    width, height = figure.get_size_inches()
    boxes = [panel.get_position() for panel in panels]
    assert width == style.WIDTH
    assert {round(box.height * height, 6) for box in boxes} == {1.5}
    assert len({round(box.width, 6) for box in boxes}) == 1
    assert boxes[0].x0 * width == pytest.approx(LEFT)
    assert boxes[0].x0 == boxes[COLUMNS].x0
    assert boxes[COLUMNS].y1 < boxes[0].y0
    assert boxes[COLUMNS - 1].x1 <= 1


def test_a_single_panel_has_the_maximal_width() -> None:
    figure, (panel,) = grid(1, max_width=2.0)
    assert panel.get_position().width * figure.get_size_inches()[0] == pytest.approx(2.0)


def test_margins_and_gaps_add_to_the_height() -> None:
    plain, _ = grid(COLUMNS + 1)
    spaced, _ = grid(COLUMNS + 1, top_margin=0.3, bottom_margin=0.2, row_gap=0.1)
    assert spaced.get_size_inches()[1] - plain.get_size_inches()[1] == pytest.approx(0.3 + 0.2 + 2 * 0.1)


def test_labels_are_at_the_left_and_below() -> None:
    assert [number for number in range(2 * COLUMNS) if is_leftmost(number)] == [0, COLUMNS]
    count = COLUMNS + 1
    assert [number for number in range(count) if is_lowest(number, count)] == list(range(1, count))
    figure, panels = grid(count, bottom_margin=0.5)
    label_axes(figure, "step", "loss", bottom_margin=0.5)
    x, y = figure.texts
    assert x.get_position()[1] < panels[-1].get_position().y0
    assert y.get_position()[0] < panels[0].get_position().x0


def test_panels_without_labels_have_no_axis() -> None:
    _, (first, second) = grid(2)
    set_panel_ticks(first, [0, 1], [0.5], labelled=True)
    set_panel_ticks(second, [], [0.5], labelled=False)
    assert list(first.get_xticks()) == [0, 1]
    assert list(first.get_yticks()) == [0.5]
    assert not second.xaxis.get_visible()
    assert not second.yaxis.get_visible()
