"""Search spaces: a range or a choice for each key, from a regularizer's YAML, a study or a stored declaration."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reglab.schema.constraints import ListOf, Satisfies, is_number
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = float | int | str | bool | None
Values = Mapping[str, Value]

OFF_PROBABILITY = 1 / 8  # share of trials in which a strength is off: tuning may disable a method
_DIGITS = 4  # significant digits of a searched number; more would be hard to type and carry no information
RANGE_KEYS = ("low", "high", "log", "int", "step")
_NUMBERS, _FLAGS = ("low", "high", "step", "off"), ("log", "whole")  # fields of `Range` in JSON


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        key: ``regularizer.dropout.p``, for example.
        low: smallest value.
        high: largest value.
        log: uniform on a logarithmic scale.
        whole: whole numbers only.
        step: distance between neighbouring values, from `low`; None for a continuous range.
        off: the value that disables the method, proposed with probability `OFF_PROBABILITY`; None: never proposed.
    """

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None
    off: float | None = None

    def quantile(self, share: float) -> Value:
        """Return the quantile for a share in [0, 1): the inverse of the distribution function, `off` included.

        >>> Range("regularizer.l2.strength", 1e-6, 1e-2, log=True, off=0.0).quantile(0.1)
        0.0
        """
        if self.off is not None:
            if share < OFF_PROBABILITY:
                return self._number(self.off)
            share = (share - OFF_PROBABILITY) / (1 - OFF_PROBABILITY)
        return self.quantile_when_on(share)

    def quantile_when_on(self, share: float) -> Value:
        """Return the quantile of the range without `off`.

        >>> Range("optimizer.lr", 1e-4, 1e-2, log=True).quantile_when_on(0.5)
        0.001
        """
        if self.step is not None:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            return self._number(self.low + self.step * min(int(share * count), count - 1))
        low, high = (self.low - 0.5, self.high + 0.5) if self.whole else (self.low, self.high)
        return self.round(low * (high / low) ** share if self.log else low + share * (high - low))

    def round(self, number: float) -> Value:
        """Return the number rounded to a value of the range: whole, or to four digits, and within its ends."""
        number = round(number) if self.whole else float(f"{number:.{_DIGITS}g}")
        return self._number(min(max(number, self.low), self.high))

    def edge(self, value: Value) -> str | None:
        """Return ``low`` or ``high`` if the value is in the outer twentieth of the range, else None."""
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        scale = math.log if self.log else float
        share = (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
        return "low" if share <= 0.05 else "high" if share >= 0.95 else None

    def _number(self, number: float) -> Value:
        return int(number) if self.whole and math.isfinite(number) else float(number)


@dataclass(frozen=True)
class Choice:
    """One of several values with equal probability.

    Attributes:
        key: ``optimizer.nesterov``, for example.
        options: the values.
    """

    key: str
    options: tuple[Value, ...]

    def quantile(self, share: float) -> Value:
        """Return the option for a share in [0, 1)."""
        return self.options[min(int(share * len(self.options)), len(self.options) - 1)]

    quantile_when_on = quantile

    def round(self, option: Value) -> Value:
        """Return the option."""
        return option

    def edge(self, value: Value) -> None:
        """Return None: a choice has no edge."""


Dimension = Range | Choice


def parse_dimension(
    key: str, spec: Any, *, off: float | None = None, whole: bool = False, where: str | None = None
) -> Dimension:
    """Return the dimension of a key from its config: a range, or a choice if the config has ``choices``.

    Args:
        key: the searched key.
        spec: ``{low: 1e-6, high: 1e-1, log: true}`` or ``{choices: [1, 2]}``.
        off: see `Range`.
        whole: the key takes whole numbers only.
        where: key of the spec, for messages; default ``study.space.<key>``.

    Raises:
        ConfigError: the range is empty, or the spec is malformed.

    >>> parse_dimension("optimizer.lr", {"low": 1e-4, "high": 1e-2, "log": True})
    Range(key='optimizer.lr', low=0.0001, high=0.01, log=True, whole=False, step=None, off=None)
    """
    where = where or f"study.space.{key}"
    if not isinstance(spec, Mapping):
        known = f" (keys of a range: {', '.join(RANGE_KEYS)})"
        example = "{low:1e-4,high:1e-2,log:true}"
        raise ConfigError(Setting(where, spec), f"must be a range, as in {example}, or null{known}")
    if "choices" in spec:
        return _parse_choice(key, spec, where)
    for name in spec:
        if name not in RANGE_KEYS:
            known = ", ".join(RANGE_KEYS)
            raise ConfigError(f"{where}.{name}", f"no such key{did_you_mean(str(name), RANGE_KEYS)} (keys: {known})")
    low, high = _range_end(spec, "low", where), _range_end(spec, "high", where)
    if not low < high:
        raise ConfigError(where, f"the range is empty: low={low:g} is not below high={high:g}", "widen it")
    for name in ("log", "int"):
        if not isinstance(spec.get(name, False), bool):
            raise ConfigError(Setting(f"{where}.{name}", spec[name]), "must be true or false")
    if spec.get("log") and low <= 0:
        raise ConfigError(Setting(f"{where}.low", f"{low:g}"), "a logarithmic range must begin above 0")
    step = spec.get("step")
    if step is not None and not (is_number(step) and 0 < step <= high - low):
        raise ConfigError(Setting(f"{where}.step", step), "must be above 0 and at most the width of the range")
    if step is not None and spec.get("log"):
        raise ConfigError(
            Setting(f"{where}.step", step), "not possible in a logarithmic range", "leave out step or log"
        )
    return Range(key, low, high, bool(spec.get("log")), whole or bool(spec.get("int")), step, off)


def _parse_choice(key: str, spec: Mapping[str, Any], where: str) -> Choice:
    options = spec["choices"]
    if not isinstance(options, list) or not options:
        raise ConfigError(Setting(f"{where}.choices", options), "must be a list of one or more values")
    if any(isinstance(option, Mapping | list) for option in options):
        raise ConfigError(Setting(f"{where}.choices", options), "must contain scalars only")
    return Choice(key, tuple(options))


def _range_end(spec: Mapping[str, Any], name: str, where: str) -> float:
    value = spec.get(name)
    if value is None or not is_number(value) or not math.isfinite(value):
        raise ConfigError(Setting(f"{where}.{name}", value), "must be a finite number")
    return float(value)


def optuna_distribution(dimension: Dimension) -> "BaseDistribution":
    """Return Optuna's distribution of a dimension, without its off value."""
    # Imported here because Optuna takes half a second to load, and configs are checked without it.
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.options)
    low, high, log, step = dimension.low, dimension.high, dimension.log, dimension.step
    if dimension.whole:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(low, high, log=log, step=step)


