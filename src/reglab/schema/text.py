"""Text of messages: values as they are typed, printable lines, numbers with nouns, enumerations."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST_WORD, _LONGEST_LINE = 400, 2000
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))  # they change the direction of text


def is_printable(text: str) -> bool:
    """Return whether a text has no control characters, lone surrogates or characters that change the direction."""
    return not any(_is_control(character) for character in text)


def one_line(text: str) -> str:
    """Return a text as one printable line: control characters escaped, long words and lines cut."""
    escaped = "".join(repr(c)[1:-1] if _is_control(c) else c for c in text)
    short = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda word: f"{word[0][:200]}...{word[0][-100:]}", escaped)
    half = _LONGEST_LINE // 2
    return short if len(short) <= _LONGEST_LINE else f"{short[:half]} ... {short[-half:]}"


def first_line(error: BaseException, most: int = 200) -> str:
    """Return the first line of an error's message, or its type if it has none.

    >>> first_line(ValueError("no such file\\nsee the log")), first_line(KeyboardInterrupt())
    ('no such file', 'KeyboardInterrupt')
    """
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:most]


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI


_PLAIN = re.compile(r"[A-Za-z_/][\w/.:+@-]*", re.ASCII)  # Hydra's grammar needs quotes around other letters
_WORDS = ("true", "false", "null", "nan", "inf")


def format_value(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(format_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{format_value(item)}' for key, item in value.items())}}}"
    return str(value)


def quote_value(value: Any) -> str:
    """Return a value such that Hydra's grammar reads it back: text is quoted if it could be read otherwise."""
    if isinstance(value, list):
        return f"[{','.join(quote_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{quote_value(item)}' for key, item in value.items())}}}"
    if not isinstance(value, str) or (_PLAIN.fullmatch(value) and value.lower() not in _WORDS):
        return format_value(value)
    quotes = re.sub(r"(\\*)'", r"\1\1\\'", value)  # backslashes are escaped only before a quote
    return "'" + re.sub(r"(\\+)$", r"\1\1", quotes) + "'"


def pluralize(number: int, singular: str, plural: str = "") -> str:
    """Return a number with its noun in singular or plural; `plural` is by default the singular with an s.

    >>> pluralize(1, "run"), pluralize(2, "run"), pluralize(2, "strategy", "strategies")
    ('1 run', '2 runs', '2 strategies')
    """
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def join_options(names: Sequence[str]) -> str:
    """Return options separated by commas; of more than ten the first and the last four.

    >>> join_options(["a", "b", "c"])
    'a, b, c'
    """
    return ", ".join(names if len(names) <= 10 else [*names[:4], "...", *names[-4:]])


def join_names(names: Sequence[str]) -> str:
    """Return names as an enumeration.

    >>> join_names(["a"]), join_names(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
