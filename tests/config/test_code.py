"""Code and libraries in the identity of a run: a change affects the runs that use it, and no others."""

import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from reglab.config.code import Code, code_of
from reglab.config.compose import Composer
from reglab.paths import PROJECT

RUNS = {
    "none": [],
    "l2": ["regularizer=l2"],
    "focal": ["regularizer=focal"],
    "smooth": ["regularizer=label_smoothing"],
    "both": ["regularizer=[dropout,l2]"],
    "wine": ["data=wine"],
    "cnn": ["model=cnn"],
    "text": ["data=python_docs", "model=llama"],
    "csv": ["data=csv", "data.path=/tmp/a.csv", "data.target=y"],
}
EVERY = set(RUNS)


@pytest.fixture(scope="module")
def configs() -> dict[str, dict]:
    composer = Composer()
    return {name: OmegaConf.to_container(composer.compose(line), resolve=True) for name, line in RUNS.items()}  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "affected"),
    [
        ("regularizers/l2.py", {"l2", "both"}),
        ("regularizers/_class_probabilities.py", {"focal", "smooth"}),
        ("regularizers/_activation_noise.py", {"both"}),
        ("regularizers/mixup.py", set()),
        ("regularizers/__init__.py", set()),
        ("regularizers/base.py", EVERY),
        ("data/digits.py", {"none", "l2", "focal", "smooth", "both", "cnn"}),
        ("data/wine.py", {"wine"}),
        ("data/text.py", {"text"}),
        ("data/tables/features.py", {"csv"}),
        ("data/splitting/random.py", EVERY),
        ("data/splitting/methods.py", {"csv"}),
        ("data/settings.py", set()),
        ("data/batches.py", EVERY),
        ("models/cnn.py", {"cnn"}),
        ("models/llama.py", {"text"}),
        ("tasks/classification.py", EVERY),
        ("training/module.py", EVERY),
        ("training/weights.py", EVERY),
        ("seeding.py", EVERY),
        ("errors.py", set()),
        ("config/rules.py", set()),
        ("tracking/run.py", set()),
        ("report/findings/leaderboard.py", set()),
        ("training/run_record.py", set()),
        ("training/effect_guard.py", set()),
    ],
)
def test_a_changed_file_affects_the_runs_that_use_it(
    configs: dict[str, dict], tmp_path: Path, file: str, affected: set[str]
) -> None:
    copy = shutil.copytree(PROJECT / "src/reglab", tmp_path / "reglab", ignore=shutil.ignore_patterns("__pycache__"))
    with (copy / file).open("a") as code:
        code.write("# another\n")
    before = {name: code_of(plain) for name, plain in configs.items()}
    after = {name: code_of(plain, copy) for name, plain in configs.items()}
    assert {name for name in configs if before[name].parts != after[name].parts} == affected
    assert {name: code.versions for name, code in before.items()} == {n: f.versions for n, f in after.items()}


def test_line_endings_do_not_count(configs: dict[str, dict], tmp_path: Path) -> None:
    other = shutil.copytree(PROJECT / "src/reglab", tmp_path / "reglab", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (other / "regularizers").glob("*.py"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert code_of(configs["both"], other) == code_of(configs["both"])


def test_the_core_contains_no_single_method_data_set_or_network(configs: dict[str, dict]) -> None:
    modules = set(code_of(configs["none"]).modules) - {
        "reglab.data.digits",
        "reglab.models.mlp",
        "reglab.models.layers",
    }
    conf = {path.stem for group in ("regularizer", "data", "model") for path in PROJECT.glob(f"conf/{group}/*.yaml")}
    assert not {name.rpartition(".")[2] for name in modules if not name.startswith("reglab.compat.")} & conf
    assert {"reglab.training.run", "reglab.training.module", "reglab.regularizers.base", "reglab.seeding"} <= modules
    assert not {name for name in modules if name.startswith(("reglab.config", "reglab.tracking", "reglab.study"))}


def minor_version(package: str) -> str:
    return ".".join(version(package).split("+")[0].split(".")[:2])


def test_libraries_of_a_run_are_identified_by_their_minor_version(configs: dict[str, dict]) -> None:
    def versions(name: str) -> dict[str, str]:
        code: Code = code_of(configs[name])
        return code.versions

    base = {name: minor_version(name) for name in ("torch", "numpy", "torchmetrics")}
    base |= {"pytorch_lightning": minor_version("pytorch-lightning"), "sklearn": minor_version("scikit-learn")}
    assert versions("none") == base
    assert versions("text") == base | {name: minor_version(name) for name in ("tokenizers", "transformers")}
    assert versions("csv") == base | {name: minor_version(name) for name in ("pandas", "pyarrow")}
    mnist1d = OmegaConf.to_container(Composer().compose(["data=mnist1d"]), resolve=True)
    assert code_of(mnist1d).versions["mnist1d"] == version("mnist1d")  # type: ignore[arg-type]


def test_the_text_of_this_python_is_part_of_the_code_of_python_docs(configs: dict[str, dict]) -> None:
    assert "pydoc_data.topics" in code_of(configs["text"]).modules
