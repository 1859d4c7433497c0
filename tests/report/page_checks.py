"""Layout checks of a page in a browser."""

from typing import Any


def cut_texts(page: Any) -> list[str]:
    """Return texts of charts that extend beyond their frame."""
    texts: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('svg')].flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            return [...svg.querySelectorAll('text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < frame.left - 1 || box.right > frame.right + 1
                    || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            }).map(text => text.textContent);
        })"""
    )
    return texts


def wide_cards(page: Any) -> int:
    """Return the number of cards that are wider than the page and scroll horizontally."""
    cards = "[...document.querySelectorAll('.card')].filter(c => c.scrollWidth > c.clientWidth + 1).length"
    return int(page.evaluate(cards))
