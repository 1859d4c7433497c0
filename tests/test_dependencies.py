"""What the code imports is listed in pyproject.toml, and not only installed because another package wants it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reglab.paths import PROJECT

LISTED = [
    Requirement(line) for line in tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
]
OURS = {"reglab", "hydra_plugins"}


def imported() -> dict[str, Path]:
    """Top-level packages that src and pipelines import, each with a file that does."""
    found: dict[str, Path] = {}
    for file in [*PROJECT.glob("src/**/*.py"), *PROJECT.glob("pipelines/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            found |= {name.split(".")[0]: file for name in names}
    return {name: file for name, file in found.items() if name not in sys.stdlib_module_names | OURS}


def test_every_import_is_listed() -> None:
    listed = {canonicalize_name(requirement.name) for requirement in LISTED}
    packages = packages_distributions()
    missing = {
        name: str(file.relative_to(PROJECT))
        for name, file in imported().items()
        if not listed & {canonicalize_name(package) for package in packages.get(name, [])}
    }
    assert missing == {}


@pytest.mark.parametrize("requirement", LISTED, ids=lambda requirement: requirement.name)
def test_the_lock_holds_a_version_within_the_bounds(requirement: Requirement) -> None:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    locked = {canonicalize_name(name): version for name, version in pins.items()}
    assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])
