"""Ranges and choices: their quantiles, their config and their JSON."""

import json
import math

import pytest

from reglab.samplers.quasi_random import point
from reglab.schema.errors import ConfigError
from reglab.schema.search_space import (
    OFF_PROBABILITY,
    Choice,
    Range,
    dimension_from_json,
    dimension_to_json,
    is_dimension_json,
    parse_dimension,
)

LAST = 1 - 2**-32


def test_a_plain_range_is_even() -> None:
    dimension = Range("k", 0.0, 2.0)
    assert [dimension.quantile(share) for share in (0.0, 0.25, 0.5)] == [0.0, 0.5, 1.0]
    assert dimension.quantile(LAST) == 2.0


def test_a_logarithmic_range_is_even_in_ratios() -> None:
    dimension = Range("k", 1e-4, 1e-2, log=True)
    assert dimension.quantile(0.5) == pytest.approx(1e-3, rel=1e-12)
    assert dimension.quantile(0.0) == 1e-4
    assert dimension.quantile(LAST) == 1e-2


def test_numbers_have_four_digits_and_stay_in_the_range() -> None:
    dimension = Range("k", 0.123449, 0.2)
    assert dimension.quantile(0.3333) == 0.149
    assert dimension.quantile(0.0) == 0.123449  # rounding would be below the range


def test_an_eighth_of_the_points_are_off() -> None:
    dimension = Range("k", 1.0, 5.0, off=math.inf)
    values = [dimension.quantile(i / 800) for i in range(800)]
    assert values.count(math.inf) == 800 * OFF_PROBABILITY == 100
    assert dimension.quantile(OFF_PROBABILITY) == 1.0
    assert dimension.quantile(LAST) == 5.0


@pytest.mark.parametrize(("one", "expected"), [
    (Range("k", 2, 5, whole=True), {2: 250, 3: 250, 4: 250, 5: 250}),
    (Range("k", 3, 7, whole=True, step=2), {3: 333, 5: 333, 7: 334}),
    (Range("k", 0.1, 0.3, step=0.1), {0.1: 333, 0.2: 333, 0.3: 334}),
    (Choice("k", ("a", "b")), {"a": 500, "b": 500}),
])  # fmt: skip
def test_grids_are_even(one: Range | Choice, expected: dict[object, int]) -> None:
    values = [one.quantile((i + 0.5) / 1000) for i in range(1000)]
    counted = {value: sum(f == pytest.approx(value) if isinstance(value, float) else f == value for f in values)
               for value in expected}  # fmt: skip
    assert all(abs(counted[value] - count) <= 1 for value, count in expected.items()), counted
    assert sum(counted.values()) == 1000


def test_whole_numbers_are_whole() -> None:
    assert isinstance(Range("k", 2, 5, whole=True).quantile(0.4), int)


def test_the_edge_is_the_outer_twentieth() -> None:
    dimension = Range("k", 1e-4, 1e-2, log=True, off=0.0)
    assert [dimension.edge(v) for v in (1e-4, 1.2e-4, 1.3e-4, 1e-3, 7.9e-3, 8e-3, 1e-2)] == [
        "low", "low", None, None, None, "high", "high"
    ]  # fmt: skip
    assert dimension.edge(0.0) is None


def test_spaces_that_share_a_key_share_its_values() -> None:
    rate, p, strength = Range("optimizer.lr", 1e-4, 1e-2, log=True), Range("p", 0, 0.8), Range("s", 1e-6, 1, log=True)
    for index in range(20):
        values_of_both = point(0, (rate, p, strength), index)
        assert values_of_both == {**point(0, (rate, p), index), **point(0, (rate, strength), index)}


@pytest.mark.parametrize(
    "one",
    [
        Range("k", 1.0, 5.0, log=True, off=math.inf),
        Range("k", 2, 8, whole=True, step=2),
        Choice("k", (1, None, "a", True, math.inf)),
    ],
)
def test_a_dimension_is_read_from_json_as_it_was_written(one: Range | Choice) -> None:
    fields = json.loads(json.dumps(dimension_to_json(one), allow_nan=False))
    assert is_dimension_json(fields)
    assert dimension_from_json(fields) == one


@pytest.mark.parametrize(
    "fields",
    [
        None,
        {"key": 3, "low": 0, "high": 1},
        {"key": "k", "low": 0},
        {"key": "k", "low": None, "high": 1},
        {"key": "k", "low": 0, "high": 1, "log": "yes"},
        {"key": "k", "low": 0, "high": 1, "more": 1},
        {"key": "k", "options": []},
        {"key": "k", "options": [[1]]},
    ],
)
def test_damaged_json_is_no_dimension(fields: object) -> None:
    assert not is_dimension_json(fields)


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        (3, "study.space.k"),
        ({"low": 1, "high": 1}, "study.space.k"),
        ({"low": 0, "high": 1, "log": True}, "study.space.k.low"),
        ({"low": 0, "high": math.inf}, "study.space.k.high"),
        ({"low": 0, "high": 1, "step": 2}, "study.space.k.step"),
        ({"low": 1, "high": 2, "step": 0.5, "log": True}, "study.space.k.step"),
        ({"low": 0, "high": 1, "log": 1}, "study.space.k.log"),
        ({"low": 0, "high": 1, "lwo": 1}, "study.space.k.lwo"),
        ({"choices": []}, "study.space.k.choices"),
        ({"choices": [[1]]}, "study.space.k.choices"),
    ],
)
def test_a_wrong_spec_names_its_key(spec: object, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_dimension("k", spec)
    assert refused.value.key == key


def test_a_spec_of_whole_numbers_keeps_its_off_value() -> None:
    assert parse_dimension("k", {"low": 1, "high": 9, "int": True}, off=0) == Range("k", 1, 9, whole=True, off=0)
    assert parse_dimension("k", {"choices": [1, 2]}) == Choice("k", (1, 2))
