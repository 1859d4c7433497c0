"""Keys that need another key are refused without it and pass with it."""

import pytest
from omegaconf import OmegaConf

from reglab.config.compose import Composer
from reglab.config.dependent_keys import check_effect
from reglab.schema.errors import ConfigError

GENERATE = {"temperature": 0.0, "train_mode": False, "run_id": None}


@pytest.mark.parametrize(
    ("override", "without", "beside", "remedy"),
    [
        ("top_k=3", {}, {"temperature": 1.0}, "temperature=1"),
        ("top_p=.9", {}, {"temperature": 0.5}, "temperature=1"),
        ("generation.seed=1", {}, {"train_mode": True}, "temperature=1"),
        ("passes=9", {}, {"train_mode": True}, "leave it out"),
        ("tracking.experiment=a", {"run_id": "a1b2"}, {}, "leave out one"),
    ],
)
def test_a_key_of_generate(override: str, without: dict, beside: dict, remedy: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_effect("generate", [override], OmegaConf.create({**GENERATE, **without}))
    assert [refused.value.key, refused.value.value] == override.split("=")
    assert refused.value.problem
    assert remedy in refused.value.remedy
    check_effect("generate", [override], OmegaConf.create({**GENERATE, **beside}))


@pytest.mark.parametrize(
    ("override", "without", "beside"),
    [
        ("+trainer.min_epochs=2", [], ["regularizer=early_stopping"]),
        ("+trainer.min_steps=2", ["regularizer=l2"], ["regularizer=[l2,early_stopping]"]),
        ("+trainer.benchmark=true", [], ["trainer=gpu"]),
        ("trainer.limit_test_batches=2", ["data.test_fraction=0"], []),
        ("model.activation=tanh", ["model.hidden_sizes=[]"], []),
        ("model.norm=batch", ["model.hidden_sizes=[]"], []),
        ("data.vocab_size=300", ["data=python_docs"], ["data=python_docs", "data.tokenizer=bpe"]),
        (
            "data.test_fraction=.3",
            ["data=csv", "data.path=x.csv", "data.target=y", "data.test_fold=2"],
            ["data=csv", "data.path=x.csv", "data.target=y"],
        ),
        (
            "data.split_seed=1",
            ["data=csv", "data.path=x.csv", "data.target=y", "data.split_by=time"],
            ["data=csv", "data.path=x.csv", "data.target=y"],
        ),
        (
            "data.val_fraction=.3",
            ["data=csv", "data.path=x.csv", "data.target=y", "data.val_fold=2"],
            ["data=csv", "data.path=x.csv", "data.target=y"],
        ),
    ],
)
def test_a_key_of_a_run(override: str, without: list[str], beside: list[str]) -> None:
    composer = Composer("train")
    with pytest.raises(ConfigError) as refused:
        check_effect("train", [*without, override], composer.compose([*without, override]))
    assert refused.value.key == override.lstrip("+").partition("=")[0]
    assert "leave it out" in refused.value.remedy
    check_effect("train", [*beside, override], composer.compose([*beside, override]))


def test_null_and_keys_of_other_pipelines_pass() -> None:
    check_effect("generate", ["top_k=null", "prompt=a"], OmegaConf.create(GENERATE))
    check_effect("report", ["top_k=3"], OmegaConf.create(GENERATE))


def test_a_number_of_seeds_typed_twice() -> None:
    with pytest.raises(ConfigError) as refused:
        check_effect("study", ["study.seeds=5"], OmegaConf.create({"seeds": 3, "study": {"seeds": 5}}))
    assert refused.value.key == "study.seeds"
    check_effect("study", ["study.seeds=5"], OmegaConf.create({"seeds": None, "study": {"seeds": 5}}))


def test_a_server_has_its_own_port() -> None:
    server, file = (OmegaConf.create({"tracking": {"uri": uri}}) for uri in ("http://127.0.0.1:1", "sqlite:///x.db"))
    with pytest.raises(ConfigError) as refused:
        check_effect("ui", ["ui.port=5001"], server)
    assert refused.value.key == "ui.port"
    check_effect("ui", ["ui.port=5001"], file)
