"""How numbers are written: as many decimals as the spread deserves, a true minus sign, p values that do not say 0."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reglab.report.leaderboard import Line

NONE = "–"
_NOTHING = 1e-7  # MLflow keeps what was a float32: equal accuracies differ by less


def decimals(lines: "Sequence[Line]") -> int:
    """Decimals that tell to a fifth at least what is told, the same for a whole table (0 to 6).

    That is the typical spread, and where it is smaller (data sets differ more than strategies do on each) the typical
    half width of an interval of a difference.
    """
    spreads = [line.std for line in lines if line.std]
    widths = [(line.diff_interval[1] - line.diff_interval[0]) / 2 for line in lines if line.diff_interval]
    least = min((typical for some in (spreads, widths) if (typical := _middle(some))), default=None)
    if least is not None:
        return min(6, max(0, math.ceil(math.log10(5 / least))))
    sizes = [abs(line.mean) for line in lines if line.mean]
    return min(6, max(0, 3 - math.floor(math.log10(max(sizes))) - 1)) if sizes else 3


def _middle(values: Sequence[float]) -> float | None:
    positive = sorted(value for value in values if value > 0)
    return positive[len(positive) // 2] if positive else None


def fixed(value: float | None, digits: int) -> str:
    """`-0.5` as `−0.50` with two digits; a dash for None."""
    return NONE if value is None else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int) -> str:
    """As `fixed`, with a plus sign before what is positive: also where nothing else of it is left (`+0.000`)."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}"
    return (text.lstrip("+-") if abs(value) < _NOTHING else text).replace("-", "−")


def between(interval: tuple[float, float] | None, digits: int, *, sign: bool = False) -> str:
    """`[0.81, 0.83]`, with signs where it is the interval of a difference."""
    if interval is None:
        return NONE
    low, high = ((signed if sign else fixed)(end, digits) for end in interval)
    return f"[{low}, {high}]"


def p_value(p: float | None, *, sign: bool = False) -> str:
    """Three decimals, two digits below .01, `<0.001` below that; with `sign`, `= 0.012` or `< 0.001`."""
    if p is None:
        return NONE
    if p < 0.001:
        return "< 0.001" if sign else "<0.001"
    text = f"{p:.4f}" if p < 0.01 else f"{p:.3f}"
    text = "1" if float(text) == 1 else text
    return f"= {text}" if sign else text


def rank(value: float | None) -> str:
    """`2`, or `2.5` where equals share a rank or ranks are means."""
    return NONE if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def seconds(value: float | None) -> str:
    """Seconds with two or three digits."""
    if value is None:
        return NONE
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
