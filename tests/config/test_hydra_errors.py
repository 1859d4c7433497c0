"""Translation of messages of Hydra and OmegaConf into errors with a key, a problem and a remedy."""

from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException, MissingConfigException

from reglab.config.hydra_errors import (
    check_config_flags,
    is_config_error,
    key_of_runs,
    keys_of_regularizer,
    translate,
)
from reglab.paths import CONF
from reglab.schema.errors import ConfigError
from tests.errors import check_error, config_error


def test_only_errors_of_hydra_and_omegaconf_are_config_errors() -> None:
    assert is_config_error(ConfigCompositionException("x"))
    assert is_config_error(ValueError("Config group override must be a string or a list. Got int"))
    assert not is_config_error(ValueError("x"))


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (
            "Could not find 'optimizer/adm'\n\nAvailable options in 'optimizer':\n\tadam\n\tadamw\n\tsgd",
            [],
            "optimizer=adm: adam? ... adam, adamw, sgd",
        ),
        ("Ambiguous value for argument 'seed=1,2'\n1. To use it as a list", [], "seed=1,2: -m"),
        (
            "Could not append to config. An item is already at 'seed'",
            [],
            "+seed: exists ... without the +",
        ),
        ("Interpolation key 'nope' not found", [], "nope: missing"),
        ("Missing mandatory value: data.path", [], "data.path=???: a value must be given"),
        ("Error resolving interpolation '${seed}'", ["data=${seed}"], "data=${seed}: option of a group ... a name"),
    ],
)
def test_messages_of_hydra_are_translated(text: str, overrides: list[str], expected: str) -> None:
    check_error(translate(ConfigCompositionException(text), overrides), expected)


def test_an_unknown_message_keeps_its_first_line() -> None:
    error = translate(MissingConfigException("something new\nmore lines"))
    assert error.problem.startswith("something new")
    assert "more lines" not in str(error)


def test_keys_of_a_regularizer_are_its_declared_strengths() -> None:
    assert keys_of_regularizer("dropout") == ["regularizer.dropout.p", "regularizer.dropout.input_p"]
    assert keys_of_regularizer("none") == keys_of_regularizer("nope") == []


@pytest.mark.parametrize(
    ("override", "remedy"),
    [
        ("optimizer.lr=0.1", "study.common.optimizer.lr=0.1"),
        ("regularizer=l1", "study.strategies=[none,l1]"),
        ("regularizer.l1.strength=1", "study.space.regularizer.l1.strength"),
        ("model=cnn", "study.tasks="),
    ],
)
def test_a_key_of_one_run_in_a_study_is_refused_with_the_key_of_the_study(override: str, remedy: str) -> None:
    error = key_of_runs(override)
    assert isinstance(error, ConfigError)
    assert str(error.where) == override
    assert remedy in error.remedy


def test_a_key_of_studies_passes() -> None:
    assert key_of_runs("study.trials=3") is None


MISSING = "Cannot find primary config '{}'. Check that it's in your config search path.\n\nConfig search path:\n\t..."


def test_a_missing_config_is_refused_with_those_that_exist() -> None:
    error = translate(MissingConfigException(MISSING.format("trian"), "trian"), config_name="trian")
    check_error(error, "--config-name=trian: train? ... export ... ui")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"name": "trian"}, "--config-name=trian: train? ... mine, report"),
        ({"directory": "nowhere"}, "--config-dir=nowhere: ({cwd}/nowhere)"),
        ({"directory": "mine"}, "--config-dir=mine: {cwd}/mines?"),
        ({"directory": ""}, ""),  # the working directory
        ({"path": "../cnf"}, "--config-path=../cnf: {conf}?"),
        ({"path": "../conf", "directory": None, "name": "mine"}, "--config-name=mine: no such option"),
        ({"path": "../conf/train.yaml"}, "--config-path=../conf/train.yaml: folder"),
        ({"path": "pkg://package.conf", "name": "foo"}, ""),  # read by Hydra alone
        ({}, ""),
        ({"name": "mine"}, ""),
        ({"name": "experiment/compare"}, ""),
    ],
)
def test_flags_that_name_no_config(
    flags: dict[str, str | None], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mines").mkdir()
    (tmp_path / "mines" / "mine.yaml").touch()
    monkeypatch.chdir(tmp_path)
    given = {"name": "train", "directory": "mines", "path": None, **flags}
    if not expected:
        check_config_flags(**given)
        return
    with config_error(expected.format(cwd=tmp_path, conf=CONF)):
        check_config_flags(**given)
