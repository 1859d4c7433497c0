"""Every file in conf/ begins with a valid command, and the config that it composes trains."""

import functools
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml

from reglab.config.check_run import check
from reglab.config.compose import Composer, fit_strengths
from reglab.config.identity import strategy
from reglab.models.layers import ACTIVATION, NORM
from reglab.paths import CONF
from tests.conftest import fresh_store
from tests.data.openml_responses import FLOWERS, save_openml
from tests.data.test_idx import idx
from tests.data.test_image_folder import pixels, write
from tests.models.decoders import save_decoder

FILES = sorted(CONF.rglob("*.yaml"))
TRAINED = [path for path in FILES if path.parent != CONF and path.parts[-2] not in ("hydra", "study")]
COMMAND = re.compile(r"make (?P<target>[a-z]+)(?: ARGS=\"(?P<args>[^\"]*)\")?")
CONFIG = {
    "train": "train",
    "sweep": "train",
    "study": "study",
    "compare": "study",
    **{command: command for command in ("report", "rerun", "status", "ui", "generate", "evaluate", "export")},
}


def name(path: Path) -> str:
    return str(path.relative_to(CONF))


def command(path: Path) -> tuple[str, list[str]]:
    """Return target and overrides of the command in a file's first line (the second, after a package line)."""
    lines = path.read_text(encoding="utf-8").splitlines()
    line = lines[1] if lines[0] == "# @package _global_" else lines[0]
    assert line.startswith("# ")
    found = COMMAND.search(line)
    assert found, f"{name(path)}: no command in {line!r}"
    return found["target"], shlex.split(found["args"] or "")


@functools.cache
def composer_of(config_name):
    return Composer(config_name)


@pytest.fixture(scope="module")
def composer():
    return composer_of("train")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Path of a table for the command of data=csv."""
    path = tmp_path_factory.mktemp("table") / "table.csv"
    rows = [f"{i},{i % 3},{'yes' if i % 2 else 'no'}" for i in range(40)]
    path.write_text("\n".join(["a,b,answer", *rows]))
    return path


@pytest.fixture(scope="module")
def common_store_uri(tmp_path_factory, empty_database):
    return fresh_store(empty_database, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders by the stem of the file in conf/ that needs one; that of ``idx`` also contains ``my_net.py``."""
    images, decoder = (tmp_path_factory.mktemp(kind) for kind in ("images", "decoder"))
    for part, shape in (("images-idx3", (40, 8, 8)), ("labels-idx1", (40,))):
        (images / f"train-{part}-ubyte").write_bytes(idx(np.arange(math.prod(shape)).reshape(shape) % 2))
    save_decoder(decoder)
    (images / "my_net.py").write_text(
        "from torch import nn\n\n\nclass Net(nn.Sequential):\n    def __init__(self, outputs):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(64, outputs))\n"
    )
    pictures = tmp_path_factory.mktemp("pictures")
    for number in range(40):
        write(pictures / "ab"[number % 2] / f"{number}.png", pixels(number, (8, 8)))
    rows, texts = (tmp_path_factory.mktemp(kind) for kind in ("rows", "texts"))
    (rows / "train.csv").write_text("\n".join(["x,label", *(f"{i},{i % 3}" for i in range(40))]))
    (texts / "train.txt").write_text("\n".join("one two three"[: i % 12 + 1] for i in range(400)))
    return {
        "idx": images,
        "image_folder": pictures,
        "huggingface": rows,
        "huggingface_text": texts,
        "hf_causal_lm": decoder,
        "lora_dropout": decoder,
    }


def overrides(path: Path, table: Path, folder: str = "FOLDER") -> list[str]:
    _, typed = command(path)
    replaced = [item.replace("FILE", str(table)).replace("COLUMN", "answer") for item in typed]
    return [item.replace("FOLDER", folder) for item in replaced]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file_begins_with_a_command_that_composes(path, table):
    target, _ = command(path)
    composer_of(CONFIG[target]).whole([o for o in overrides(path, table) if not o.startswith("tracking.uri")])


@pytest.mark.parametrize("path", TRAINED, ids=name)
def test_a_command_uses_its_file(path, composer):
    target, typed = command(path)
    group, option = path.parent.name, path.stem
    if not option.startswith("_"):
        chosen = yaml.safe_load(next((o.partition("=")[2] for o in typed if o.startswith(f"{group}=")), "null"))
        assert option in (chosen if isinstance(chosen, list) else [chosen])
    assert target in CONFIG


@pytest.mark.slow
@pytest.mark.parametrize("path", TRAINED, ids=name)
def test_the_config_of_a_file_trains_two_steps(path, composer, table, folders, common_store_uri, monkeypatch):
    from reglab.training.run import run

    monkeypatch.chdir(folders["idx"])  # contains my_net.py
    few = ["trainer.max_steps=2", "trainer.limit_val_batches=2", "trainer.limit_test_batches=2"]
    save_openml(folders["idx"], FLOWERS)
    cfg = composer.compose(
        base_overrides := [
            *overrides(path, table, str(folders.get(path.stem, "FOLDER"))),
            *few,
            *([f"data.cache={folders['idx']}"] if path.stem == "openml" else []),
            "trainer.accelerator=cpu",
            "trainer.progress=false",
            f"tracking.uri={common_store_uri}",
        ]
    )
    if "context_length" in cfg.data:  # the output of a decoder has one number per token and position: use a short text
        short = ["data.val_fraction=0.01", "data.test_fraction=0.01", "data.batch_size=4", "data.context_length=16"]
        cfg = composer.compose([*base_overrides, *short])
    check(cfg)
    result = run(cfg)
    assert result.run_id
    assert result.strategy == strategy(cfg)
    assert result.metrics["test/loss"] > 0


@pytest.mark.slow
def test_the_main_comparison_has_enough_strategies_and_seeds(composer):
    params = composer.whole(["experiment=compare"]).hydra.sweeper.params
    strategies = re.findall(r"\[[^]]*\]|[a-z0-9_]+", params.regularizer)
    assert len(strategies) >= 6
    assert params.seed == "range(0,10)"
    strengths = [f"{key}={value}" for key, value in params.items() if str(key).startswith("regularizer.")]
    jobs = [["experiment=compare", f"regularizer={chosen}", *strengths] for chosen in strategies]
    fitted = fit_strengths(jobs, composer)
    assert len(fitted) == len(strategies)
    for job in fitted:
        check(composer.compose(job))
    assert fitted[0] == ["experiment=compare", "regularizer=none"]


def test_comments_list_the_allowed_options():
    for model in ("mlp", "cnn"):
        text = (CONF / "model" / f"{model}.yaml").read_text(encoding="utf-8")
        for word in (*ACTIVATION.options, *NORM.options):
            assert re.search(rf"\b{word}\b", text)
