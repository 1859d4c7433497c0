"""Expansion of a sweep's arguments into jobs."""

from collections.abc import Sequence
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from reglab.config.compose import Composer
from reglab.execution.expand import Job, combinations, expand, make_plan, parse, settings_as_overrides, with_settings
from reglab.schema.errors import ConfigError
from tests.execution.sweeps import composed


def jobs(*arguments: str, params: dict[str, Any] | None = None) -> list[Job]:
    with composed([]) as (_, context):
        loader = context.config_loader
        return expand(arguments, params or {}, Composer("train", loader=loader), loader)


def lines(*arguments: str, params: dict[str, Any] | None = None) -> list[list[str]]:
    with composed([]) as (_, context):
        return combinations(parse(arguments, params or {}, context.config_loader))


def labels(expanded: Sequence[Job]) -> list[str]:
    return [job.label for job in expanded]


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=0,1", "model=mlp,linear"],
        ["seed=range(0,6,2)", "regularizer=none,[dropout,max_norm]"],
        ["seed=choice(3,1)", "optimizer.lr=1e-3,0.01", "trainer.max_epochs=2"],
        ["model=glob(*)", "+data.x=1,2"],
        ["sweep.name='a,b','c d'"],
    ],
)
def test_combinations_are_those_of_hydras_own_sweeper(arguments: list[str]) -> None:
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    with composed([]) as (_, context):
        overrides = OverridesParser.create(context.config_loader).parse_overrides(arguments)
        (hydras,) = BasicSweeper.split_arguments(overrides, None)
        assert combinations(parse(arguments, {}, context.config_loader)) == hydras


def test_the_command_line_wins_over_the_experiment() -> None:
    params = {"seed": "range(8)", "regularizer": "none,l1", "optimizer.lr": 3e-4, "fail_fast": True, "metric": None}
    expanded = lines("seed=5", "regularizer=l2,dropout", params=params)
    rest = ["optimizer.lr=0.0003", "fail_fast=true", "metric=null"]
    assert expanded == [["seed=5", "regularizer=l2", *rest], ["seed=5", "regularizer=dropout", *rest]]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("seed=range(0,1000000000)", "at most 100,000"),
        ("seed=interval(0,1)", "range(start,stop,step)"),
        ("seed=range(3,3)", "no value"),
        ("model=glob(x*)", "no value"),
    ],
)
def test_arguments_that_give_no_jobs_are_refused(argument: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        lines(argument)
    assert argument.partition("=")[0] in str(refused.value)
    assert words in str(refused.value)


def test_a_strength_applies_to_the_strategies_with_its_regularizer() -> None:
    expanded = jobs("regularizer=none,dropout", "regularizer.dropout.p=.1,.3", "seed=0,1")
    assert labels(expanded) == [
        "none seed=0",
        "dropout(p=0.1) seed=0",
        "dropout(p=0.3) seed=0",
        "none seed=1",
        "dropout(p=0.1) seed=1",
        "dropout(p=0.3) seed=1",
    ]
    assert [job.config.regularizer.get("dropout", {}).get("p") for job in expanded] == [None, 0.1, 0.3] * 2
    assert all("regularizer.dropout" not in line for job in expanded[::3] for line in job.overrides)


def test_seeds_come_first_for_any_order_of_arguments() -> None:
    expanded = jobs("seed=2,0", "regularizer=none,[dropout,max_norm]")
    assert labels(expanded) == ["none seed=2", "dropout+max_norm seed=2", "none seed=0", "dropout+max_norm seed=0"]


def test_jobs_with_equal_identity_are_merged() -> None:
    assert len(jobs("optimizer.lr=1e-3,0.001,1e-2", "trainer.progress=true,false")) == 2


def test_a_label_has_the_varying_keys() -> None:
    expanded = jobs("model=linear,mlp", "regularizer=l2", "regularizer.l2.strength=choice(0.1)", "optimizer.lr=1e-3")
    assert labels(expanded) == ["l2 model=linear seed=0", "l2 model=mlp seed=0"]


def test_a_strength_that_no_job_can_use_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigError, match=r"regularizer.dropout.p=0.5: .*add regularizer=dropout"):
        jobs("regularizer=none,l2", "regularizer.dropout.p=choice(0.5)", "seed=0,1")


def test_a_misspelt_strength_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"regularizer.drpout.p=0.5: .*did you mean dropout"):
        jobs("regularizer=none,dropout", "regularizer.drpout.p=0.5")
    with pytest.raises(ConfigError, match=r"regularizer.l1.strenght=0.5: .*did you mean regularizer.l1.strength"):
        jobs("regularizer=none,l1", "regularizer.l1.strenght=0.5,0.6", "seed=0,1")


def test_an_unused_strength_of_an_experiment_is_ignored() -> None:
    params = {"regularizer": "none,l1,dropout", "regularizer.dropout.p": 0.5, "regularizer.l1.strength": "1e-4,1e-3"}
    expanded = jobs("regularizer=none,l1", params=params)
    assert labels(expanded) == ["none seed=0", "l1(strength=0.0001) seed=0", "l1(strength=0.001) seed=0"]


def test_every_job_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"regularizer.dropout.p=1.5"):
        jobs("regularizer=none,dropout", "regularizer.dropout.p=.5,1.5")


@pytest.mark.slow
def test_settings_of_the_whole_sweep_cannot_vary_in_it() -> None:
    with pytest.raises(ConfigError, match=r"tracking\.experiment: applies to a whole sweep"):
        jobs("tracking.experiment=a,b", "model=linear,mlp")
    with pytest.raises(ConfigError, match="sweep: applies to a whole sweep"):
        make_plan([*jobs("sweep.name=a"), *jobs("sweep.name=b", "seed=1")])


@pytest.mark.slow
def test_a_sweep_is_named_after_its_data_and_model() -> None:
    assert make_plan(jobs("data=digits,breast_cancer", "model=mlp")).name == "digits+breast_cancer-mlp"
    assert make_plan(jobs("data=digits,breast_cancer,mnist5k,mnist1d,diabetes", "model=linear,mlp")).name == (
        "digits+breast_cancer+mnist5k+2more-linear+mlp"
    )
    assert make_plan(jobs("sweep.name=mine")).name == "mine"


def test_settings_of_a_child_are_the_same_as_config_and_as_overrides() -> None:
    (job,) = jobs("regularizer=dropout", "sweep.name='it\\'s, \\\"mine\\\"'")
    settings = make_plan([job]).child_settings("0123")
    child = with_settings(job.config, settings)
    assert child == Composer().compose([*job.overrides, *settings_as_overrides(settings)])
    assert child.tracking.sweep == job.config.sweep.name
    assert (child.tracking.parent, child.tracking.phase, child.trainer.progress) == ("0123", "sweep", False)
    assert job.config.tracking.parent is None
