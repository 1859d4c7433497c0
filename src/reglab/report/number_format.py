"""Format numbers for tables and sentences: fixed decimals, a true minus sign, p values that never read 0."""

MISSING = "–"
_ZERO = 1e-7  # MLflow stores values that were float32: equal accuracies differ by less than this


def format_fixed(value: float | None, digits: int) -> str:
    """Return a number with fixed decimals, `MISSING` for None.

    >>> format_fixed(-0.5, 2)
    '−0.50'
    """
    return MISSING if value is None else f"{value:.{digits}f}".replace("-", "−")


def format_signed(value: float | None, digits: int) -> str:
    """Return a number with fixed decimals and its sign; without a sign if it is below 1e-7, which counts as zero.

    >>> format_signed(0.0004, 3), format_signed(0.0, 3)
    ('+0.000', '0.000')
    """
    if value is None:
        return MISSING
    text = f"{value:+.{digits}f}"
    return (text.lstrip("+-") if abs(value) < _ZERO else text).replace("-", "−")


def format_interval(interval: tuple[float, float] | None, digits: int, *, sign: bool = False) -> str:
    """Return an interval as ``[0.81, 0.83]``; with `sign`, as that of a difference: ``[−0.01, +0.02]``."""
    if interval is None:
        return MISSING
    low, high = ((format_signed if sign else format_fixed)(end, digits) for end in interval)
    return f"[{low}, {high}]"


def format_p(p: float | None, *, relation: bool = False) -> str:
    """Return a p value with three decimals, with four below .01, and ``<0.001`` below that.

    Args:
        p: p value in [0, 1].
        relation: whether an equals sign belongs to the text.

    >>> format_p(0.0123), format_p(0.0123, relation=True), format_p(1e-5, relation=True)
    ('0.012', '= 0.012', '< 0.001')
    """
    if p is None:
        return MISSING
    if p < 0.001:
        return "< 0.001" if relation else "<0.001"
    text = f"{p:.4f}" if p < 0.01 else f"{p:.3f}"
    text = "1" if float(text) == 1 else text
    return f"= {text}" if relation else text


def format_rank(value: float | None) -> str:
    """Return a rank: ``2``, or ``2.5`` for ties and mean ranks."""
    return MISSING if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def format_seconds(value: float | None) -> str:
    """Return seconds with two or three significant digits."""
    if value is None:
        return MISSING
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
