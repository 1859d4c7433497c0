"""Every imported package is a direct dependency in pyproject.toml, and the lock files agree with it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reglab.data.files import PACKAGE_PINS
from reglab.paths import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
LISTED = [Requirement(line) for line in PYPROJECT["dependencies"]]
FILES_ALONE = [Requirement(line) for extra in ("genes", "speech") for line in PYPROJECT["optional-dependencies"][extra]]
OURS = {"reglab", "hydra_plugins"}


def imported_packages() -> dict[str, Path]:
    """Return the top-level packages that src and pipelines import, each with one importing file."""
    importers: dict[str, Path] = {}
    for file in [*PROJECT.glob("src/**/*.py"), *PROJECT.glob("pipelines/*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            importers |= {name.split(".")[0]: file for name in names}
    return {name: file for name, file in importers.items() if name not in sys.stdlib_module_names | OURS}


@pytest.mark.slow
def test_every_import_is_listed() -> None:
    listed = {canonicalize_name(requirement.name) for requirement in LISTED}
    packages = packages_distributions()
    missing = {
        name: str(file.relative_to(PROJECT))
        for name, file in imported_packages().items()
        if not listed & {canonicalize_name(package) for package in packages.get(name, [])}
    }
    assert missing == {}


def locked_versions(name: str) -> dict[str, str]:
    """Return the versions in a lock file, by package."""
    lines = (PROJECT / name).read_text().splitlines()
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}


@pytest.mark.parametrize("requirement", LISTED, ids=lambda requirement: requirement.name)
def test_the_lock_holds_a_version_within_the_bounds(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked_versions("requirements.lock")[canonicalize_name(requirement.name)])


@pytest.mark.slow
def test_packages_used_only_for_their_files_have_a_separate_lock() -> None:
    data_lock = locked_versions("requirements-data.lock")
    assert set(data_lock) == {canonicalize_name(requirement.name) for requirement in FILES_ALONE}
    # These packages are installed without their dependencies.
    assert not set(data_lock) & set(locked_versions("requirements.lock"))
    assert not {canonicalize_name(name) for name in imported_packages()} & set(data_lock)
    for requirement in FILES_ALONE:
        assert requirement.specifier.contains(data_lock[canonicalize_name(requirement.name)])
        assert PACKAGE_PINS[requirement.name] == f"{requirement.name}=={data_lock[canonicalize_name(requirement.name)]}"
