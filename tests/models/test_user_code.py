"""User modules: code that belongs to a network, imports, and lines in error messages."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from reglab.config.code import code_of
from reglab.config.compose import compose
from reglab.config.identity import config_hash
from reglab.config.trusted import Typed, apply_typed
from reglab.execution.attempt import attempt
from reglab.models.own import Own
from reglab.schema.errors import ConfigError, PlanOutdated
from reglab.tracking import queries
from reglab.tracking.run import _one_line
from reglab.tracking.store import open_store
from reglab.training.build import build_data, build_model
from reglab.training.model_data_checks import check_fit
from reglab.training.run import run
from reglab.user_code import finding, importing
from tests.errors import config_error

NET = """
import math
from torch import nn
{imports}
class Net(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        {constructor}
        self.body = nn.Linear(math.prod(input_shape), outputs)
    def forward(self, x):
        {forward}
        return self.body(x)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    importing.unload()  # before a test changes sys.path, which is restored after it
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(
    folder: Path, imports: str = "", constructor: str = "pass", forward: str = "pass", file: str = "net.py"
) -> None:
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(NET.format(imports=imports, constructor=constructor, forward=forward))


def names(target: str = "net.Net") -> set[str]:
    code = code_of({"model": {"_target_": "reglab.models.own.Own", "target": target}})
    return {name for name in code.modules if not name.startswith("reglab.")}


def digest(target: str = "net.Net") -> str:
    return code_of({"model": {"_target_": "reglab.models.own.Own", "target": target}}).parts["model"]


def new_network(target: str = "net.Net") -> torch.nn.Module:
    return Own((4,), 3, target=target)  # type: ignore[return-value]


@pytest.mark.slow
def test_the_code_of_a_network_includes_all_user_modules(folder: Path) -> None:
    write(
        folder,
        "import blocks.deep.layers as layers\nfrom blocks import *\n"
        "try:\n    import speedups\nexcept ImportError:\n    pass",
        constructor="from parts import head",
        forward="import late",
        file="nets/mine.py",
    )
    for file, text in {
        "blocks/__init__.py": "__all__ = ['starred']\nfrom .near import near\n",
        "blocks/near.py": "near = 1\n",
        "blocks/starred.py": "",
        "blocks/deep/layers.py": "from ..far import y\n",
        "blocks/far.py": "import numpy\ny = 1\n",
        "parts.py": "head = 1\n",
        "late.py": "class A:\n    def f(self):\n        import later\n",
        "later.py": "",
        "unused.py": "",
    }.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    modules = names("nets.mine.Net")
    assert modules == {
        "nets.mine", "blocks", "blocks.near", "blocks.starred", "blocks.deep.layers", "blocks.far", "parts", "late",
        "later",
    }  # fmt: skip
    for file in ("blocks/far.py", "later.py", "blocks/__init__.py", "blocks/starred.py"):
        before, text = digest("nets.mine.Net"), (folder / file).read_text()
        (folder / file).write_text(f"{text}# another\n")
        assert digest("nets.mine.Net") != before, file
        (folder / file).write_bytes(text.replace("\n", "\r\n").encode())  # line endings do not count
        assert digest("nets.mine.Net") == before, file
    before = digest("nets.mine.Net")
    (folder / "unused.py").write_text("another = 1\n")
    assert digest("nets.mine.Net") == before
    (folder / "speedups.py").write_text("")  # a module that did not exist before
    assert "speedups" in names("nets.mine.Net")
    assert new_network("nets.mine.Net")(torch.zeros(2, 4)).shape == (2, 3)


def test_modules_are_imported_in_constructors_and_forward_passes(folder: Path) -> None:
    write(folder, constructor="from parts import width", forward="import late")
    (folder / "parts.py").write_text("width = 3\n")
    (folder / "late.py").write_text("from parts import width\n")
    assert new_network()(torch.zeros(2, 4)).shape == (2, 3)
    assert "late" in sys.modules


def test_changed_files_and_files_of_other_folders_are_imported_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "from parts import mark")
    (folder / "parts.py").write_text("mark = 1\n")
    first = new_network()
    assert sys.modules["net"].mark == 1
    assert type(new_network()) is type(first)  # no change
    (folder / "parts.py").write_text("mark = 2\n")  # same length, within one second
    new_network()
    assert sys.modules["net"].mark == 2
    write(folder / "other", "from parts import mark")
    (folder / "other" / "parts.py").write_text("mark = 3\n")
    monkeypatch.chdir(folder / "other")
    new_network()
    assert sys.modules["net"].mark == 3


