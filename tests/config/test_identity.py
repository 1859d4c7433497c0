"""Identity of a run: a hash of the settings that affect its results."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from reglab.config.compose import Composer
from reglab.config.identity import (
    RULE,
    config_hash,
    data_name,
    identity_parts,
    recipe_hash,
    setting_fields,
    setting_hash,
    strategy,
    strategy_code,
)

BASE = ["regularizer=[dropout,l1]", "scheduler=cosine"]
SCIENCE = [
    "seed=1",
    "data=breast_cancer",
    "data.split_seed=1",
    "data.train_size=100",
    "data.label_noise=0.1",
    "data.val_fraction=0.1",
    "data.test_fraction=0.1",
    "data.batch_size=32",
    "data.batch_size=null",
    "model=linear",
    "model.hidden_sizes=[128]",
    "model.activation=gelu",
    "model.norm=batch",
    "regularizer=dropout",
    "regularizer=[dropout,l1,l2]",
    "regularizer.dropout.p=0.4",
    "regularizer.l1.strength=1e-3",
    "optimizer=sgd",
    "optimizer.lr=1e-2",
    "optimizer.weight_decay=0.1",
    "scheduler=none",
    "scheduler.eta_min=1e-5",
    "trainer.max_epochs=21",
    "trainer.max_steps=10",
    "trainer.limit_train_batches=3",
    "trainer.limit_val_batches=1.0",
    "trainer.precision=64-true",
    "trainer.precision=bf16-mixed",
    "trainer.threads=2",
    "trainer.gradient_clip_val=1",
    "+trainer.accumulate_grad_batches=2",
]
DIFFERENT = [  # equal under a hash that does not distinguish 1.0 from 1
    ("trainer.limit_train_batches=1", "trainer.limit_train_batches=1.0"),
    ("+trainer.val_check_interval=1", "+trainer.val_check_interval=1.0"),
]
UNRELATED = [
    "trainer.accelerator=gpu",
    "trainer.progress=false",
    "tracking.uri=sqlite:////tmp/other.db",
    "tracking.experiment=other",
    "tracking.weights=none",
    "tracking.parent=abc",
    "tracking.phase=sweep",
    "+tracking.sweep=x",
    "resume=true",
    "fail_fast=true",
    "sweep.name=x",
    "metric=test/loss",
    "direction=min",
    "baseline=l1",
    "select_by=val/loss",
    "report.dir=x",
    "data.name=other",
    "model.name=other",
]


@pytest.fixture(scope="module")
def composer():
    return Composer()


@pytest.mark.slow
@pytest.mark.parametrize("override", SCIENCE)
def test_each_scientific_key_changes_the_identity(composer, override):
    assert config_hash(composer.compose([*BASE, override])) != config_hash(composer.compose(BASE))


@pytest.mark.parametrize("override", UNRELATED)
def test_other_keys_do_not_change_the_identity(composer, override):
    assert config_hash(composer.compose([*BASE, override])) == config_hash(composer.compose(BASE))


def test_the_order_of_keys_and_the_way_numbers_are_written_do_not_count(composer):
    def reversed_keys(node):
        return {key: reversed_keys(node[key]) for key in reversed(node)} if isinstance(node, dict) else node

    cfg = composer.compose(BASE)
    assert config_hash(OmegaConf.create(reversed_keys(OmegaConf.to_container(cfg)))) == config_hash(cfg)
    assert config_hash(composer.compose(["regularizer=[l1,dropout]", "scheduler=cosine"])) == config_hash(cfg)
    assert config_hash(composer.compose(["optimizer.lr=1"])) == config_hash(composer.compose(["optimizer.lr=1.0"]))
    assert config_hash(composer.compose(["optimizer.lr=1e-2"])) == config_hash(composer.compose(["optimizer.lr=.01"]))


def test_an_infinite_strength_has_an_identity(composer):
    off = composer.compose(["regularizer=max_norm", "regularizer.max_norm.max_norm=inf"])
    assert identity_parts(off)["regularizer"]["max_norm"]["max_norm"] == "inf"
    assert config_hash(off) != config_hash(composer.compose(["regularizer=max_norm"]))


PINNED = OmegaConf.create(
    {
        "seed": 3,
        "data": {"_target_": "reglab.data.Digits", "name": "digits", "seed": 3, "split_seed": 3, "batch_size": None},
        "model": {"_target_": "reglab.models.MLP", "name": "mlp", "hidden_sizes": [8, 4]},
        "regularizer": {"l2": {"_target_": "reglab.regularizers.L2", "strength": 1e-3}, "_space_": {"l2": {}}},
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-3, "weight_decay": 0.0},
        "scheduler": {"name": "none"},
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "threads": 1, "progress": True},
        "tracking": {"uri": None},
    }
)


def test_the_hash_of_a_config_never_changes():
    """Compare with a fixed hash: with another one, sweeps could not find tracked runs to reuse or to report.

    It is also the identity of runs tracked under rule 1.
    """
    assert recipe_hash(PINNED) == "4ee72d477c41cbc8"
    assert RULE == "2"


@pytest.mark.slow
def test_the_identity_is_the_same_in_another_process(composer):
    code = f"""
