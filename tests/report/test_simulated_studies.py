"""Coverage, error rates and power in simulated studies."""

import math

import numpy as np
import pytest

from reglab.report.findings.leaderboard import Entry, add_difference, rank_entries
from reglab.report.question import Question
from reglab.report.statistics.paired import Interval, bootstrap_interval, paired_difference
from reglab.report.statistics.power import minimum_detectable_difference

pytestmark = pytest.mark.slow
QUESTION = Question("test/accuracy", "max", "none", ("val/accuracy",), "max")


def covered(intervals: list[Interval | None], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in filter(None, intervals)]))


def error(share: float, studies: int) -> float:
    """Return three standard errors of a share."""
    return 3 * math.sqrt(share * (1 - share) / studies)


def test_the_plain_t_interval_covers_95_percent() -> None:
    rng = np.random.default_rng(0)
    for n in (3, 10):
        intervals = [paired_difference(rng.normal(0.3, 1, n)).interval for _ in range(500)]
        assert covered(intervals, 0.3) == pytest.approx(0.95, abs=error(0.95, 500))


def test_only_the_corrected_interval_covers_with_resplit_data() -> None:
    """The mean of 80 of 100 normal rows is compared with half of it, by squared error on the other 20 rows."""
    rng = np.random.default_rng(1)
    centre, shrunk, studies = 0.3, 0.5, 400
    # The expected squared error of an estimate c * mean is 1 + (1 - c)^2 centre^2 + c^2 / 80.
    truth = ((1 - shrunk) ** 2 * centre**2 + shrunk**2 / 80) - 1 / 80
    plain, corrected = [], []
    for _ in range(studies):
        rows = rng.normal(centre, 1, 100)
        splits = rng.permuted(np.tile(rows, (30, 1)), axis=1)
        means, tested = splits[:, :80].mean(axis=1, keepdims=True), splits[:, 80:]
        differences = ((tested - shrunk * means) ** 2 - (tested - means) ** 2).mean(axis=1)
        plain.append(paired_difference(differences).interval)
        corrected.append(paired_difference(differences, overlap=20 / 80).interval)
    assert covered(corrected, truth) >= 0.95 - error(0.95, studies)
    assert covered(plain, truth) < 0.85


def verdicts(effects: np.ndarray, rng: np.random.Generator, seeds: int, overlap: float = 0.0) -> list[str]:
    """Simulate a study: paired differences are effects plus standard normal noise and noise shared by the splits.

    The noise of none is part of every difference, as in a real study; the shared noise has variance `overlap`.
    """
    none = rng.normal(0, math.sqrt(0.5), seeds)
    effects_by_seed = rng.normal(0, math.sqrt(0.5), (len(effects), seeds)) + effects[:, None]
    effects_by_seed += rng.normal(0, math.sqrt(overlap), (len(effects), 1))
    lines = [
        add_difference(
            Entry(f"s{i}", f"s{i}", seeds, mean=float(values.mean())), list(zip(values, none, strict=True)), overlap
        )
        for i, values in enumerate(effects_by_seed)
    ]
    by_name = {line.label: line.verdict for line in rank_entries(lines, QUESTION)}
    return [by_name[f"s{i}"] for i in range(len(effects))]


@pytest.mark.parametrize("overlap", [0.0, 0.25])
def test_the_familywise_error_rate_of_seven_strategies_is_at_most_5_percent(overlap: float) -> None:
    rng, studies = np.random.default_rng(2), 200
    wrong = sum(bool({"helps", "hurts"} & set(verdicts(np.zeros(7), rng, 10, overlap))) for _ in range(studies))
    assert 0 < wrong / studies <= 0.05 + error(0.05, studies)


@pytest.mark.parametrize(("seeds", "comparisons", "overlap"), [(6, 1, 0.0), (10, 6, 0.0), (10, 6, 0.25), (35, 1, 0.02)])
def test_the_smallest_difference_is_detected_with_80_percent_power(
    seeds: int, comparisons: int, overlap: float
) -> None:
    rng, studies = np.random.default_rng(3), 200
    smallest = minimum_detectable_difference(1.0, seeds, comparisons, overlap)
    assert smallest is not None
    effects = np.array([smallest] + [0.0] * (comparisons - 1))
    detected = sum(verdicts(effects, rng, seeds, overlap)[0] == "helps" for _ in range(studies)) / studies
    assert detected >= 0.8 - error(0.8, studies)
    assert detected <= 0.83 + error(0.8, studies)


def test_the_bootstrap_interval_of_a_mean_is_near_95_percent_and_too_narrow_for_ten_values() -> None:
    rng, studies = np.random.default_rng(4), 150
    for n, share in ((10, 0.905), (30, 0.94)):
        intervals = [bootstrap_interval(rng.normal(0.3, 1, n)) for _ in range(studies)]
        assert covered(intervals, 0.3) == pytest.approx(share, abs=error(share, studies))