@pytest.mark.parametrize(
    ("name", "whose"),
    [("statistics", "Python's own"), ("tokenizers", "installed"), ("mlflow", "installed")],
)
def test_a_file_named_as_another_module_is_refused(folder: Path, name: str, whose: str) -> None:
    write(folder, file=f"{name}.py")
    with config_error(f"model.target={name}.Net: {name}.py ... {whose} ... rename it"):
        finding.source_file(f"{name}.Net", "model.target")
    write(folder, f"import {name}")
    with pytest.raises(ConfigError, match=rf"^model.target=net.Net: {name}.py"):
        digest()
    (folder / f"{name}.py").unlink()
    (folder / name).mkdir()  # a folder of data, for example
    assert names() == {"net"}


def test_module_names_of_reglab_can_be_used(folder: Path) -> None:
    for name in ("train", "evaluate", "test", "report"):
        write(folder, file=f"{name}.py")
        assert type(new_network(f"{name}.Net")).__module__ == name
    write(folder, file="my-net.py")
    with config_error("model.target=my-net.Net: my_net.py"):
        new_network("my-net.Net")


def test_computed_imports_and_changed_paths_are_refused(folder: Path) -> None:
    write(folder, "import importlib\nhidden = importlib.import_module('hid' + 'den')")
    (folder / "hidden.py").write_text("")
    assert names() == {"net"}
    with config_error("model.target=net.Net: import hidden"):
        new_network()
    for by_path in ("importlib.util.spec_from_file_location('hidden', 'hidden.py')", "runpy.run_path('hidden.py')"):
        write(folder, "import helper")
        (folder / "helper.py").write_text(f"import importlib.util, runpy\ndef load():\n    return {by_path}")
        with config_error("model.target=net.Net: helper.py ... path"):
            names()
    (folder / "helper.py").unlink()
    (folder / "lib").mkdir()
    (folder / "lib" / "far.py").write_text("")
    write(folder, "import sys\nsys.path.insert(0, 'lib')\nimport far")
    with config_error("model.target=net.Net: /lib ... sys.path"):
        new_network()
    assert "lib" not in sys.path
    write(folder, "import importlib, hidden\nhidden = importlib.import_module('hid' + 'den')")
    new_network()
    assert names() == {"net", "hidden"}


def test_kernels_compiled_by_torch_are_not_user_code(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "import importlib\nkernel = importlib.import_module('ker' + 'nel')")
    kernels = tmp_path / "kernels"
    kernels.mkdir()
    (kernels / "kernel.py").write_text("")
    monkeypatch.syspath_prepend(kernels)
    with config_error("model.target=net.Net: kernel ... computed"):
        new_network()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(kernels))
    new_network()


@pytest.mark.slow
@pytest.mark.parametrize("parts", [{"imports": "{}"}, {"constructor": "{}"}, {"forward": "{}"}])
def test_files_that_a_network_reads_must_be_arguments(folder: Path, parts: dict[str, str]) -> None:
    (folder / "w.txt").write_text("1")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "kernel.txt").write_text("1")
    reads = "import numpy as np; np.savetxt('made.txt', [1]); np.loadtxt('made.txt'); open('.cache/kernel.txt').close()"
    write(folder, **{part: text.format(f"{reads}; np.loadtxt('w.txt')") for part, text in parts.items()})
    overrides = ["model=torch", "model.target=net.Net", "data=wine"]
    cfg = compose(overrides)
    for _ in range(2):  # an imported module is imported again
        data = build_data(cfg)
        with config_error("model.target=net.Net: w.txt ... {file:w.txt}"):
            check_fit(cfg, build_model(cfg, data), data)
    write(folder, **{part: text.format(reads) for part, text in parts.items()})
    check_fit(cfg, build_model(cfg, data), data)
    for opened in ("open('w.txt', 'a+')", "(open('w.txt').close(), open('w.txt', 'a'))"):  # reads and writes
        write(folder, **{part: text.format(opened) for part, text in parts.items()})
        with pytest.raises(ConfigError, match=r"^model.target=net.Net: reads w.txt"):
            check_fit(cfg, build_model(cfg, data), data)


@pytest.mark.slow
def test_files_in_arguments_are_identified_by_their_content(folder: Path) -> None:
    (folder / "w.txt").write_text("1")
    (folder / "same.txt").write_text("1")
    source = NET.format(imports="import numpy as np", constructor="np.loadtxt(file)", forward="pass")
    (folder / "net.py").write_text(source.replace("outputs):", "outputs, file):"))
    overrides = ["model=torch", "model.target=net.Net", "data=wine"]
    named, moved = (compose([*overrides, f"model.args={{file:{name}}}"]) for name in ("w.txt", "same.txt"))
    before = config_hash(named)
    assert config_hash(moved) == before
    data = build_data(named)
    check_fit(named, build_model(named, data), data)
    (folder / "w.txt").write_text("2")
    assert config_hash(named) != before
    with pytest.raises(ConfigError, match=r"^model.args=.*w.txt.*type it: \"model.args="):
        apply_typed(named, Typed({"model.target": "net.Net"}))


