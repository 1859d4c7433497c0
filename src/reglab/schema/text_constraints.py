"""Constraints on text: names, labels, columns, paths, classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reglab.schema.constraints import Constraint, ListOf, is_finite, is_number
from reglab.schema.text import is_printable


@dataclass(frozen=True)
class Text(Constraint):
    """One line of printable text that is not blank.

    Args:
        maximum: largest number of characters.
    """

    maximum: int = 250

    @property
    def description(self) -> str:
        return f"text of at most {self.maximum} characters without control characters (write a number as \"'7'\")"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and bool(value.strip()) and len(value) <= self.maximum and is_printable(value)


@dataclass(frozen=True)
class Label(Constraint):
    """Text that names something; no URI, because its password would be stored with the name."""

    @property
    def description(self) -> str:
        return f"{Text().description}, and not a URI (set tracking.uri for that)"

    def accepts(self, value: Any) -> bool:
        return Text().accepts(value) and "://" not in value


@dataclass(frozen=True)
class ColumnName(Constraint):
    """The name of a column: text, or a number, since the command line parses digits as a number."""

    @property
    def description(self) -> str:
        return "a name of at most 250 characters"

    def accepts(self, value: Any) -> bool:
        return Text().accepts(value) or is_finite(value)


@dataclass(frozen=True)
class ColumnNames(Constraint):
    """The name of a column, or a list of two or more different ones."""

    @property
    def description(self) -> str:
        return "a name of at most 250 characters, or a list of two or more, all different"

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, list):
            return ColumnName().accepts(value)
        return ListOf(ColumnName(), 2).accepts(value) and len(set(map(str, value))) == len(value)


@dataclass(frozen=True)
class Fold(Constraint):
    """The name of a fold: a number, a word or a boolean."""

    @property
    def description(self) -> str:
        return "a number or a word"

    def accepts(self, value: Any) -> bool:
        return is_number(value) or isinstance(value, bool) or (isinstance(value, str) and bool(value.strip()))


@dataclass(frozen=True)
class KeysWithValues(Constraint):
    """A mapping."""

    @property
    def description(self) -> str:
        return "keys with values, as in {key:value}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, Mapping)


@dataclass(frozen=True)
class NameOrPath(Constraint):
    """One of some words, an existing file or folder, or a name on the Hugging Face hub (``organization/model``).

    Args:
        names: the words.
    """

    names: tuple[str, ...]

    @property
    def description(self) -> str:
        return f"{', '.join(self.names)}, the path of a file or folder, or a name on the hub (organization/name)"

    @property
    def options(self) -> tuple[str, ...]:
        return self.names

    def accepts(self, value: Any) -> bool:
        if value in self.names:
            return True
        if not Text(4000).accepts(value):
            return False
        on_hub = value.count("/") == 1 and not value.startswith(("/", ".", "~"))
        return on_hub or Path(value).expanduser().exists()


@dataclass(frozen=True)
class ClassPath(Constraint):
    """A class with its module."""

    @property
    def description(self) -> str:
        return "a class with its module, as in torch.optim.SGD"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and "." in value and all(part.isidentifier() for part in value.split("."))


PATH = Text(4000)  # Linux takes shorter file names
