"""The index equals the declarations of classes; stale and missing entries are imported."""

import inspect
import json
import subprocess
import sys
from itertools import combinations

import pytest
import torch
from hydra.utils import get_class
from omegaconf import OmegaConf

from reglab import regularizers
from reglab.config.compose import Composer
from reglab.config.selection import strategy
from reglab.models import layers
from reglab.paths import CONF
from reglab.regularizers.base import Regularizer
from reglab.schema import constraints, index
from reglab.schema.constraints import Boolean, Described, Integer, ListOf, Nullable, OneOf, Real
from reglab.schema.errors import ConfigError
from reglab.schema.index import constraint_from_json, constraint_to_json, declaration, describe
from reglab.schema.strength import Search, Strength
from reglab.schema.text_constraints import NameOrPath, Text

NAMES = sorted(path.stem for path in (CONF / "regularizer").glob("*.yaml") if path.stem != "none")
TARGETS = sorted(set(index.shipped_targets(CONF)))


def test_the_checked_in_index_is_current():
    assert index.FILE.read_text(encoding="utf-8") == index.render_index(TARGETS), "run make index"


@pytest.mark.parametrize("target", [target for target in TARGETS if target.startswith("reglab.")])
def test_an_entry_equals_what_the_class_declares(target):
    read, described = declaration(target, "key"), describe(get_class(target), target)
    assert read == described
    declared_traits = [name for name in index.TRAITS if hasattr(get_class(target), name)]
    assert set(declared_traits) == set(read.traits)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_config_has_the_declared_strengths_with_their_defaults(name):
    node = OmegaConf.to_container(Composer().compose([f"regularizer={name}"]).regularizer[name])
    declared = declaration(node.pop("_target_"), "key").strengths
    assert {key: value for key, value in node.items() if value is not None} == {
        strength: spec.default for strength, spec in declared.items()
    }
    for spec in declared.values():
        assert spec.accepts(spec.default)
        assert spec.accepts(spec.search.low)
        assert spec.accepts(spec.search.high)
        assert spec.off is None or spec.accepts(spec.off)


@pytest.mark.slow
def test_a_strategy_is_named_in_the_order_of_its_regularizers():
    cfg_of_all = Composer().compose([f"regularizer=[{','.join(NAMES)}]"])
    for pair in combinations(NAMES, 2):
        cfg = OmegaConf.create({"regularizer": {name: cfg_of_all.regularizer[name] for name in pair}})
        methods = [get_class(node.pop("_target_"))(**node) for node in OmegaConf.to_container(cfg.regularizer).values()]
        assert strategy(cfg) == "+".join(method.name for method in regularizers.in_order(methods))


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_index_has_the_arguments_of_torch_optimizers(name):
    parameters = declaration(f"torch.optim.{name}", "key").parameters
    assert parameters == set(inspect.signature(getattr(torch.optim, name)).parameters)


def test_inherited_keywords_are_followed():
    parameters = declaration("reglab.data.SeedNoise", "key").parameters
    assert {"test_fraction", "split_seed", "batch_size", "name"} <= parameters


@pytest.mark.parametrize("target", ["nowhere.Class", "reglab.models.Nothing", "torch.no_module_here.X", "math.pi"])
def test_a_class_that_does_not_exist_is_an_error(target):
    with pytest.raises(ConfigError) as caught:
        declaration(target, "model._target_")
    assert (caught.value.key, caught.value.value) == ("model._target_", target)


def test_a_class_missing_from_the_index_is_imported():
    """The class is given by the module that defines it, which no config contains."""
    target = "reglab.regularizers._activation_noise.ActivationNoise"
    assert target not in json.loads(index.FILE.read_text(encoding="utf-8"))
    assert declaration(target, "key").get("requires") == "activations"


