"""Checks of a page in a browser."""

from typing import Any


def cut_texts(page: Any) -> list[str]:
    """Texts of charts that reach out of their frame."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map(text => text.textContent);
        })"""
    )
    return found


def wide_cards(page: Any) -> int:
    """How many cards are wider than the page allows, so that they must be scrolled sideways."""
    cards = "[...document.querySelectorAll('.card')].filter(c => c.scrollWidth > c.clientWidth + 1).length"
    return int(page.evaluate(cards))
