"""What a class declares, read from its source: importing it would load torch, for seconds."""

import ast
import functools
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Unknown(LookupError):
    """The source does not say it in a way that is read here."""


_MAKERS = ("__init__", "__new__")  # the latter of a class that makes an object of another


class _Class(NamedTuple):
    module: str
    node: ast.ClassDef


def declared(target: str, name: str) -> Any:
    """The value of a class variable, inherited ones included: ``declared("reglab.regularizers.l1.L1", "bounds")``.

    Raises:
        Unknown: no such class in the source, or no plain constant.
    """
    found = _find(target)
    for base in _line(found):
        for node in base.node.body:
            if (value := _assigned(node, name)) is not None:
                return _value(value, base.module)
    raise Unknown(f"{target}.{name}")


def parameters(target: str) -> set[str]:
    """Keyword names that a class's constructor takes.

    Raises:
        Unknown: no such class in the source, or its constructor takes any.
    """
    names: set[str] = set()
    for base in _line(_find(target)):
        init = next((n for n in base.node.body if isinstance(n, ast.FunctionDef) and n.name in _MAKERS), None)
        if init is None:
            continue
        names |= {a.arg for a in init.args.args[1:] + init.args.kwonlyargs}
        if init.args.kwarg is None:
            return names
    raise Unknown(target)


def home(target: str) -> str:
    """The module that defines a class, followed through packages that hand it on.

    Raises:
        Unknown: no such class in the source.
    """
    return _find(target).module


@functools.cache
def _tree(module: str) -> ast.Module:
    package, *parts = module.split(".")
    path = _root(package).joinpath(*parts)
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return ast.parse(file.read_text(encoding="utf-8"))
    raise Unknown(module)


@functools.cache
def _root(package: str) -> Path:
    spec = importlib.util.find_spec(package) if package else None  # finds a top-level package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise Unknown(package)
    return Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def _find(target: str) -> _Class:
    module, _, name = target.rpartition(".")
    found = _lookup(module, name)
    if not isinstance(found, _Class):
        raise Unknown(target)
    return found


@functools.cache
def _lookup(module: str, name: str) -> _Class | tuple[str, ast.expr]:
    """The class, or the expression, that `name` means in a module, followed through its imports."""
    for node in _statements(_tree(module).body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return _Class(module, node)
        if (value := _assigned(node, name)) is not None:
            return module, value
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _lookup(_absolute(node, module), alias.name)
    raise Unknown(f"{module}.{name}")


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    is_package = _root(module.split(".")[0]).joinpath(*module.split(".")[1:], "__init__.py").is_file()
    parts = module.split(".")[: len(module.split(".")) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module, with those under ``if TYPE_CHECKING:``, where a lazy package says what it holds."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from node.body


@functools.cache
def _line(found: _Class) -> tuple[_Class, ...]:
    """The class and its first bases, as far as they can be read."""
    line = [found]
    while line[-1].node.bases and isinstance(base := line[-1].node.bases[0], ast.Name):
        try:
            parent = _lookup(line[-1].module, base.id)
        except Unknown:
            break
        if not isinstance(parent, _Class):
            break
        line.append(parent)
    return tuple(line)


def _assigned(node: ast.stmt, name: str) -> ast.expr | None:
    """The expression that a statement assigns to `name`, in ``A, B = range(2)`` too."""
    if isinstance(node, ast.AnnAssign):
        return node.value if isinstance(node.target, ast.Name) and node.target.id == name else None
    for target in node.targets if isinstance(node, ast.Assign) else []:
        assert isinstance(node, ast.Assign)
        if isinstance(target, ast.Name) and target.id == name:
            return node.value
        if isinstance(target, ast.Tuple):
            names = [item.id if isinstance(item, ast.Name) else None for item in target.elts]
            if name in names:
                return ast.Subscript(node.value, ast.Constant(names.index(name)), ast.Load())
    return None


def _value(node: ast.expr, module: str) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, module)
        case ast.Tuple(elts=elts):
            return tuple(_value(item, module) for item in elts)
        case ast.List(elts=elts):
            return [_value(item, module) for item in elts]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key, module): _value(value, module) for key, value in pairs if key is not None}
        case ast.Attribute(value=ast.Name(id="math"), attr="inf"):
            return math.inf
        case ast.Subscript(value=whole, slice=ast.Constant(value=place)):
            return _value(whole, module)[place]
        case ast.Call(func=ast.Name(id=("float" | "range") as function), args=[argument]):
            return {"float": float, "range": range}[function](_value(argument, module))
        case ast.Name(id=name):
            found = _lookup(module, name)
            if not isinstance(found, _Class):
                return _value(found[1], found[0])
        case ast.Attribute(value=ast.Name(id=name), attr=attr):
            owner = _lookup(module, name)
            if isinstance(owner, _Class):
                for statement in owner.node.body:
                    if (found_value := _assigned(statement, attr)) is not None:
                        return _value(found_value, owner.module)
    raise Unknown(ast.unparse(node))
