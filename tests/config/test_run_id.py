"""Checks of run ids."""

import pytest

from reglab.config.check_pipeline import check_run_id
from tests.errors import config_error


def test_an_id_or_none_where_none_is_needed() -> None:
    check_run_id("0123abcd", "rerun")
    check_run_id(None)


@pytest.mark.parametrize(
    ("value", "target", "problem"),
    [
        (None, "rerun", "run_id=null: make rerun RUN_ID=ID ... make train"),
        ("", "evaluate", "run_id=null: make evaluate RUN_ID=ID"),
        (123, None, "run_id=123: a number ... run_id=\"'ID'\""),
        (1e5, "rerun", "run_id=100000.0: a number"),
    ],
)
def test_values_that_are_no_run_id_are_refused(value: object, target: str | None, problem: str) -> None:
    with config_error(problem):
        check_run_id(value, target)
