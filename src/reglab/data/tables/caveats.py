"""Caveats about the features of a table: row numbers, other identifiers, leaks of the target, repeated rows."""

from collections.abc import Iterator

import numpy as np

from reglab.data.tables.features import TableFeatures, leave_out, name_columns
from reglab.data.tables.target import Target
from reglab.schema.task_kinds import NUMBER_TARGETS, features_of

_LEAST_ROWS = 20  # below, coincidences are likely
_DISTINCT = 0.95  # share of rows with a unique value, at or above which whole numbers look like an identifier
_SPACED = 0.2  # largest difference between gaps of evenly spaced (rounded) numbers, as a share of the mean gap
_REPEATED = 0.1  # share of the different rows that are repeated, at or above which they are reported
_SAME = 1 - 1e-10  # correlation with a numeric target at or above which a column is a copy of it
_SENTINELS = [sign * int("9" * digits) for digits in range(2, 7) for sign in (1, -1)]
_PREVIEW_ROWS = 500  # rows that rule out most columns


def feature_caveats(features: TableFeatures, target: Target) -> Iterator[str]:
    """Report columns that look like an identifier, or that leak the target.

    Numbers that rise or fall from each row to the next, and evenly spaced fractions in any order, are reported as row
    numbers. Whole numbers that are (nearly) all different are reported as an identifier if their range is at most ten
    times the number of rows. A column leaks the target if each of its values occurs with only one class, and it has at
    most half as many different values as rows, or if it is a linear function of a numeric target. Numbers such as -999
    far from all others, days written as numbers, repeated rows of continuous columns, and data in which no feature
    varies are reported as well.

    Args:
        features: features of all rows.
        target: target of all rows.
    """
    if len(target.values) < _LEAST_ROWS:
        return
    problems: dict[str, list[str]] = {}  # columns by problem
    targets = list(target.values.reshape(len(target.values), -1).T)  # one, or one for each label
    repeats = _repeated_rows(features, targets)
    is_first = ~repeats
    if repeats.any():
        yield (
            f"{repeats.sum()} of {len(repeats)} rows repeat another row in the target and all features, so that rows "
            "of the test part may be in training too; remove the repeated rows"
        )
    numbers = NUMBER_TARGETS in features_of(target.kind)
    for name, values in (features.numbers | features.codes).items():
        numeric = name in features.numbers
        if not numbers and any(_determines(values[is_first], labels[is_first]) for labels in targets):
            problems.setdefault("each value occurs with only one class, which leaks the target", []).append(name)
        elif numeric and numbers and _is_linear(values, target.values):
            problems.setdefault("the target itself, or a linear function of it", []).append(name)
        elif numeric and (problem := _identifier(values)):
            problems.setdefault(f"{problem}; a model can learn the order of the file from it", []).append(name)
    for name, values in features.numbers.items():
        if (value := _sentinel(values)) is not None:
            yield (
                f"column {name!r}: {value:g} is far from all other values in several rows; if it stands for a "
                "missing value, empty these cells"
            )
        if _are_days(values):
            yield f"column {name!r}: looks like days written as numbers (20200131); {leave_out(name)}"
    if not any(map(_varies, [*features.numbers.values(), *features.codes.values()])):
        yield "no feature has two different values, so there is nothing to learn from"
    for problem, names in problems.items():
        remedy = leave_out(*names[:3])
        yield f"{name_columns([repr(name) for name in names])}: {problem}; if that is not a real feature, {remedy}"


def _repeated_rows(features: TableFeatures, targets: list[np.ndarray]) -> np.ndarray:
    """Return which rows repeat an earlier one, bool (rows,).

    All are False if few of the different rows are repeated, or if equal rows may be a coincidence: no numeric column
    has mostly different values.
    """
    import pandas as pd

    rows = pd.DataFrame(dict(enumerate([*features.numbers.values(), *features.codes.values(), *targets])))
    repeats: np.ndarray = rows.duplicated().to_numpy()
    different = int((~repeats).sum())
    repeated = different - int((~rows.duplicated(keep=False)).sum())
    distinct = max((len(np.unique(values[~repeats])) for values in features.numbers.values()), default=0)
    if repeated < _REPEATED * different or distinct < max(_LEAST_ROWS, different / 2):
        return np.full(len(rows), False)
    return repeats


def _identifier(values: np.ndarray) -> str | None:
    """Return a description of a numeric column that identifies rows; None if it does not."""
    if np.isnan(values).any():
        return None
    whole = (values == np.round(values)).all()
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return f"{'whole ' * bool(whole)}numbers that rise or fall with the rows' order, as row numbers do"
    if not whole and _varies(values):
        gaps = np.diff(np.sort(values))
        spaced = np.ptp(gaps) <= _SPACED * gaps.mean()
        return "evenly spaced numbers, a different one in each row, as scaled row numbers are" if spaced else None
    if not whole:
        return None
    distinct = len(np.unique(values))
    if distinct >= _DISTINCT * len(values) and np.ptp(values) <= 10 * len(values):
        return "a different whole number in each row, as an identifier has"
    return None


def _varies(values: np.ndarray) -> bool:
    return bool((values != values[0]).any())  # NaN differs from itself


def _sentinel(values: np.ndarray) -> float | None:
    """Return a number such as -999 in several rows, further from the others than these are from each other."""
    for end in (np.nanmin(values), np.nanmax(values)):
        if end in _SENTINELS and (values == end).sum() > 1:
            others = values[(values != end) & ~np.isnan(values)]
            if len(others) > 1 and np.abs(others - end).min() > 2 * np.ptp(others) > 0:
                return float(end)
    return None


def _are_days(values: np.ndarray) -> bool:
    """Return whether all values are days in ISO 8601 without dashes (20200131), not all the same."""
    given = values[~np.isnan(values)]
    if not (len(given) and 19000101 <= given.min() < given.max() <= 21001231 and (given == np.round(given)).all()):
        return False
    days = given.astype(np.int64)
    return bool(((days % 100 >= 1) & (days % 100 <= 31) & (days // 100 % 100 >= 1) & (days // 100 % 100 <= 12)).all())


def _is_linear(values: np.ndarray, target: np.ndarray) -> bool:
    """Return whether the target is a linear function of a column."""
    if np.isnan(values).any() or np.ptp(values) == 0:
        return False
    return bool(abs(np.corrcoef(values, target)[0, 1]) >= _SAME)


def _determines(values: np.ndarray, classes: np.ndarray, *, any_number: bool = False) -> bool:
    """Return whether each value occurs with only one class.

    False for a single value, and if more than half of the values are different, unless `any_number` is set.
    """
    if len(values) > 2 * _PREVIEW_ROWS and not _determines(
        values[:_PREVIEW_ROWS], classes[:_PREVIEW_ROWS], any_number=True
    ):
        return False
    _, codes = np.unique(values, return_inverse=True)
    distinct = int(codes.max()) + 1
    if not any_number and not 1 < distinct <= len(values) / 2:
        return False
    return len(np.unique(codes * (int(classes.max()) + 1) + classes)) == distinct
