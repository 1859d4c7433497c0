"""What classes declare, read from their source, equals what they hold once imported."""

import inspect
from itertools import combinations

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from reglab import regularizers
from reglab.config import rules
from reglab.config.compose import Composer
from reglab.config.order import acts, strategy
from reglab.config.source import Unknown, declared, parameters
from reglab.models import layers
from reglab.paths import CONF

NAMES = sorted(path.stem for path in (CONF / "regularizer").glob("*.yaml") if path.stem != "none")

FITTING = ("acts_on", "or_on_inputs", "activation", "needs")


@pytest.fixture(scope="module")
def nodes():
    return Composer().compose([f"regularizer=[{','.join(NAMES)}]"]).regularizer


@pytest.mark.parametrize("name", NAMES)
def test_a_regularizers_declaration_is_read_as_it_is(nodes, name):
    target = nodes[name]._target_
    cls = get_class(target)
    assert acts(target) == cls.acts
    for variable in (
        "bounds",
        "off",
        "kinds",
        "whole",
        "dims",
        "conflicts",
        "random_forward",
        "compares_passes",
        *FITTING,
    ):
        assert declared(target, variable) == getattr(cls, variable)
    assert parameters(target) == set(inspect.signature(cls).parameters)
    assert set(nodes[name]) == {"_target_", *declared(target, "bounds")}


def test_a_strategy_has_the_name_that_its_regularizers_give_it():
    whole = Composer().compose([f"regularizer=[{','.join(NAMES)}]"])
    for pair in combinations(NAMES, 2):
        cfg = OmegaConf.create({"regularizer": {name: whole.regularizer[name] for name in pair}})
        methods = [get_class(node.pop("_target_"))(**node) for node in OmegaConf.to_container(cfg.regularizer).values()]
        assert strategy(cfg) == "+".join(method.name for method in regularizers.in_order(methods))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_foreign_constructor_is_read_too(name):
    assert parameters(f"torch.optim.{name}") >= set(inspect.signature(getattr(torch.optim, name)).parameters)


def test_a_lazy_package_and_inherited_keywords_are_followed():
    assert parameters("reglab.data.SeedNoise") >= {"test_fraction", "split_seed", "batch_size", "name"}


@pytest.mark.parametrize("target", ["nowhere.Class", "reglab.models.Nothing", "", "torch.no_module_here.X"])
def test_what_is_not_there_is_unknown(target):
    with pytest.raises(Unknown):
        parameters(target)


def test_the_names_in_the_rules_are_the_models():
    assert set(rules.ACTIVATIONS) == set(layers.ACTIVATIONS)
    assert set(rules.NORMS) == {"none", *layers.NORMS}
