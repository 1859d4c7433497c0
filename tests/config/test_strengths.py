"""Which strengths of a sweep mean which of its jobs."""

import itertools

import pytest

from reglab.config.compose import Composer, fit_strengths
from tests.errors import config_error


@pytest.fixture(scope="module")
def composer():
    return Composer()


def jobs(*choices):
    return [list(job) for job in itertools.product(*choices)]


def test_a_strength_counts_for_the_strategies_that_hold_it(composer):
    expanded = jobs(
        ["regularizer=none", "regularizer=dropout"],
        ["regularizer.dropout.p=0.1", "regularizer.dropout.p=0.3"],
    )
    assert fit_strengths(expanded, composer) == [
        ["regularizer=none"],
        ["regularizer=dropout", "regularizer.dropout.p=0.1"],
        ["regularizer=dropout", "regularizer.dropout.p=0.3"],
    ]


def test_lists_hold_all_their_members(composer):
    expanded = jobs(
        ["regularizer=l1", "regularizer=[dropout,l1]"], ["regularizer.l1.strength=1"], ["regularizer.dropout.p=0.1"]
    )
    assert fit_strengths(expanded, composer) == [
        ["regularizer=l1", "regularizer.l1.strength=1"],
        ["regularizer=[dropout,l1]", "regularizer.l1.strength=1", "regularizer.dropout.p=0.1"],
    ]


def test_a_strength_that_no_job_can_use_is_refused(composer):
    expanded = jobs(["regularizer=none", "regularizer=l1"], ["regularizer.dropout.p=0.1"])
    with config_error("regularizer.dropout.p=0.1: no strategy ... regularizer=dropout"):
        fit_strengths(expanded, composer)


def test_a_strength_from_an_experiment_file_may_be_of_no_use(composer):
    expanded = jobs(["regularizer=none", "regularizer=l1"], ["regularizer.dropout.p=0.1"])
    assert fit_strengths(expanded, composer, {"regularizer.dropout.p"}) == [["regularizer=none"], ["regularizer=l1"]]
