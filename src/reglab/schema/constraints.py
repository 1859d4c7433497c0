"""Constraints on the value of a key: what it accepts, and how an error describes it.

Constraints are plain data, so that the index of declarations (`reglab.schema.index`) can contain them.
"""

import math
import struct
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean

# Open ends of a range. The smallest normal number and not the next float, because torch can be set to
# treat those in between as 0 (torch.set_flush_denormal).
ABOVE_0 = sys.float_info.min
BELOW_1 = math.nextafter(1.0, 0.0)

INT32_MAX = 2**31 - 1
_LONGEST_LIST = 10_000
_MANY_OPTIONS = 12  # an error lists at most this many


class Constraint(ABC):
    """The values that a key accepts."""

    @property
    @abstractmethod
    def description(self) -> str:
        """The accepted values in words, after "must be"."""

    @property
    def options(self) -> tuple[str, ...]:
        """The accepted names, for suggestions; empty if the values are not names."""
        return ()

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """Return whether the value is accepted. Never raises."""

    def check(self, key: str, value: Any) -> None:
        """Raise ConfigError if the value is not accepted.

        >>> Integer(1).check("trainer.max_epochs", 0)
        Traceback (most recent call last):
        reglab.schema.errors.ConfigError: trainer.max_epochs=0: must be a whole number of 1 or more
        """
        if self.accepts(value):
            return
        hint = did_you_mean(str(value)[:80], self.options) if self.options else ""
        if is_finite(value) and value and as_float32(value) in (0, math.inf, -math.inf):
            hint = f" (as a float32 it is {as_float32(value):g})"
        if hint and len(self.options) > _MANY_OPTIONS:
            raise ConfigError(Setting(key, value), f"no such option{hint}")
        raise ConfigError(Setting(key, value), f"must be {self.description}{hint}")


@dataclass(frozen=True)
class Integer(Constraint):
    """A whole number.

    Args:
        minimum: smallest accepted value.
        maximum: largest accepted value; None: the largest 32-bit integer.
        odd: odd numbers only.
    """

    minimum: int
    maximum: int | None = None
    odd: bool = False

    @property
    def description(self) -> str:
        kind = "an odd whole number" if self.odd else "a whole number"
        return f"{kind} of {self.minimum} or more" + (f", at most {self.maximum}" if self.maximum is not None else "")

    def accepts(self, value: Any) -> bool:
        highest = INT32_MAX if self.maximum is None else self.maximum
        return is_integer(value) and self.minimum <= value <= highest and (value % 2 == 1 or not self.odd)


@dataclass(frozen=True)
class Real(Constraint):
    """A finite number that neither overflows nor underflows in float32.

    Args:
        minimum, maximum: inclusive bounds; for an open bound give `ABOVE_0` or `BELOW_1`.
    """

    minimum: float = -math.inf
    maximum: float = math.inf

    @property
    def description(self) -> str:
        return f"a finite number{describe_range(self.minimum, self.maximum)}"

    def accepts(self, value: Any) -> bool:
        if not is_finite(value) or not self.minimum <= value <= self.maximum:
            return False
        return math.isfinite(as_float32(value)) and (as_float32(value) != 0 or value == 0)


class OneOf(Constraint):
    """One of some words."""

    def __init__(self, *options: str) -> None:
        self._options = options

    @property
    def options(self) -> tuple[str, ...]:
        return self._options

    @property
    def description(self) -> str:
        return f"one of {', '.join(self.options)}"

    def accepts(self, value: Any) -> bool:
        return value in self.options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneOf) and self.options == other.options

    def __hash__(self) -> int:
        return hash(self.options)


@dataclass(frozen=True)
class Boolean(Constraint):
    """True or false."""

    @property
    def description(self) -> str:
        return "true or false"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


@dataclass(frozen=True)
class Nullable(Constraint):
    """Null, or a value that another constraint accepts.

    Args:
        inner: the other constraint.
        meaning: meaning of null, for the description.
    """

    inner: Constraint
    meaning: str = ""

    @property
    def description(self) -> str:
        return f"{self.inner.description}, or null" + (f" ({self.meaning})" if self.meaning else "")

    @property
    def options(self) -> tuple[str, ...]:
        return self.inner.options

    def accepts(self, value: Any) -> bool:
        return value is None or self.inner.accepts(value)


