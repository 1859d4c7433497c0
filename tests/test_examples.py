"""Doctests of all modules."""

import doctest
import importlib
from pathlib import Path

import pytest

import reglab

ROOT = Path(reglab.__file__).parent
MODULES = [
    ".".join(("reglab", *file.relative_to(ROOT).with_suffix("").parts))
    for file in sorted(ROOT.rglob("*.py"))
    if ">>>" in file.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_have_the_shown_output(module: str) -> None:
    result = doctest.testmod(importlib.import_module(module.removesuffix(".__init__")))
    assert result.attempted
    assert not result.failed
