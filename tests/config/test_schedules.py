"""Checks of strength schedules: kind, keys and range."""

from typing import Any

import pytest

from reglab.config.schedules import check_schedules
from reglab.regularizers import Dropout, MaxNorm, SpectralNorm
from tests.errors import config_error

HERE = "regularizer.dropout.schedule"


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "constant"},
        {"kind": "late", "since": 1},
        {"kind": "early", "until": 3},
        {"kind": "linear", "start": 0.9, "epochs": 2},
    ],
)
def test_schedules_of_each_kind_pass(settings: dict[str, Any]) -> None:
    check_schedules("dropout", {"p": 0.1, "schedule": {"p": settings}}, Dropout.strengths())


def test_no_schedule_passes() -> None:
    check_schedules("dropout", {"p": 0.1}, Dropout.strengths())
    check_schedules("spectral_norm", {"schedule": None}, SpectralNorm.strengths())


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("late", f"{HERE}=late: {HERE}.p.kind=late"),
        ({"kind": "late"}, f"{HERE}: must name a strength"),
        ({"q": {"kind": "late", "since": 1}}, f"{HERE}.q: no such strength ... p, input_p"),
        ({"p": "late"}, f"{HERE}.p=late: must be a kind"),
        ({"p": {"kind": "lat"}}, f"{HERE}.p.kind=lat: did you mean late?"),
        ({"p": {"kind": "late"}}, f"{HERE}.p.since: missing"),
        ({"p": {"kind": "late", "since": 0}}, f"{HERE}.p.since=0: 1 or more"),
        ({"p": {"kind": "late", "since": 1, "until": 2}}, f"{HERE}.p.until: no such key"),
        ({"p": {"kind": "linear", "start": 1.0, "epochs": 2}}, f"{HERE}.p.start=1.0: below 1"),
        ({"p": {"kind": "linear", "start": 0.5, "epochs": 1}}, f"{HERE}.p.epochs=1: 2 or more"),
    ],
)
def test_wrong_schedules_are_refused(schedule: Any, expected: str) -> None:
    with config_error(expected):
        check_schedules("dropout", {"p": 0.1, "schedule": schedule}, Dropout.strengths())


def test_a_linear_schedule_needs_finite_ends() -> None:
    node = {"max_norm": float("inf"), "schedule": {"max_norm": {"kind": "linear", "start": 1.0, "epochs": 2}}}
    with config_error("regularizer.max_norm.schedule.max_norm: inf"):
        check_schedules("max_norm", node, MaxNorm.strengths())


def test_a_method_without_strengths_has_no_schedule() -> None:
    with config_error("regularizer.spectral_norm.schedule: no "):
        check_schedules("spectral_norm", {"schedule": {"strength": {"kind": "late"}}}, SpectralNorm.strengths())
