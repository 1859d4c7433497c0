"""A user's own code: the modules of a name such as ``my_net.Net``, and their import.

The modules are found by the import instructions in their bytecode, without running them. They are then imported from
exactly these files, so that what runs is what a run's identity was made from.
"""

import functools
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from modulefinder import ModuleFinder
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError, Setting

_PACKAGES = {"site-packages", "dist-packages"}
_STANDARD = Path(os.__file__).resolve().parent
_REGLAB = Path(__file__).resolve().parents[1]


class Module(NamedTuple):
    """A module as it was found.

    Attributes:
        file: its file; None for a folder without ``__init__.py``.
        folders: searched for its submodules; empty if it is not a package.
    """

    file: Path | None
    folders: tuple[str, ...]


Modules = Mapping[str, Module]


def module_and_class(target: str | None, key: str) -> tuple[str, str]:
    """The two parts of a name.

    Raises:
        ConfigError: it has none; `key` is what holds it.
    """
    module, _, name = (target or "").rpartition(".")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        file = Path(f"{'/'.join(module.split('.'))}.py")
        if module and file.is_file():
            named = "".join(c if c.isalnum() or c == "_" else "_" for c in file.stem)
            named = named if named.isidentifier() else f"_{named}"
            raise ConfigError(
                Setting(key, target),
                f"{file} cannot be imported under that name",
                f"rename it, as in {named}.py for {key}={named}.{name}",
            )
        raise ConfigError(
            Setting(key, "null" if target is None else target),
            f"give a class with its module, as in {key}=my_net.Net for the class Net in my_net.py",
        )
    return module, name


def source_file(target: str | None, key: str) -> Path:
    """The file of the class's module: in the folder that the command runs in, else where Python looks.

    Raises:
        ConfigError: there is none, or it has the name of another module.
    """
    module, _ = module_and_class(target, key)
    found = find(module, key=f"{key}={target}") or _installed(module)
    if found is not None and found.file is not None:
        return found.file
    inner = Path(*module.split("."))
    raise ConfigError(
        Setting(key, target),
        f"there is no {inner.with_suffix('.py')} in {Path.cwd()}, nor where Python looks (PYTHONPATH)",
        "check its name",
    )


def own_folders() -> list[str]:
    """Return the folders of a user's own modules: the working folder, then the user's entries of ``sys.path``.

    Folders named in ``PYTHONPATH`` are among them, and those of packages installed in development mode.
    """
    found = dict.fromkeys([os.getcwd(), *(os.path.abspath(entry) for entry in sys.path)])
    return [folder for folder in found if os.path.isdir(folder) and not _belongs_elsewhere(folder)]


@functools.lru_cache(maxsize=256)
def _belongs_elsewhere(folder: str) -> bool:
    path = Path(folder).resolve()
    if _PACKAGES & set(path.parts) or path in (_REGLAB, PROJECT / "pipelines"):
        return True
    return path.is_relative_to(_STANDARD) or path.suffix == ".zip"


def find(name: str, key: str) -> Module | None:
    """Find a module in the user's own folders; None if there is none of that name.

    Args:
        name: with its packages, ``nets.mine``.
        key: begins the message.

    Raises:
        ConfigError: Python's own module or an installed one has the same name, so that either could be imported.
    """
    top, *rest = name.split(".")
    if top in ("reglab", ""):
        return None
    found = _in(top, own_folders())
    if found is None:
        return None
    others = [entry for entry in sys.path if _PACKAGES & set(Path(entry).parts)]
    standard = top in sys.stdlib_module_names
    other = None if standard else _in(top, others)
    if standard or (other is not None and other.file is not None):
        if found.file is None:
            return None  # a folder of that name is no package where there is a real one
        whose = "one of Python's own modules" if standard else "an installed package"
        shown = f"{top}/" if found.folders else f"{top}.py"
        raise ConfigError(key, f"{shown} in {found.file.parent} has the name of {whose}", "rename it")
    for part in rest:
        found = _in(part, found.folders)
        if found is None:
            return None
    return found


def _installed(name: str) -> Module | None:
    found: Module | None = Module(None, tuple(entry for entry in sys.path if entry))
    for part in name.split("."):
        found = _in(part, found.folders) if found is not None else None
    return found


def _in(name: str, folders: Sequence[str]) -> Module | None:
    spec = importlib.machinery.PathFinder.find_spec(name, list(folders))
    if spec is None:
        return None
    file = Path(spec.origin) if spec.origin and spec.has_location else None
    inner = tuple(spec.submodule_search_locations or ())
    return Module(file, inner) if file is not None or inner else None


