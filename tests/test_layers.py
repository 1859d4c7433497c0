"""Packages import only lower layers: pipelines -> study -> execution -> training; study -> report."""

import ast
from pathlib import Path

import pytest

import reglab

ROOT = Path(reglab.__file__).parent
# Packages that a package must not import, not even inside functions.
ABOVE = {
    "study": {"cli"},
    "execution": {"study", "report", "cli"},
    "report": {"study", "execution", "training", "tracking", "cli"},
    "training": {"study", "execution", "report", "cli"},
    "tracking": {"study", "execution", "report", "training", "cli"},
    "samplers": {"study", "execution", "report", "training", "tracking", "config", "cli"},
}


def imported_packages(package: str) -> dict[str, str]:
    """Return the packages of reglab that a package imports, each with one importing file."""
    importers: dict[str, str] = {}
    for file in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reglab":
                parts = (node.module or "").split(".")[1:] or [alias.name for alias in node.names]
                importers[parts[0]] = str(file.relative_to(ROOT))
    return importers


@pytest.mark.slow
@pytest.mark.parametrize("package", ABOVE)
def test_a_package_imports_none_above_it(package: str) -> None:
    imported = imported_packages(package)
    assert {name: imported[name] for name in ABOVE[package] & imported.keys()} == {}
