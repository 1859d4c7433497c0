"""Import a user's network from exactly the modules that were found, and find the user's line in an error."""

import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from reglab.schema.errors import ConfigError, Setting
from reglab.user_code.finding import (
    Modules,
    UserModule,
    closure,
    found_files,
    is_user_file,
    module_and_class,
    source_file,
    user_folders,
)


class _Loader(importlib.machinery.SourceFileLoader):
    """Run the present source, never cached bytecode, whose time stamp has only seconds."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Finder:
    """A finder of ``sys.meta_path`` for the modules that were found, in exactly their files, and for no others."""

    def __init__(self) -> None:
        self.modules: dict[str, UserModule] = {}
        self.state: object = None
        self.modules_before: frozenset[str] = frozenset()
        self.folder = ""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        found = self.modules.get(name)
        if found is None:
            return None
        inner = list(found.folders) or None
        if found.file is None:
            spec = importlib.machinery.ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = inner
            return spec
        loader = _Loader(name, str(found.file)) if found.file.suffix == ".py" else None
        return importlib.util.spec_from_file_location(name, found.file, loader=loader, submodule_search_locations=inner)


_finder = _Finder()


def load(target: str, key: str) -> Any:
    """Import the object of a name from the user's own folders, or from an installed package.

    Its modules are imported again if one of their files has changed, or the working folder is another, since this
    process imported them. From then on they can be imported by name at any time, in constructors and forward passes
    too.

    Args:
        target: ``my_net.Net``.
        key: the setting that has it, ``model.target``.

    Raises:
        ConfigError: no such module or object, or the error of its import, with the line of the user's code.
    """
    where = Setting(key, target)
    module, name = module_and_class(target, key)
    source_file(target, key)
    found, _ = closure(module, where)
    state = [(module_name, entry, _stamp(entry)) for module_name, entry in sorted(found.items())]
    if state != _finder.state:
        unload()
        for module_name, entry in found.items():
            other = sys.modules.get(module_name)
            if other is not None and entry.file is not None and not _is_loaded_from(other, entry.file):
                problem = f"a module called {module_name} is already imported"
                raise ConfigError(where, problem, f"rename {entry.file.name}")
            sys.modules.pop(module_name, None)
        _finder.modules, _finder.state, _finder.modules_before = found, state, frozenset(sys.modules)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        _finder.folder = os.getcwd()
        sys.path.append(_finder.folder)  # at the end: an installed package that is imported later comes first
    folders = user_folders()
    try:
        loaded = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as error:
        reason = describe_error(error)
        _remove_from_path(set(user_folders()) - set(folders))
        unload()
        raise ConfigError(where, f"cannot be imported ({reason})", "correct it") from error
    if added := [folder for folder in user_folders() if folder not in folders]:
        _remove_from_path(added)
        unload()
        raise ConfigError(
            where,
            f"its code adds {added[0]} to sys.path, and modules there would not be part of a run's identity",
            f"set PYTHONPATH={added[0]} in the shell instead",
        )
    return loaded


def _remove_from_path(folders: Container[str]) -> None:
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) not in folders]


def loaded_modules() -> list[ModuleType]:
    """Return the user's modules that `load` has imported."""
    return [sys.modules[name] for name in _finder.modules if name in sys.modules]


def modules() -> Modules:
    """Return the modules that `load` found for the user's network, by name."""
    return _finder.modules


def _stamp(module: UserModule) -> tuple[int, int]:
    state = module.file.stat() if module.file is not None else None
    return (state.st_mtime_ns, state.st_size) if state is not None else (0, 0)


def _is_loaded_from(module: ModuleType, file: Path) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and os.path.realpath(own) == os.path.realpath(file)


def unload() -> None:
    """Remove the modules that were loaded from the process, and those that they loaded by computed names."""
    for name in (*_finder.modules, *_imported_later()):
        sys.modules.pop(name, None)
    if _finder.folder in sys.path:
        sys.path.reverse()
        sys.path.remove(_finder.folder)  # the last one
        sys.path.reverse()
    _finder.modules, _finder.state, _finder.folder = {}, None, ""


def unknown_imports() -> list[str]:
    """Return the user's modules that were imported under names that their code computes, and so were not found."""
    files = found_files()
    return [name for name in _imported_later() if not any(_is_loaded_from(sys.modules[name], file) for file in files)]


def _imported_later() -> list[str]:
    """Return the user's modules that were imported since `load` and that `load` did not find."""
    if not _finder.modules:
        return []
    new = set(sys.modules) - _finder.modules_before - set(_finder.modules)
    return sorted(name for name in new if _is_user_module(sys.modules.get(name)))


def _is_user_module(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or not is_user_file(file):
        return False
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR")  # torch.compile sets it, and imports its kernels from there
    return not (compiled and Path(file).is_relative_to(compiled))


def describe_error(error: BaseException) -> str:
    """Return an error in one line, preceded by the line of the user's code that raised it.

    ``my_net.py:7 in forward: RuntimeError: mat1 and mat2 shapes cannot be multiplied``
    """
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, SystemExit):
        lines = [f"it calls sys.exit({'' if error.code is None else error.code!r}), which ends the whole process"]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: {type(error).__name__}: {error.msg}"
    text = f"{type(error).__name__}: {lines[0]}".removesuffix(": ")
    line = user_line(error)
    return f"{line}: {text}" if line and line not in text else text


def user_line(error: BaseException) -> str | None:
    """Return the innermost line of the user's code in an error's traceback, as ``my_net.py:7 in forward``."""
    files = {str(module.file) for module in _finder.modules.values() if module.file is not None}
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__) if files else []
    own = [frame for frame in frames if frame.filename in files]
    if not own:
        return None
    return f"{Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name}".removesuffix(" in <module>")
