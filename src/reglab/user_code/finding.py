"""Find the modules of a user's network and all that they import, without running them.

Modules are found by the import instructions in their bytecode. `reglab.user_code.importing` imports them from exactly
these files, so that the code that is executed is the code in the run's identity.
"""

import functools
import importlib.machinery
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError, Setting

_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
_STANDARD_LIBRARY = Path(os.__file__).resolve().parent
_REGLAB = Path(__file__).resolve().parents[2]


class UserModule(NamedTuple):
    """A module of the user.

    Attributes:
        file: file of the module; None for a folder without ``__init__.py``.
        folders: folders that are searched for its submodules; empty if it is not a package.
    """

    file: Path | None
    folders: tuple[str, ...]


Modules = Mapping[str, UserModule]


def module_and_class(target: str | None, key: str) -> tuple[str, str]:
    """Split the name of a class into module and class.

    Args:
        target: ``my_net.Net``.
        key: the setting that has it, ``model.target``.

    Raises:
        ConfigError: it is not a module and a class.
    """
    module, _, name = (target or "").rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        file = Path(f"{'/'.join(module.split('.'))}.py")
        if module and file.is_file():
            module_name = "".join(c if c.isalnum() or c == "_" else "_" for c in file.stem)
            module_name = module_name if module_name.isidentifier() else f"_{module_name}"
            raise ConfigError(
                Setting(key, target),
                f"{file} cannot be imported under that name",
                f"rename it, as in {module_name}.py for {key}={module_name}.{name}",
            )
        raise ConfigError(
            Setting(key, "null" if target is None else target),
            f"give a class with its module, as in {key}=my_net.Net for the class Net in my_net.py",
        )
    return module, name


def source_file(target: str | None, key: str) -> Path:
    """Return the file of a class's module: in the working folder, else in ``sys.path``.

    Raises:
        ConfigError: there is none, or it has the name of another module.
    """
    module, _ = module_and_class(target, key)
    found = find(module, Setting(key, target)) or _find_installed(module)
    if found is not None and found.file is not None:
        return found.file
    inner = Path(*module.split("."))
    raise ConfigError(
        Setting(key, target),
        f"there is no {inner.with_suffix('.py')} in {Path.cwd()}, nor in sys.path (PYTHONPATH)",
        "check its name",
    )


def user_folders() -> list[str]:
    """Return the folders of a user's own modules: the working folder, then the user's entries of ``sys.path``.

    Folders named in ``PYTHONPATH`` are among them, and those of packages installed in development mode.
    """
    folders = dict.fromkeys([os.getcwd(), *(os.path.abspath(entry) for entry in sys.path)])
    return [folder for folder in folders if os.path.isdir(folder) and not _is_library_folder(folder)]


@functools.lru_cache(maxsize=256)
def _is_library_folder(folder: str) -> bool:
    """Return whether a folder belongs to an installed package, reglab or Python."""
    path = Path(folder).resolve()
    if _PACKAGE_FOLDERS & set(path.parts) or path in (_REGLAB, PROJECT / "pipelines"):
        return True
    return path.is_relative_to(_STANDARD_LIBRARY) or path.suffix == ".zip"


def find(name: str, where: Setting | str) -> UserModule | None:
    """Find a module in the user's own folders; None if there is none of that name.

    Args:
        name: name with its packages, ``nets.mine``.
        where: the setting that names it, for messages.

    Raises:
        ConfigError: Python's own module or an installed one has the same name, so that either could be imported.
    """
    top, *rest = name.split(".")
    if top in ("reglab", ""):
        return None
    module = _find_in(top, user_folders())
    if module is None:
        return None
    package_folders = [entry for entry in sys.path if _PACKAGE_FOLDERS & set(Path(entry).parts)]
    is_standard = top in sys.stdlib_module_names
    installed = None if is_standard else _find_in(top, package_folders)
    if is_standard or (installed is not None and installed.file is not None):
        if module.file is None:
            return None  # a folder of that name is no package if there is a real one
        other = "one of Python's own modules" if is_standard else "an installed package"
        file_name = f"{top}/" if module.folders else f"{top}.py"
        raise ConfigError(where, f"{file_name} in {module.file.parent} has the name of {other}", "rename it")
    for part in rest:
        module = _find_in(part, module.folders)
        if module is None:
            return None
    return module


def _find_installed(name: str) -> UserModule | None:
    """Find a module in all of ``sys.path``."""
    module: UserModule | None = UserModule(None, tuple(entry for entry in sys.path if entry))
    for part in name.split("."):
        module = _find_in(part, module.folders) if module is not None else None
    return module


def _find_in(name: str, folders: Sequence[str]) -> UserModule | None:
    """Find a module of this name, without dots, in the first of the folders that has it."""
    spec = importlib.machinery.PathFinder.find_spec(name, list(folders))
    if spec is None:
        return None
    file = Path(spec.origin) if spec.origin and spec.has_location else None
    inner = tuple(spec.submodule_search_locations or ())
    return UserModule(file, inner) if file is not None or inner else None


