"""Numbers and names as people say them."""

from collections.abc import Sequence


def counted(number: int, one: str, more: str = "") -> str:
    """``1 run``, ``2 runs``, ``2 strategies`` (of ``strategy``, ``strategies``)."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