def imports(code: CodeType, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Modules that bytecode imports, by absolute name, each with the names that it takes from it.

    Imports inside functions, classes and conditions are among them; names that a program computes are not.

    Args:
        code: of a module.
        package: the package of the module; its own name if it is a package.
    """
    scan: Any = ModuleFinder(path=[]).scan_opcodes
    for kind, found in scan(code):
        if kind == "absolute_import":
            names, name = found
            yield name, tuple(names or ())
        elif kind == "relative_import":
            level, names, name = found
            base = package.split(".")[: len(package.split(".")) - level + 1]
            if base:
                yield ".".join([*base, *([name] if name else [])]), tuple(names or ())
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from imports(inner, package)


def closure(name: str, key: str) -> tuple[dict[str, Module], frozenset[str]]:
    """A module with all that it imports from the user's own folders, and the names of packages outside of them.

    Args:
        name: of the module.
        key: begins messages, such as ``model.target=my_net.Net``.

    Returns:
        modules by name, those of their packages included; and top-level names of what is imported from elsewhere.

    Raises:
        ConfigError: a module has the name of an installed one, or a file that Python cannot read.
    """
    searched = (name, tuple(own_folders()))
    known = _closures.get(searched)
    if known is None or known[1] != _stamps(known[0][0], searched[1]):
        found = _found(name, key)
        _closures[searched] = known = (found, _stamps(found[0], searched[1]))
    return known[0]


_Closure = tuple[dict[str, Module], frozenset[str]]
_closures: dict[tuple[str, tuple[str, ...]], tuple[_Closure, list[int]]] = {}


def _stamps(modules: Modules, folders: Iterable[str]) -> list[int]:
    """What changes where a file does, or one is added or removed beside them."""
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


def _found(name: str, key: str) -> _Closure:
    importlib.machinery.PathFinder.invalidate_caches()
    modules: dict[str, Module] = {}
    outside: set[str] = set()
    todo = [name]
    while todo:
        for one in _with_packages(todo.pop()):
            if one in modules:
                continue
            found = find(one, key)
            if found is None:
                if "." not in one:
                    outside.add(one)
                break
            modules[one] = found
            if found.file is None or found.file.suffix != ".py":
                continue
            package = one if found.folders else one.rpartition(".")[0]
            code = _compiled(found.file, key)
            if by_path := _BY_PATH & _names(code):
                raise ConfigError(
                    key,
                    f"{found.file.name} runs a file by its path ({min(by_path)}), whose code would not be part of "
                    "a run's identity",
                    "import it as a module",
                )
            for other, taken in imports(code, package):
                todo.append(other)
                if "*" in taken and (there := find(other, key)) is not None:
                    todo += [f"{other}.{inner}" for inner in _inside(there)]
                todo += [f"{other}.{inner}" for inner in taken if inner != "*"]
    return modules, frozenset(outside)


_BY_PATH = {"spec_from_file_location", "SourceFileLoader", "run_path"}  # of importlib and runpy


def _names(code: CodeType) -> set[str]:
    inner = (_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*inner)


def _with_packages(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]


def _inside(package: Module) -> set[str]:
    """Names of a package's modules: ``from package import *`` takes those that its ``__all__`` names."""
    files = (file for folder in package.folders for file in Path(folder).glob("*.py"))
    return {file.stem for file in files} - {"__init__"}


def _compiled(file: Path, key: str) -> CodeType:
    state = file.stat()
    try:
        return _code(str(file), state.st_mtime_ns, state.st_size)
    except SyntaxError as error:
        raise ConfigError(key, f"{file.name}:{error.lineno}: {type(error).__name__}: {error.msg}") from error
    except ValueError as error:
        raise ConfigError(key, f"{file.name}: {error}") from error


@functools.lru_cache(maxsize=4096)
def _code(file: str, modified_ns: int, size: int) -> CodeType:
    return compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)