def value_to_json(value: Value) -> Value:
    """Return a value as JSON: infinity as ``"inf"``."""
    return str(value) if value in (math.inf, -math.inf) else value


def value_from_json(value: Any) -> Value:
    """Return the value that `value_to_json` wrote."""
    return float(value) if value in ("inf", "-inf") else value


def dimension_to_json(dimension: Dimension) -> dict[str, Any]:
    """Return the fields of a dimension as JSON values."""
    if isinstance(dimension, Choice):
        return {"key": dimension.key, "options": [value_to_json(option) for option in dimension.options]}
    return {name: value_to_json(value) for name, value in asdict(dimension).items()}


def dimension_from_json(fields: Mapping[str, Any]) -> Dimension:
    """Return the dimension that `dimension_to_json` wrote; check it with `is_dimension_json` before.

    >>> dimension_from_json({"key": "optimizer.nesterov", "options": [True, False]})
    Choice(key='optimizer.nesterov', options=(True, False))
    """
    if "options" in fields:
        return Choice(fields["key"], tuple(map(value_from_json, fields["options"])))
    arguments: dict[str, Any] = {name: value_from_json(value) for name, value in fields.items()}
    return Range(**arguments)


def is_dimension_json(fields: object) -> bool:
    """Return whether `dimension_from_json` can read the fields, which may come from a damaged store."""
    if not isinstance(fields, Mapping) or not isinstance(fields.get("key"), str):
        return False
    if "options" in fields:
        return set(fields) == {"key", "options"} and ListOf(Satisfies(_is_scalar, ""), 1).accepts(fields["options"])
    optional = [fields[name] for name in _NUMBERS[2:] if fields.get(name) is not None]
    return (
        {"low", "high"} <= set(fields) <= {"key", *_NUMBERS, *_FLAGS}
        and all(is_number(value_from_json(number)) for number in (fields["low"], fields["high"], *optional))
        and all(isinstance(fields.get(name, False), bool) for name in _FLAGS)
    )


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)