from reglab.config.compose import compose
from reglab.config.identity import config_hash
print(config_hash(compose({BASE!r})))"""
    hashed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert hashed.stdout.strip() == config_hash(composer.compose(BASE))


def test_a_setting_excludes_strategy_and_seeds(composer):
    base = composer.compose(BASE)
    for same in ("regularizer=l2", "seed=5", "data.split_seed=9", "regularizer.dropout.p=0.1"):
        assert setting_hash(composer.compose([*BASE, same])) == setting_hash(base)
    for other in ("optimizer.lr=1e-2", "data.label_noise=0.2", "trainer.max_epochs=3", "model.norm=layer"):
        assert setting_hash(composer.compose([*BASE, other])) != setting_hash(base)
    assert "regularizer" not in setting_fields(base)
    assert "seed" not in setting_fields(base)["data"]


def test_a_file_is_identified_by_its_content(composer, tmp_path):
    def identity(path):
        return config_hash(composer.compose(["data=csv", f"data.path={path}", "data.target=y"]))

    first, second = tmp_path / "one.csv", tmp_path / "two.csv"
    first.write_text("x,y\n1,2\n")
    second.write_text("x,y\n1,2\n")
    before = identity(first)
    assert identity(second) == before
    second.write_text("x,y\n1,2\n3,4\n")
    assert identity(second) != before


def test_a_table_without_a_split_column_keeps_its_earlier_identity(composer, tmp_path):
    (tmp_path / "one.csv").write_text("x,y\n1,2\n")
    csv = ["data=csv", f"data.path={tmp_path / 'one.csv'}", "data.target=y"]
    assert not {"split_column", "split_by", "test_fold", "val_fold"} & set(
        identity_parts(composer.compose(csv))["data"]
    )
    by_time = config_hash(composer.compose([*csv, "data.split_column=x", "data.split_by=time"]))
    by_group = config_hash(composer.compose([*csv, "data.split_column=x", "data.split_by=groups"]))
    assert len({by_time, by_group, config_hash(composer.compose(csv))}) == 3


def test_the_identity_of_openml_data_is_name_and_version_not_the_folder(composer):
    def identity(*overrides):
        return config_hash(composer.compose(["data=openml", *overrides]))

    iris = identity("data.name=iris", "data.version=1")
    assert identity("data.name=Iris", "data.version=1", "data.cache=/tmp/elsewhere") == iris
    assert len({iris, identity("data.name=iris"), identity("data.name=wine", "data.version=1")}) == 3
    assert identity("data.id=61", "data.name=label") == identity("data.id=61") != identity("data.id=62")
    hashed = setting_fields(composer.compose(["data=openml", "data.name=iris", "data.version=1"]))["data"]
    assert (hashed["name"], hashed["version"]) == ("iris", 1)


def test_data_name_is_the_files_stem_unless_given(composer):
    csv = ["data=csv", "data.path=/tmp/wine.csv.gz", "data.target=y"]
    assert data_name(composer.compose(csv)) == "wine"
    assert data_name(composer.compose([*csv, "data.name=vino"])) == "vino"
    assert data_name(composer.compose([])) == "digits"
    assert data_name(composer.compose(["data=openml", "data.id=61"])) == "openml-61"
    assert data_name(composer.compose(["data=openml", "data.name=iris"])) == "iris"


def test_strategy_is_named_in_acting_order(composer):
    assert strategy(composer.compose([])) == "none"
    assert strategy(composer.compose(["regularizer=[l1,dropout]"])) == "dropout+l1"
    assert strategy(composer.compose(["regularizer=[max_norm,l2,dropout]"])) == "dropout+l2+max_norm"


@pytest.mark.slow
@pytest.mark.parametrize("override", SCIENCE)
def test_a_checked_config_has_the_identity_of_the_composed_one(override):
    cfg = Composer().compose([*BASE, override])
    assert config_hash(OmegaConf.to_container(cfg, resolve=True)) == config_hash(cfg)


def test_code_of_regularizers_is_not_part_of_the_setting(composer):
    none, l2 = composer.compose([]), composer.compose(["regularizer=l2"])
    assert setting_hash(none) == setting_hash(l2)
    assert "regularizer" not in setting_fields(l2)["code"]
    assert set(setting_fields(l2)["code"]) == {"core", "data", "model"}
    assert (strategy_code(none), len(strategy_code(l2))) == ("", 8)
    assert strategy_code(composer.compose(["regularizer=l2", "regularizer.l2.strength=5"])) == strategy_code(l2)
    assert recipe_hash(none) != recipe_hash(l2)


def test_a_model_in_the_hub_cache_is_identified_by_its_commit(composer, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    cfg = composer.compose(["model=hf_causal_lm", "model.path=some/decoder", "data=python_docs"])
    absent = config_hash(cfg)
    (tmp_path / "models--some--decoder" / "refs").mkdir(parents=True)
    hashes = set()
    for commit in ("a" * 40, "b" * 40):
        (tmp_path / "models--some--decoder" / "refs" / "main").write_text(commit)
        hashes.add(config_hash(cfg))
        assert identity_parts(cfg)["model"]["path"] == f"some/decoder@{commit}"
    assert len({*hashes, absent}) == 3
