"""Numbers and names as people say them."""

from collections.abc import Sequence


def counted(number: int, one: str, more: str = "") -> str:
    """``1 run``, ``2 runs``, ``2 strategies`` (of ``strategy``, ``strategies``)."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def shown(names: Sequence[str]) -> str:
    """Names there are to choose from: ``a, b, c``; of more than ten the first and the last four."""
    return ", ".join(names if len(names) <= 10 else [*names[:4], "...", *names[-4:]])


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