@dataclass(frozen=True)
class ListOf(Constraint):
    """A list whose items another constraint accepts.

    Args:
        item: constraint of each item.
        minimum: smallest number of items.
        maximum: largest number of items; None: 10,000.
    """

    item: Constraint
    minimum: int = 0
    maximum: int | None = None

    @property
    def description(self) -> str:
        head = f"a list of {self.minimum} or more" if self.minimum else "a list"
        end = "" if self.maximum is None else f"; at most {self.maximum} of them"
        return f"{head}, each {self.item.description}{end}"

    def accepts(self, value: Any) -> bool:
        highest = self.maximum or _LONGEST_LIST
        return (
            isinstance(value, list)
            and self.minimum <= len(value) <= highest
            and all(self.item.accepts(item) for item in value)
        )


@dataclass(frozen=True)
class Described(Constraint):
    """Another constraint with its own description.

    Args:
        inner: the other constraint.
        words: the accepted values in words.
    """

    inner: Constraint
    words: str

    @property
    def description(self) -> str:
        return self.words

    @property
    def options(self) -> tuple[str, ...]:
        return self.inner.options

    def accepts(self, value: Any) -> bool:
        return self.inner.accepts(value)


@dataclass(frozen=True)
class Satisfies(Constraint):
    """Values that a function accepts. For keys of pipelines only: the index cannot contain a function.

    Args:
        test: function of a value, true if the value is accepted.
        words: the accepted values in words.
        names: accepted names, for suggestions.
    """

    test: Callable[[Any], bool]
    words: str
    names: tuple[str, ...] = ()

    @property
    def description(self) -> str:
        return self.words

    @property
    def options(self) -> tuple[str, ...]:
        return self.names

    def accepts(self, value: Any) -> bool:
        return self.test(value)


Constraints = Mapping[str, Constraint]
"""Constraints by key."""


def check_values(constraints: Constraints, values: Mapping[str, Any]) -> None:
    """Check each key that is present; keys without a constraint pass.

    Args:
        constraints: constraint of each dotted key.
        values: nested, as in a config.

    Raises:
        ConfigError: of the first value that is not accepted.
    """
    for key, constraint in constraints.items():
        node: Any = values
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                break
            node = node[part]
        else:
            constraint.check(key, node)


def describe_range(low: float, high: float) -> str:
    """Return `` at least 0 and below 1``; empty without ends.

    >>> describe_range(ABOVE_0, 1.0)
    ' above 0 and at most 1'
    """
    parts = []
    if low > -math.inf:
        parts.append("above 0" if low == ABOVE_0 else f"at least {low:g}")
    if high < math.inf:
        parts.append("below 1" if high == BELOW_1 else f"at most {high:g}")
    return f" {' and '.join(parts)}" if parts else ""


def is_number(value: Any) -> bool:
    """Return whether a value is a finite or infinite number; not for booleans and NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def is_finite(value: Any) -> bool:
    """Return whether a value is a number in the range of a float."""
    return is_number(value) and abs(value) <= sys.float_info.max


def is_integer(value: Any) -> bool:
    """Return whether a value is an int; not for booleans."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_float32(value: float) -> float:
    """Return the value after rounding to float32.

    >>> as_float32(0.99999999), as_float32(1e39), as_float32(1e-46)
    (1.0, inf, 0.0)
    """
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.inf if value > 0 else -math.inf


# Constraints that several declarations use.
SEED = Integer(0, 2**63 - 1)  # the range of torch's generators
WORKERS = Integer(1, 1024)
POSITIVE = Real(ABOVE_0)
DEEPEST = 1000  # layers of a network
_MOST_PIXELS = 4096  # largest side of an image
IMAGE_SIZE = Nullable(
    Described(ListOf(Integer(1, _MOST_PIXELS), 2, 2), f"[height,width] in pixels, each at most {_MOST_PIXELS}")
)
