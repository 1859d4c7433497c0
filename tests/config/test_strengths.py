"""Assignment of the strengths of a sweep to its jobs."""

import itertools

import pytest

from reglab.config.compose import Composer, fit_strengths
from tests.errors import config_error


@pytest.fixture(scope="module")
def composer():
    return Composer()


def jobs(*choices):
    return [list(job) for job in itertools.product(*choices)]


def test_a_strength_applies_to_the_strategies_with_its_regularizer(composer):
    expanded = jobs(
        ["regularizer=none", "regularizer=dropout"],
        ["regularizer.dropout.p=0.1", "regularizer.dropout.p=0.3"],
    )
    assert fit_strengths(expanded, composer) == [
        ["regularizer=none"],
        ["regularizer=dropout", "regularizer.dropout.p=0.1"],
        ["regularizer=dropout", "regularizer.dropout.p=0.3"],
    ]


def test_strengths_apply_to_all_members_of_a_list(composer):
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


def test_an_unused_strength_of_an_experiment_is_ignored(composer):
    expanded = jobs(["regularizer=none", "regularizer=l1"], ["regularizer.dropout.p=0.1"])
    assert fit_strengths(expanded, composer, {"regularizer.dropout.p"}) == [["regularizer=none"], ["regularizer=l1"]]