class _Loader(importlib.machinery.SourceFileLoader):
    """Run the present source, never cached bytecode, whose time stamp has only seconds."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Finder:
    """Answers imports of the modules that were found, from exactly their files, and of no others."""

    def __init__(self) -> None:
        self.modules: dict[str, Module] = {}
        self.state: object = None
        self.before: frozenset[str] = frozenset()
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

    Its modules are imported again where a file of them has changed, or the working folder is another, since this
    process did. From then on they can be imported by name at any time, in constructors and forward passes too.

    Raises:
        ConfigError: no such module or object, or what its import raises, with the user's own line.
    """
    where = f"{key}={target}"
    module, name = module_and_class(target, key)
    source_file(target, key)
    found, _ = closure(module, where)
    state = [(one, entry, _stamp(entry)) for one, entry in sorted(found.items())]
    if state != _finder.state:
        forget()
        for one, entry in found.items():
            held = sys.modules.get(one)
            if held is not None and entry.file is not None and not _is_of(held, entry.file):
                raise ConfigError(where, f"a module called {one} is in use already", f"rename {entry.file.name}")
            sys.modules.pop(one, None)
        _finder.modules, _finder.state, _finder.before = found, state, frozenset(sys.modules)
        if _finder not in sys.meta_path:
            sys.meta_path.insert(0, _finder)
        _finder.folder = os.getcwd()
        sys.path.append(_finder.folder)  # at the end: an installed package that is imported later comes first
    folders = own_folders()
    try:
        made = getattr(importlib.import_module(module), name, None)
    except (Exception, SystemExit) as error:
        reason = described(error)
        _without(set(own_folders()) - set(folders))
        forget()
        raise ConfigError(where, f"cannot be imported ({reason})", "correct it") from error
    if added := [folder for folder in own_folders() if folder not in folders]:
        _without(added)
        forget()
        raise ConfigError(
            where,
            f"its code adds {added[0]} to sys.path, and modules there would not be part of a run's identity",
            f"set PYTHONPATH={added[0]} in the shell instead",
        )
    return made


def _without(folders: Container[str]) -> None:
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) not in folders]


def loaded() -> list[ModuleType]:
    """Return the user's modules that `load` has imported."""
    return [sys.modules[name] for name in _finder.modules if name in sys.modules]


def modules() -> Modules:
    """Return the modules that `load` found for the user's network, by name."""
    return _finder.modules


def _stamp(module: Module) -> tuple[int, int]:
    state = module.file.stat() if module.file is not None else None
    return (state.st_mtime_ns, state.st_size) if state is not None else (0, 0)


def _is_of(module: ModuleType, file: Path) -> bool:
    own = getattr(module, "__file__", None)
    return own is not None and os.path.realpath(own) == os.path.realpath(file)


def forget() -> None:
    """Take the modules that were loaded out of the process again, and those that they loaded by computed names."""
    for name in (*_finder.modules, *_late()):
        sys.modules.pop(name, None)
    if _finder.folder in sys.path:
        sys.path.reverse()
        sys.path.remove(_finder.folder)  # the last one
        sys.path.reverse()
    _finder.modules, _finder.state, _finder.folder = {}, None, ""


def unforeseen() -> list[str]:
    """Modules of the user's own that were imported under names that their code computes, and so were not found."""
    named = [
        module.file for (found, _), _ in _closures.values() for module in found.values() if module.file is not None
    ]
    return [name for name in _late() if not any(_is_of(sys.modules[name], file) for file in named)]


def _late() -> list[str]:
    """Modules of the user's own that were imported since `load`, and that it did not find."""
    if not _finder.modules:
        return []
    new = set(sys.modules) - _finder.before - set(_finder.modules)
    return sorted(name for name in new if _is_users(sys.modules.get(name)))


def _is_users(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or _belongs_elsewhere_file(file):
        return False
    compiled = os.environ.get("TORCHINDUCTOR_CACHE_DIR")  # torch.compile sets it, and imports its kernels from there
    return not (compiled and Path(file).is_relative_to(compiled))


@functools.lru_cache(maxsize=4096)
def _belongs_elsewhere_file(file: str) -> bool:
    path = Path(file).resolve()
    inside = path.is_relative_to(_REGLAB) or path.is_relative_to(_STANDARD)
    return inside or bool(_PACKAGES & set(path.parts)) or not path.is_file()


def described(error: BaseException) -> str:
    """Return an error in one line, preceded by the line of the user's code that raised it.

    ``my_net.py:7 in forward: RuntimeError: mat1 and mat2 shapes cannot be multiplied``
    """
    lines = str(error).strip().splitlines() or [""]
    if isinstance(error, SystemExit):
        lines = [f"it calls sys.exit({'' if error.code is None else error.code!r}), which ends the whole process"]
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}: {type(error).__name__}: {error.msg}"
    text = f"{type(error).__name__}: {lines[0]}".removesuffix(": ")
    place = users_line(error)
    return f"{place}: {text}" if place and place not in text else text


def users_line(error: BaseException) -> str | None:
    """``my_net.py:7 in forward``: the innermost line of the user's own code that an error went through."""
    files = {str(module.file) for module in _finder.modules.values() if module.file is not None}
    frames: Iterable[traceback.FrameSummary] = traceback.extract_tb(error.__traceback__) if files else []
    own = [frame for frame in frames if frame.filename in files]
    if not own:
        return None
    return f"{Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name}".removesuffix(" in <module>")
