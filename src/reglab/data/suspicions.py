"""Checks for suspicious feature columns: row numbers, other identifiers, and copies of the target."""

from collections.abc import Iterator

import numpy as np

from reglab.data.columns import Columns, columns_named, leave_out
from reglab.data.target import Target

LEAST_ROWS = 20  # below, coincidences are likely
DISTINCT = 0.95  # share of rows with a unique value, from which on whole numbers look like an identifier
SPACED = 0.2  # largest difference between gaps of evenly spaced (rounded) numbers, as a share of the mean gap
REPEATED = 0.1  # share of the different rows that are repeated, from which on they are reported
SAME = 1 - 1e-10  # correlation with a numeric target from which on a column is a copy of it


def suspicions(columns: Columns, target: Target) -> Iterator[str]:
    """Report columns that look like an identifier, or that leak the target.

    Numbers that rise or fall from each row to the next, and evenly spaced fractions in any order, are reported as row
    numbers. Whole numbers that are (nearly) all different are reported as an identifier if their range is at most ten
    times the number of rows. A column leaks the target if each of its values occurs with only one class, and it has at
    most half as many different values as rows, or if it is a linear function of a numeric target. Numbers such as -999
    far from all others, days written as numbers, repeated rows of continuous columns, and data in which no feature
    varies are reported as well.

    Args:
        columns: the features.
        target: encoded.
    """
    if len(target.values) < LEAST_ROWS:
        return
    found: dict[str, list[str]] = {}
    codes = {name: codes for name, (codes, _) in columns.categories.items()}
    repeats = _repeats(columns, [*codes.values(), target.values])
    once = ~repeats
    if repeats.any():
        yield (
            f"{repeats.sum()} of {len(repeats)} rows repeat another row in the target and all features, so that rows "
            "of the test part may be in training too; remove the repeated rows"
        )
    for name, values in (columns.values | codes).items():
        numeric = name in columns.values
        if target.kind == "classification" and _determines(values[once], target.values[once]):
            found.setdefault("each value occurs with only one class, which leaks the target", []).append(name)
        elif numeric and target.kind == "regression" and _is_linear(values, target.values):
            found.setdefault("the target itself, or a linear function of it", []).append(name)
        elif numeric and (what := _identifier(values)):
            found.setdefault(f"{what}; a model can learn the order of the file from it", []).append(name)
    for name, values in columns.values.items():
        if (value := _sentinel(values)) is not None:
            yield (
                f"column {name!r}: {value:g} lies far from all other values in several rows; where it stands for a "
                "missing value, empty these cells"
            )
        if _are_days(values):
            yield f"column {name!r}: looks like days written as numbers (20200131); {leave_out(name)}"
    if not any(map(_varies, [*columns.values.values(), *codes.values()])):
        yield "no feature has two different values, so there is nothing to learn from"
    for what, names in found.items():
        remedy = leave_out(*names[:3])
        yield f"{columns_named([repr(name) for name in names])}: {what}; if that is no real feature, {remedy}"


def _repeats(columns: Columns, others: list[np.ndarray]) -> np.ndarray:
    """Return which rows repeat an earlier one, bool (rows,).

    None if few of the different rows are repeated, or if equal rows may be a coincidence: no numeric column has mostly
    different values.
    """
    import pandas as pd

    rows = pd.DataFrame(dict(enumerate([*columns.values.values(), *others])))
    repeats: np.ndarray = rows.duplicated().to_numpy()
    different = int((~repeats).sum())
    repeated = different - int((~rows.duplicated(keep=False)).sum())
    distinct = max((len(np.unique(values[~repeats])) for values in columns.values.values()), default=0)
    if repeated < REPEATED * different or distinct < max(LEAST_ROWS, different / 2):
        return np.full(len(rows), False)
    return repeats


def _identifier(values: np.ndarray) -> str | None:
    if np.isnan(values).any():
        return None
    whole = (values == np.round(values)).all()
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return f"{'whole ' * bool(whole)}numbers that rise or fall with the rows' order, as row numbers do"
    if not whole and _varies(values):
        gaps = np.diff(np.sort(values))
        spaced = np.ptp(gaps) <= SPACED * gaps.mean()
        return "evenly spaced numbers, another in each row, as scaled row numbers are" if spaced else None
    if not whole:
        return None
    distinct = len(np.unique(values))
    if distinct >= DISTINCT * len(values) and np.ptp(values) <= 10 * len(values):
        return "another whole number in each row, as an identifier has"
    return None


def _varies(values: np.ndarray) -> bool:
    return bool((values != values[0]).any())  # NaN differs from itself


SENTINELS = [sign * int("9" * digits) for digits in range(2, 7) for sign in (1, -1)]


def _sentinel(values: np.ndarray) -> float | None:
    """A number such as -999 in several rows, further from the others than these are from each other."""
    for end in (np.nanmin(values), np.nanmax(values)):
        if end in SENTINELS and (values == end).sum() > 1:
            others = values[(values != end) & ~np.isnan(values)]
            if len(others) > 1 and np.abs(others - end).min() > 2 * np.ptp(others) > 0:
                return float(end)
    return None


def _are_days(values: np.ndarray) -> bool:
    """Whether all are days as ISO 8601 writes them without dashes, of more than one month."""
    there = values[~np.isnan(values)]
    if not (len(there) and 19000101 <= there.min() < there.max() <= 21001231 and (there == np.round(there)).all()):
        return False
    days = there.astype(np.int64)
    return bool(((days % 100 >= 1) & (days % 100 <= 31) & (days // 100 % 100 >= 1) & (days // 100 % 100 <= 12)).all())


def _is_linear(values: np.ndarray, target: np.ndarray) -> bool:
    if np.isnan(values).any() or np.ptp(values) == 0:
        return False
    return bool(abs(np.corrcoef(values, target)[0, 1]) >= SAME)


_GLANCE = 500  # rows that rule out most columns


def _determines(values: np.ndarray, classes: np.ndarray, *, all_alike: bool = False) -> bool:
    """Whether each value occurs with only one class.

    False for a single value or many, except with `all_alike`.
    """
    if len(values) > 2 * _GLANCE and not _determines(values[:_GLANCE], classes[:_GLANCE], all_alike=True):
        return False
    _, codes = np.unique(values, return_inverse=True)
    distinct = int(codes.max()) + 1
    if not all_alike and not 1 < distinct <= len(values) / 2:
        return False
    return len(np.unique(codes * (int(classes.max()) + 1) + classes)) == distinct
