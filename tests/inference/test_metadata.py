"""Descriptions of data sets in the metadata of exported models."""

import importlib
import pkgutil

import reglab.data
from reglab.data.base import TensorData
from reglab.data.text import Text


def test_metadata_describe_data_without_class_names() -> None:
    """The first paragraph of the docstring is part of the metadata."""
    modules = [
        importlib.import_module(info.name) for info in pkgutil.iter_modules(reglab.data.__path__, "reglab.data.")
    ]
    kinds = {kind for module in modules for kind in vars(module).values() if isinstance(kind, type)}
    described = [kind for kind in kinds - {TensorData} if issubclass(kind, TensorData) and not issubclass(kind, Text)]
    assert len(described) > 10
    for kind in described:
        assert "`" not in (kind.__doc__ or "").partition("\n\n")[0], kind
