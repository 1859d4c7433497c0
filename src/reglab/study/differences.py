"""What differs between two nested mappings, key by key, and how it is told."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

ABSENT = "-"


class Difference(NamedTuple):
    """A key (joined by dots) and its values; `ABSENT` where a side has none."""

    key: str
    then: Any
    now: Any


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """The leaves that differ, in the order of their keys; 1 and 1.0 are the same."""
    before, after = dict(_leaves(then)), dict(_leaves(now))
    both = ((key, before.get(key, ABSENT), after.get(key, ABSENT)) for key in sorted(before.keys() | after.keys()))
    return [Difference(key, old, new) for key, old, new in both if old != new]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines with their columns under each other, two blanks apart."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "\n".join(line.rstrip() for line in lines)


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping) and node:
        for name, child in node.items():
            yield from _leaves(child, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
