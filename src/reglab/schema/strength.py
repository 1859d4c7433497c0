"""Strengths of regularizers: each is fully described by its declaration on the class."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, overload

from reglab.schema.constraints import BELOW_1, as_float32, describe_range, is_finite, is_number
from reglab.schema.errors import ConfigError, Setting

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Search:
    """The range in which a study searches a strength.

    Args:
        low, high: ends, inclusive.
        log: whether equal ratios are equally likely, instead of equal differences.
        step: distance between searched values; None: any number (or any whole number).
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def to_spec(self) -> dict[str, Any]:
        """Return the range as a config writes it.

        >>> Search(1e-6, 1e-2, log=True).to_spec()
        {'low': 1e-06, 'high': 0.01, 'log': True}
        """
        ends = {"low": self.low, "high": self.high}
        return ends | ({"log": True} if self.log else {}) | ({"step": self.step} if self.step else {})


@dataclass(frozen=True)
class Strength:
    """Declaration of a strength, as a class variable of a regularizer; on an object it is the buffer of that name.

    Args:
        default: value of ``conf/regularizer/<name>.yaml``.
        search: range in which studies search it.
        minimum, maximum: bounds, inclusive; an infinite value is accepted only if it is `off`. For an open end give
            `ABOVE_0` or `BELOW_1`.
        off: value at which the method has exactly no effect; None if there is none.
        whole: whole numbers only.
        disables: whether its off value alone disables the method, whatever the other strengths are. If no strength of
            a method declares it, all have to be off.
        effect: effect of the strength, in words. Two strengths with equal effects are reported.
        on_inputs: whether it makes the method act on the model's inputs, so that any model will do.
        probe: value at which the method changes the first training step, if ordinary values may not (a bound that is
            not reached); None: `reglab.training.effect_guard` uses one well within the bounds.

    Example:
        >>> class L1(Regularizer):  # doctest: +SKIP
        ...     strength = Strength(default=1e-4, search=Search(1e-6, 1e-2, log=True), minimum=0.0, off=0.0)
        >>> L1(1e-3).strength  # doctest: +SKIP
        tensor(0.0010)
    """

    default: float
    search: Search
    minimum: float = 0.0
    maximum: float = math.inf
    off: float | None = 0.0
    whole: bool = False
    disables: bool = False
    effect: str = ""
    on_inputs: bool = False
    probe: float | None = None
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        object.__setattr__(self, "name", name)

    @overload
    def __get__(self, instance: None, owner: type) -> "Strength": ...
    @overload
    def __get__(self, instance: object, owner: type) -> "Tensor": ...
    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        try:
            return instance._buffers[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    @property
    def description(self) -> str:
        """The accepted values in words, after "must be"."""
        words = ["" if math.inf == self.off else "finite", "whole" if self.whole else "", "number"]
        return f"a {' '.join(filter(None, words))}{describe_range(self.minimum, self.maximum)}"

    def problem(self) -> str:
        """Return a contradiction in the declaration, in words; empty if there is none.

        >>> Strength(0.5, Search(1.0, 0.01)).problem()
        'a search range from 1 to 0.01'
        """
        if not self.minimum <= self.maximum:
            return f"a minimum of {self.minimum:g} above its maximum of {self.maximum:g}"
        low, high = self.search.low, self.search.high
        if not low < high or (self.search.log and low <= 0):
            return f"a {'logarithmic ' if self.search.log else ''}search range from {low:g} to {high:g}"
        for role, value in (("default", self.default), ("search", low), ("search", high), ("probe", self.probe)):
            if value is not None and not self.accepts(value):
                return f"{role}={value:g}, and it must be {self.description}"
        return ""

    def accepts(self, value: Any) -> bool:
        """Return whether the value is within the bounds, finite or the off value, and whole if it has to be."""
        if not is_number(value) or not self.minimum <= value <= self.maximum:
            return False
        return not self.whole or value % 1 == 0 if is_finite(value) else value == self.off

    def check(self, key: str, value: Any) -> None:
        """Raise ConfigError if the value, or the float32 that torch makes of it, is not accepted.

        Args:
            key: key with its sections, ``regularizer.l1.strength``.
            value: configured value.
        """
        where = Setting(key, value)
        if value in (".inf", "-.inf"):
            raise ConfigError(where, "must be written as inf on the command line")
        if not self.accepts(value):
            hint = ""
            if is_finite(value) and value and as_float32(value) in (0, math.inf, -math.inf):
                hint = f" (as a float32 it is {as_float32(value):g})"
            raise ConfigError(where, f"must be {self.description}{hint}")
        stored = as_float32(value)
        if not self.accepts(stored) or (stored == 0 and value != 0):
            raise ConfigError(where, f"is {stored:g} as a float32, and must be {self.description}")

    def replace(self, **changes: Any) -> "Strength":
        """Return the declaration with some fields changed, for a subclass."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """Return all fields as JSON values."""
        return {**asdict(self), "maximum": str(self.maximum), "off": None if self.off is None else str(self.off)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Strength":
        """Return the declaration that `to_json` wrote."""
        off = plain["off"]
        read = {"search": Search(**plain["search"]), "maximum": float(plain["maximum"])}
        return cls(**{**plain, **read, "off": None if off is None else float(off)})


def probability(default: float, low: float, high: float, **fields: Any) -> Strength:
    """Declare a probability in [0, 1) that is off at 0.

    Args:
        default, low, high: the default, and the ends of the search range.
        fields: others of `Strength`.
    """
    return Strength(default, Search(low, high), maximum=BELOW_1, **fields)


def coefficient(default: float, low: float, high: float, **fields: Any) -> Strength:
    """Declare a number of 0 or more that is off at 0 and searched on a logarithmic scale, such as that of a penalty.

    Args:
        default, low, high: the default, and the ends of the search range.
        fields: others of `Strength`.
    """
    return Strength(default, Search(low, high, log=True), **fields)
