"""Configs of data sets build their classes, and are checked without heavy imports."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

import reglab.data
from reglab.data.base import TensorData
from reglab.paths import CONF, PROJECT

NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml") if not path.stem.startswith("_"))


HUB = ["huggingface", "huggingface_text"]


def composed(name, *overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(overrides=[f"+data={name}", "+seed=3", *overrides])
    OmegaConf.resolve(cfg)
    return cfg.data


def test_every_data_set_has_a_config():
    targets = {OmegaConf.load(CONF / "data" / f"{name}.yaml")._target_.rpartition(".")[2]: name for name in NAMES}
    found = {}
    for module in iter_modules(reglab.data.__path__):
        for name, value in vars(import_module(f"reglab.data.{module.name}")).items():
            defined_here = inspect.isclass(value) and value.__module__ == f"reglab.data.{module.name}"
            if defined_here and issubclass(value, TensorData) and value is not TensorData:
                found[name] = module.name
    assert targets == found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_config_builds_its_class(name, tmp_path):
    (tmp_path / "wine.csv").write_text("x,label\n1,a\n")
    overrides = [f"data.path={tmp_path / 'wine.csv'}"] if name in ("csv", "text", *HUB) else []
    overrides += ["data.root=wine"] if name in ("idx", "image_folder") else []
    overrides += ["data.name=wine", "data.version=1"] if name == "openml" else []
    cfg = composed(name, *overrides, *(["data.target=label"] if name == "csv" else []))
    data = instantiate(cfg)
    assert data.name == ("wine" if overrides else name)
    assert (data.seed, data.split_seed) == (3, 3)
    text = name in ("text", "huggingface_text", "python_docs")
    fractions = {
        "seed_noise": (0.0, None),
    }.get(name, (0.1, 0.1) if text else (0.2, 0.2))
    assert (data.val_fraction, data.test_fraction) == fractions
    assert (data.train_size, data.label_noise, data.batch_size) == (None, 0.0, 16 if text else 64)


@pytest.mark.parametrize("name", NAMES)
def test_a_config_begins_with_the_command_that_runs_it(name):
    first = (CONF / "data" / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith(f'# make train ARGS="data={name}')


def test_settings_and_paths_are_checked_without_heavy_imports():
    code = (
        "import sys, reglab.data, reglab.data.files, reglab.data.settings, reglab.data.hub\n"
        "assert not {'torch', 'numpy', 'pandas', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("file", sorted((PROJECT / "src/reglab/data").rglob("*.py")), ids=lambda file: file.stem)
def test_the_libraries_of_a_data_set_are_imported_by_load(file):
    late = {"pandas", "pyarrow", "sklearn", "mlxtend", "mnist1d"}
    for statement in ast.parse(file.read_text()).body:  # imports of the module, not of functions
        if isinstance(statement, ast.Import):
            assert not late & {alias.name.split(".")[0] for alias in statement.names}
        if isinstance(statement, ast.ImportFrom):
            assert statement.module is not None
            assert statement.module.split(".")[0] not in late
