"""What is searched: a range or a choice for each key, as a regularizer's YAML or a study gives it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.rules import is_number
from reglab.schema.suggest import did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = float | int | str | bool | None

OFF_SHARE = 1 / 8  # of the points, where a strength can be off: tuning may find that a method is better left out
_DIGITS = 4  # of a searched number: more says nothing, and these can be typed again
_KEYS = ("low", "high", "log", "int", "step")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both allowed.

    Attributes:
        key: what is searched, ``regularizer.dropout.p``.
        log: whether equal ratios are equally likely, and not equal differences.
        whole: whole numbers only.
        step: from `low` in such steps; None for all numbers.
        off: the value that stands for "not at all" and takes `OFF_SHARE` of the points; None: it never comes.
    """

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None
    off: float | None = None

    def at(self, place: float) -> Value:
        """The value at a place in [0, 1): the inverse of its distribution function."""
        if self.off is not None:
            if place < OFF_SHARE:
                return self._number(self.off)
            place = (place - OFF_SHARE) / (1 - OFF_SHARE)
        return self.between(place)

    def between(self, place: float) -> Value:
        """The value at a place in [0, 1) of the range alone."""
        if self.step is not None:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            return self._number(self.low + self.step * min(int(place * count), count - 1))
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        return self.nearest(low * (high / low) ** place if self.log else low + place * (high - low))

    def nearest(self, number: float) -> Value:
        """The value of the range that stands for a number: whole, or with as many digits as say something."""
        number = round(number) if self.whole else float(f"{number:.{_DIGITS}g}")
        return self._number(min(max(number, self.low), self.high))

    def edge(self, value: Value) -> str | None:
        """``low`` or ``high`` where the value lies in the outer twentieth of the range, else None."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        scale = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return "low" if share <= 0.05 else "high" if share >= 0.95 else None

    def _number(self, number: float) -> Value:
        return int(number) if self.whole and math.isfinite(number) else float(number)


@dataclass(frozen=True)
class Choice:
    """One of some values, all equally likely."""

    key: str
    options: tuple[Value, ...]

    def at(self, place: float) -> Value:
        """The option at a place in [0, 1)."""
        return self.options[min(int(place * len(self.options)), len(self.options) - 1)]

    between = at

    def nearest(self, option: Value) -> Value:
        """The option itself."""
        return option

    def edge(self, value: Value) -> None:
        """A choice has no edge."""


Dimension = Range | Choice


def dimension(key: str, told: Any, *, off: float | None = None, whole: bool = False, where: str) -> Dimension:
    """The range ``{low: 1e-6, high: 1e-1, log: true}`` or the choice ``{choices: [1, 2]}`` of a key, which wins.

    Args:
        key: what is searched.
        told: as in the config.
        off: see `Range`.
        whole: whether the key takes whole numbers alone.
        where: what the config calls it, for messages.

    Raises:
        ConfigError: nothing can come of it, or it is no such thing.
    """
    if not isinstance(told, Mapping):
        raise ConfigError(Setting(where, told), "must be a range, as in {low:1e-4,high:1e-2,log:true}, or null")
    if "choices" in told:
        return _choice(key, told, where)
    for name in told:
        if name not in _KEYS:
            raise ConfigError(
                f"{where}.{name}", f"no such key{did_you_mean(str(name), _KEYS)} (keys: {', '.join(_KEYS)})"
            )
    low, high = _end(told, "low", where), _end(told, "high", where)
    if not low < high:
        raise ConfigError(where, f"holds no value, for low={low:g} is not below high={high:g}", "widen it")
    for name in ("log", "int"):
        if not isinstance(told.get(name, False), bool):
            raise ConfigError(Setting(f"{where}.{name}", told[name]), "must be true or false")
    if told.get("log") and low <= 0:
        raise ConfigError(Setting(f"{where}.low", f"{low:g}"), "a logarithmic range must begin above 0")
    step = told.get("step")
    if step is not None and not (is_number(step) and 0 < step <= high - low):
        raise ConfigError(Setting(f"{where}.step", step), "must be above 0 and at most the width of the range")
    if step is not None and told.get("log"):
        raise ConfigError(Setting(f"{where}.step", step), "steps are equal differences", "leave out step or log")
    return Range(key, low, high, bool(told.get("log")), whole or bool(told.get("int")), step, off)


def optuna_distribution(one: Dimension) -> "BaseDistribution":
    """Return Optuna's distribution of a dimension, without its off value."""
    # Imported here because Optuna takes half a second to load, and configs are checked without it.
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(one, Choice):
        return CategoricalDistribution(one.options)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _choice(key: str, told: Mapping[str, Any], where: str) -> Choice:
    options = told["choices"]
    if not isinstance(options, list) or not options:
        raise ConfigError(Setting(f"{where}.choices", options), "must be a list of one or more values")
    if any(isinstance(option, Mapping | list) for option in options):
        raise ConfigError(Setting(f"{where}.choices", options), "must hold single values")
    return Choice(key, tuple(options))


def _end(told: Mapping[str, Any], name: str, where: str) -> float:
    value = told.get(name)
    if value is None or not is_number(value) or not math.isfinite(value):
        raise ConfigError(Setting(f"{where}.{name}", value), "must be a finite number")
    return float(value)