def imports(code: CodeType, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the modules that bytecode imports, by absolute name, each with the names that it imports from it.

    Imports inside functions, classes and conditions are included; names that a program computes are not.

    Args:
        code: bytecode of a module.
        package: the package of the module; its own name if it is a package.
    """
    scan: Any = ModuleFinder(path=[]).scan_opcodes
    for kind, operands in scan(code):
        if kind == "absolute_import":
            names, name = operands
            yield name, tuple(names or ())
        elif kind == "relative_import":
            level, names, name = operands
            base = package.split(".")[: len(package.split(".")) - level + 1]
            if base:
                yield ".".join([*base, *([name] if name else [])]), tuple(names or ())
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from imports(inner, package)


_Closure = tuple[dict[str, UserModule], frozenset[str]]
# By name and folders: the closure, and the stamps of its files when it was found.
_closures: dict[tuple[str, tuple[str, ...]], tuple[_Closure, list[int]]] = {}


def closure(name: str, where: Setting | str) -> tuple[dict[str, UserModule], frozenset[str]]:
    """Return a module with all that it imports from the user's own folders, and the packages outside of them.

    Args:
        name: name of the module.
        where: the setting that names it, for messages.

    Returns:
        Modules by name, including their packages; and the top-level names of all other imports.

    Raises:
        ConfigError: a module has the name of an installed one, or a file that Python cannot read.
    """
    folders = tuple(user_folders())
    if (name, folders) in _closures:
        found, stamps = _closures[name, folders]
        if stamps == _file_stamps(found[0], folders):
            return found
    found = _find_all(name, where)
    _closures[name, folders] = (found, _file_stamps(found[0], folders))
    return found


def found_files() -> list[Path]:
    """Return the files of all modules that were found in this process."""
    return [module.file for (found, _), _ in _closures.values() for module in found.values() if module.file is not None]


def _file_stamps(modules: Modules, folders: Iterable[str]) -> list[int]:
    """Return times and sizes that change if a file does, or if one is added or removed beside them."""
    files = (module.file for module in modules.values() if module.file is not None)
    inner = (folder for module in modules.values() for folder in module.folders)
    stamps: list[int] = []
    paths: list[str | Path] = [*files, *inner, *folders]
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            stamps.append(-1)
        else:
            stamps += (state.st_mtime_ns, state.st_size)
    return stamps


def _find_all(name: str, where: Setting | str) -> _Closure:
    """Return the `closure` of a module; an imported name is searched for as a submodule too."""
    importlib.machinery.PathFinder.invalidate_caches()
    modules: dict[str, UserModule] = {}
    outside: set[str] = set()
    pending = [name]
    while pending:
        for module_name in _with_packages(pending.pop()):
            if module_name in modules:
                continue
            module = find(module_name, where)
            if module is None:
                if "." not in module_name:
                    outside.add(module_name)
                break
            modules[module_name] = module
            if module.file is None or module.file.suffix != ".py":
                continue
            package = module_name if module.folders else module_name.rpartition(".")[0]
            code = _compile(module.file, where)
            if by_path := _PATH_LOADERS & _names_in(code):
                raise ConfigError(
                    where,
                    f"{module.file.name} runs a file by its path ({min(by_path)}), whose code would not be part of "
                    "a run's identity",
                    "import it as a module",
                )
            for imported, names in imports(code, package):
                pending.append(imported)
                if "*" in names and (imported_package := find(imported, where)) is not None:
                    pending += [f"{imported}.{submodule}" for submodule in _submodule_names(imported_package)]
                pending += [f"{imported}.{name}" for name in names if name != "*"]
    return modules, frozenset(outside)


_PATH_LOADERS = {"spec_from_file_location", "SourceFileLoader", "run_path"}  # of importlib and runpy


def _names_in(code: CodeType) -> set[str]:
    """Return the global names and attributes in bytecode, with those of its functions and classes."""
    inner = (_names_in(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*inner)


def _with_packages(name: str) -> list[str]:
    """Return a module's name after those of its packages: ``a``, ``a.b``, ``a.b.c``."""
    parts = name.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]


def _submodule_names(package: UserModule) -> set[str]:
    """Return the names of a package's modules: ``from package import *`` imports those in its ``__all__``."""
    files = (file for folder in package.folders for file in Path(folder).glob("*.py"))
    return {file.stem for file in files} - {"__init__"}


def _compile(file: Path, where: Setting | str) -> CodeType:
    state = file.stat()
    try:
        return _code(str(file), state.st_mtime_ns, state.st_size)
    except SyntaxError as error:
        raise ConfigError(where, f"{file.name}:{error.lineno}: {type(error).__name__}: {error.msg}") from error
    except ValueError as error:
        raise ConfigError(where, f"{file.name}: {error}") from error


@functools.lru_cache(maxsize=4096)
def _code(file: str, modified_ns: int, size: int) -> CodeType:
    return compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)


@functools.lru_cache(maxsize=4096)
def is_user_file(file: str) -> bool:
    """Return whether a module's file is the user's own: not of reglab, Python or an installed package."""
    path = Path(file).resolve()
    if path.is_relative_to(_REGLAB) or path.is_relative_to(_STANDARD_LIBRARY) or _PACKAGE_FOLDERS & set(path.parts):
        return False
    return path.is_file()
