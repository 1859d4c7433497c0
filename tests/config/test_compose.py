"""Composition of a run's config from its overrides."""

import pytest
from omegaconf import OmegaConf

from reglab.config.compose import Composer, compose
from reglab.config.selection import is_strength
from tests.errors import config_error

JOBS = [
    [],
    ["seed=3"],
    ["seed=3", "optimizer=sgd", "optimizer.lr=0.05"],
    ["optimizer.lr=0.05", "optimizer=sgd"],
    ["regularizer=dropout", "regularizer.dropout.p=0.3", "seed=1"],
    ["regularizer=[dropout,max_norm]", "regularizer.max_norm.max_norm=2"],
    ["regularizer=[max_norm,dropout]", "regularizer.dropout.p=.1"],
    ["model.hidden_sizes=[10]", "model.norm=batch"],
    ["model.hidden_sizes=[]"],
    ["+scheduler.T_max=7"],
    ["scheduler=cosine", "scheduler.eta_min=1e-5", "++scheduler.T_max=7"],
    ["~data.label_noise"],
    ["data.split_seed=7", "seed=2"],
    ["data.split_seed=${data.seed}", "seed=2"],
    ["data.train_size=null", "data.name='a b'"],
    ["tracking.uri='sqlite:////tmp/a b/x.db'"],
    ["metric=test/accuracy", "sweep.name=x"],
    ["experiment=seed_l2"],
    ["experiment=seed_l2", "regularizer=dropout", "trainer.max_epochs=3"],
    ["trainer=fast", "resume=true"],
    ["hydra/launcher=joblib", "seed=5"],
]


@pytest.fixture(scope="module")
def composer():
    return Composer()


@pytest.mark.slow
@pytest.mark.parametrize("overrides", JOBS, ids=" ".join)
def test_an_edited_config_equals_a_composed_one(composer, overrides):
    composer.compose(["seed=11", *[o for o in overrides if "=" in o and "." not in o.split("=")[0]]])  # fill the cache
    edited, fresh = composer.compose(overrides), compose(overrides)
    whole = Composer().whole(overrides)
    assert OmegaConf.to_yaml(edited) == OmegaConf.to_yaml(fresh)
    assert OmegaConf.to_container(edited, resolve=True) == OmegaConf.to_container(fresh, resolve=True)
    if "experiment=seed_l2" not in overrides:  # there unused strengths are removed
        plain = OmegaConf.to_container(whole)
        del plain["hydra"]
        assert OmegaConf.to_container(edited) == plain
    assert OmegaConf.is_struct(edited)
    assert OmegaConf.is_struct(edited.model)


def test_jobs_do_not_share_state(composer):
    first = composer.compose(["seed=1"])
    first.optimizer.lr = 5.0
    assert composer.compose(["seed=1"]).optimizer.lr == 1e-3


def test_seed_sets_the_seeds_of_data(composer):
    cfg = composer.compose(["seed=4"])
    assert (cfg.data.seed, cfg.data.split_seed) == (4, 4)
    assert composer.compose(["seed=4", "data.split_seed=0"]).data.split_seed == 0


@pytest.mark.slow
def test_an_experiment_leaves_no_strength_of_a_replaced_regularizer():
    assert dict(compose(["experiment=seed_l2", "regularizer=none"]).regularizer) == {}
    assert set(compose(["experiment=seed_l2", "regularizer=dropout"]).regularizer) == {"dropout"}
    assert compose(["experiment=seed_l2"]).regularizer.l2.strength == 2e-5


def test_an_edit_that_does_not_fit_is_an_error_like_any_other(composer):
    with config_error("optimizer.lrr=1: no such key ... optimizer.lr?"):
        composer.compose(["optimizer.lrr=1"])


def test_strategy_names_follow_groups_and_experiments(composer):
    assert composer.strategy_names(["regularizer=[dropout,l2]", "regularizer.l1.strength=3"]) == {"dropout", "l2"}
    assert composer.strategy_names(["experiment=seed_l2"]) == {"l2"}
    assert composer.strategy_names(["experiment=seed_l2", "regularizer=none"]) == set()
    assert composer.strategy_names() == set()


def test_is_strength():
    assert is_strength("regularizer.dropout.p=.3")
    assert is_strength("+regularizer.dropout.p=.3")
    assert not is_strength("regularizer=dropout")
    assert not is_strength("regularizer._space_.dropout.p.low=0")
    assert not is_strength("optimizer.lr=1")
