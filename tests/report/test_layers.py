"""Imports within the report follow its layers, and exclude modules that train."""

import ast
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path

import pytest

SRC = Path(str(files("reglab"))).parent
# A module may import modules of its line and of the lines above.
LAYERS = [
    ["number_format", "records"],
    ["question", "run_filter", "statistics"],
    ["arms", "trials"],
    ["findings"],
    ["folder"],
    ["charts"],
    ["render"],
    ["make"],
]
FORBIDDEN = {"study", "execution", "training", "models", "regularizers", "tasks", "data", "inference", "config", "cli"}


def imports() -> dict[str, set[str]]:
    """Return the modules of reglab that each module of the report imports, for types as well."""
    modules = {".".join(file.relative_to(SRC).with_suffix("").parts): file for file in (SRC / "reglab").rglob("*.py")}
    imported = {}
    for name, file in modules.items():
        if not name.startswith("reglab.report.") or file.name == "__init__.py":
            continue
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: imports are absolute"
                members = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {member if member in modules else node.module or "" for member in members}
        imported[name] = {module for module in names if module.split(".")[0] == "reglab"}
    return imported


IMPORTS = imports()


def layer_of(module: str) -> int:
    part = module.split(".")[2]
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def test_each_module_has_a_layer() -> None:
    assert {module.split(".")[2] for module in IMPORTS} == {part for parts in LAYERS for part in parts}


@pytest.mark.parametrize("module", IMPORTS)
def test_imports_point_to_lower_layers(module: str) -> None:
    of_report = [name for name in IMPORTS[module] if name.startswith("reglab.report.")]
    assert [name for name in of_report if layer_of(name) > layer_of(module)] == []


def test_there_is_no_cycle() -> None:
    graph = {module: {name for name in names if name in IMPORTS} for module, names in IMPORTS.items()}
    assert len(tuple(TopologicalSorter(graph).static_order())) == len(IMPORTS)


def test_the_report_imports_no_training() -> None:
    assert {name for names in IMPORTS.values() for name in names if name.split(".")[1] in FORBIDDEN} == set()
