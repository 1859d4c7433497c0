"""Suggestions for mistyped names, and errors that contain them."""

from collections.abc import Iterable
from difflib import get_close_matches

from reglab.schema.errors import ConfigError, Setting


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word closest to a word, whatever its case; None if none is close.

    >>> nearest("val/f1", ["val/r2", "val/f1_macro"]), nearest("dropuot", ["dropout", "l2"]), nearest("x", ["l2"])
    ('val/f1_macro', 'dropout', None)
    """
    by_lower = {name.lower(): name for name in reversed(list(known))}  # the first of names that differ in case
    lower = word.lower()
    if len(word) > 2 and (longer := [name for name in by_lower if name.startswith(lower)]):
        return by_lower[min(longer, key=len)]
    close = get_close_matches(lower, by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean dropout?``; empty if no known word is close."""
    near = nearest(word, known)
    return f"; did you mean {near}?" if near else ""


def no_such_option_error(where: Setting, known: Iterable[str]) -> ConfigError:
    """Return the error for a choice that does not exist, with the nearest and all choices."""
    options = sorted(known)
    hint = did_you_mean(str(where.value), options)
    return ConfigError(where, f"no such option{hint} (choose from {', '.join(options)})")


def not_in_strategy_error(where: Setting | str, problem: str, name: str) -> ConfigError:
    """Return the error for a strength whose regularizer is not chosen."""
    return ConfigError(where, problem, f"add regularizer={name}")


def section_error(where: Setting | str, keys: Iterable[str]) -> ConfigError:
    """Return the error for a value that is set where a section has keys.

    Args:
        where: the setting.
        keys: whole keys of the section; empty: unknown.
    """
    return ConfigError(where, "is a section, not a value", f"set {' or '.join(keys) or 'its keys'}")