@pytest.mark.slow
def test_late_computed_imports_are_tagged_and_changed_data_refused(folder: Path, store_uri: str) -> None:
    overrides = [
        "model=torch",
        "model.target=net.Net",
        "data=wine",
        "trainer.max_epochs=20",
        f"tracking.uri={store_uri}",
    ]
    overrides += ["trainer.progress=false", "tracking.weights=none"]
    (folder / "hidden.py").write_text("")
    late = "importlib.import_module('hid' + 'den') if len(seen) > 25 else seen.append(1)"
    write(folder, "import importlib\nseen = []", forward=late)
    record = queries.get(open_store(store_uri, "reglab"), run(compose(overrides), overrides).run_id)
    assert record is not None
    assert record.tags["unknown_code"].startswith("hidden was imported by a computed name")
    write(folder, "import importlib", forward="self.training and importlib.import_module('hid' + 'den')")
    with config_error("model.target=net.Net: hidden ... computed"):
        run(compose(overrides), overrides)

    (folder / "data.csv").write_text("x,y\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(60)))
    write(folder, constructor="open('data.csv', 'a').write('1,a\\n')")  # another process could import it
    csv_overrides = ["data=csv", "data.path=data.csv", "data.target=y"]
    with pytest.raises(PlanOutdated):
        run(compose([*overrides, *csv_overrides]), [*overrides, *csv_overrides])
    cfg = compose([*overrides, *csv_overrides])
    before = len(queries.runs(open_store(store_uri, "reglab")))
    outcome = attempt(cfg, overrides, "0" * 16, "none")
    assert outcome.error
    assert "has changed" in outcome.error
    assert len(queries.runs(open_store(store_uri, "reglab"))) == before


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"imports": "1 +"}, "net.py:4: SyntaxError: "),
        ({"imports": "from blocks import broken"}, "(blocks.py:2: ZeroDivisionError: "),
        ({"imports": "import nowhere"}, "(net.py:4: ModuleNotFoundError: ... 'nowhere')"),
        ({"imports": "raise SystemExit(0)"}, "(net.py:4: SystemExit: ... sys.exit(0)"),
        (
            {"constructor": "sys.exit()", "imports": "import sys"},
            "(net.py:8 in __init__: SystemExit: ",
        ),
        ({"constructor": "{}['a']"}, "(net.py:8 in __init__: KeyError: 'a')"),
    ],
)
def test_an_error_contains_the_line_of_the_user(folder: Path, parts: dict[str, str], problem: str) -> None:
    (folder / "blocks.py").write_text("\nbroken = 1 / 0\n")
    write(folder, **parts)
    with config_error(f"model.target=net.Net: {problem}"):
        new_network()


def test_an_error_in_training_contains_the_line_of_the_user(folder: Path) -> None:
    write(folder, forward="x.reshape(7)")
    network = new_network()
    with pytest.raises(RuntimeError) as caught:
        network(torch.zeros(2, 4))
    assert _one_line(caught.value).startswith("net.py:11 in forward: RuntimeError: shape ")


@pytest.mark.slow
def test_user_modules_are_found_without_running_them(folder: Path) -> None:
    write(folder, "raise SystemExit(3)")
    code = (
        "import sys; from reglab.config.compose import compose; from reglab.config.identity import config_hash\n"
        "config_hash(compose(['model=torch', 'model.target=net.Net']))\n"
        "assert not {'net', 'torch', 'mlflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_a_class_in_a_config_is_not_a_computed_import(
    folder: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Train a network by `model.target` and another by ``model._target_`` in one process."""
    monkeypatch.syspath_prepend(folder)
    write(folder)
    write(folder, file="other_net.py")
    overrides = ["data=wine", "trainer.max_epochs=1", f"tracking.uri={store_uri}", "trainer.progress=false"]
    by_target, by_class = ["model=torch", "model.target=net.Net"], ["model=mlp", "model._target_=other_net.Net"]
    by_class += ["~model.hidden_sizes", "~model.activation", "~model.norm"]
    store = open_store(store_uri, "reglab")
    for seed, model in enumerate((by_target, by_class, by_target)):
        seed_overrides = [*overrides, *model, f"seed={seed}"]
        record = queries.get(store, run(compose(seed_overrides), seed_overrides).run_id)
        assert record is not None
        assert "unknown_code" not in record.tags