def test_a_stale_entry_is_ignored(monkeypatch, tmp_path):
    entries = json.loads(index.FILE.read_text(encoding="utf-8"))
    entry = entries["reglab.regularizers.l1.L1"]
    entry["strengths"]["strength"]["default"] = 7.0
    for changed, default in ((False, 7.0), (True, 1e-4)):
        if changed:
            entry["sources"]["reglab.regularizers.l1"] = "0" * 16
        (tmp_path / "index.json").write_text(json.dumps(entries))
        monkeypatch.setattr(index, "FILE", tmp_path / "index.json")
        for cached in (index._entries, index._declaration_of_entry):
            cached.cache_clear()
        assert declaration("reglab.regularizers.l1.L1", "key").strengths["strength"].default == default
    for cached in (index._entries, index._declaration_of_entry):
        cached.cache_clear()


def test_the_index_is_read_without_torch():
    code = "import sys; from reglab.schema.index import declaration; declaration('reglab.models.MLP', 'k')"
    completed = subprocess.run([sys.executable, "-c", f"{code}; print('torch' in sys.modules)"], capture_output=True)
    assert completed.stdout.strip() == b"False"


@pytest.mark.parametrize(
    "constraint",
    [
        Integer(1),
        Integer(1, 7, odd=True),
        Real(constraints.ABOVE_0, constraints.BELOW_1),
        OneOf("a", "b"),
        Nullable(Described(ListOf(Integer(1, 4096), 2, 2), "[height,width]"), "as they are"),
        NameOrPath(("characters", "bpe")),
        Boolean(),
        Text(4000),
        layers.NORM,
    ],
)
def test_constraints_are_kept_in_json(constraint):
    read = constraint_from_json(json.loads(json.dumps(constraint_to_json(constraint))))
    assert read == constraint
    assert read.description == constraint.description


def test_strengths_are_kept_in_json():
    strength = Strength(1.0, Search(0.1, 5.0, log=True), minimum=constraints.ABOVE_0, off=float("inf"), probe=1e-3)
    assert Strength.from_json(json.loads(json.dumps(strength.to_json()))) == strength


def test_a_function_cannot_be_part_of_the_index():
    with pytest.raises(TypeError, match="Satisfies"):
        constraint_to_json(constraints.Satisfies(bool, "anything"))


@pytest.mark.parametrize("text", ["{", "[]", '{"reglab.models.MLP": {"module": "reglab.models.mlp"}}'])
def test_a_damaged_index_is_an_error_with_the_remedy(text, tmp_path, monkeypatch):
    (tmp_path / "index.json").write_text(text)
    monkeypatch.setattr(index, "FILE", tmp_path / "index.json")
    index._entries.cache_clear()
    try:
        with pytest.raises(ConfigError) as caught:
            declaration("reglab.models.MLP", "model._target_")
    finally:
        index._entries.cache_clear()
    assert caught.value.key == "schema/index.json"
    assert "make index" in caught.value.remedy


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"minimum": 2.0, "maximum": 1.0}, "minimum"),
        ({"search": Search(1.0, 0.01)}, "search range"),
        ({"search": Search(0.0, 1.0, log=True)}, "logarithmic"),
        ({"search": Search(0.5, 3.0), "maximum": 1.0}, "search=3"),
        ({"default": -1.0}, "default=-1"),
        ({"probe": -1.0}, "probe=-1"),
    ],
)
def test_a_contradictory_strength_is_refused(wrong, word):
    good = Strength(0.5, Search(0.1, 0.9))
    assert good.problem() == ""
    cls = type("Own", (Regularizer,), {"amount": good.replace(**wrong)})
    with pytest.raises(ConfigError) as caught:
        describe(cls, "own.Own")
    assert caught.value.key == "_target_"
    assert "amount" in caught.value.problem
    assert word in caught.value.problem


def test_a_constraint_of_another_type_is_refused():
    cls = type("Own", (Regularizer,), {"constraints": {"size": 5}})
    with pytest.raises(ConfigError, match="size"):
        describe(cls, "own.Own")
