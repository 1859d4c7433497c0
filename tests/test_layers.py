"""Imports point one way: pipelines -> study -> execution -> training; study -> report; each knows none above it."""

import ast
from pathlib import Path

import pytest

import reglab

ROOT = Path(reglab.__file__).parent
# By package: those that it must not import, also not inside functions.
ABOVE = {
    "study": {"cli"},
    "execution": {"study", "report", "cli"},
    "report": {"study", "execution", "training", "tracking", "cli"},
    "training": {"study", "execution", "report", "cli"},
    "tracking": {"study", "execution", "report", "training", "cli"},
    "samplers": {"study", "execution", "report", "training", "tracking", "config", "cli"},
}


def imported_packages(package: str) -> dict[str, str]:
    """The packages of reglab that a package imports, each with a file that does."""
    found: dict[str, str] = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reglab":
                parts = (node.module or "").split(".")[1:] or [alias.name for alias in node.names]
                found[parts[0]] = str(file.relative_to(ROOT))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("package", ABOVE)
def test_a_package_imports_none_above_it(package: str) -> None:
    imported = imported_packages(package)
    assert {name: imported[name] for name in ABOVE[package] & imported.keys()} == {}
