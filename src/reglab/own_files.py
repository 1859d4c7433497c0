"""Files that a user's own network reads: each must be part of the identity of a run, or its change goes unnoticed."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reglab.errors import ConfigError
from reglab.own_code import forget, modules

_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr")
_CACHES = ("site-packages", "dist-packages", "__pycache__")
_CACHE_PREFIXES = (".", "torchinductor_")  # hidden folders such as ~/.cache, and compiled kernels
_CACHE_SUFFIXES = (".egg-info", ".dist-info", ".so", ".pyd")


class _Watch(threading.local):
    """Paths that this thread opens while it is watched."""

    on = False

    def __init__(self) -> None:
        self.read: dict[str, None] = {}
        self.written: set[str] = set()


_watch = _Watch()
_hooked = False


@contextmanager
def check_reads(key: str, values: Iterable[Any]) -> Iterator[None]:
    """Refuse a block that opens a file for reading, unless a value names the file or its folder.

    Python's own files, those of installed packages, hidden files and folders, and files that the block has written are
    not counted. A file that C++ or Rust code opens (``torch.jit.load``, ``safetensors``) is not seen.

    Args:
        key: of the network, for the message.
        values: of the config, nested: existing paths among them are part of the identity.

    Raises:
        ConfigError: names the file, and how it becomes a part of the identity.

    Example:
        >>> with check_reads("model.target=net.Net", [{"file": "weights.txt"}]):
        ...     network = Net(file="weights.txt")
    """
    global _hooked
    if not _hooked:  # an audit hook cannot be removed
        sys.addaudithook(_note_open)
        _hooked = True
    outer, _watch.on, _watch.read, _watch.written = _watch.on, True, {}, set()
    try:
        yield
    finally:
        _watch.on = outer
    named = [os.path.realpath(Path(text).expanduser()) for text in paths(values)]
    code = _modules()
    for file in _watch.read:
        if file not in _watch.written and file not in code and not _is_within(file, named) and not _is_apart(file):
            forget()  # a module that reads when it is imported must do so again
            raise ConfigError(
                f"{key}: reads {_shown(file)}, whose content would not be part of a run's identity; name it in "
                f"model.args, as in model.args={{file:{_shown(file)}}}, and open the name that the constructor receives"
            )


def paths(value: Any) -> Iterator[str]:
    """Yield the texts in nested mappings and lists that name an existing file or folder."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, str):
        if is_path(value):
            yield value
    elif isinstance(value, Iterable):
        for item in value:
            yield from paths(item)


def is_path(text: str) -> bool:
    """Whether a text names an existing file or folder."""
    try:
        return bool(text) and Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, a null byte, or no home
        return False


def _note_open(event: str, args: tuple[Any, ...]) -> None:
    if event != "open" or not _watch.on:
        return
    path, mode, flags = args
    if not isinstance(path, str | bytes):  # a file descriptor
        return
    opened = os.path.realpath(os.fsdecode(path))
    writes = isinstance(mode, str) and bool(set(mode) & set("wax"))
    if writes or (isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY):
        _watch.written.add(opened)
    else:
        _watch.read.setdefault(opened)


def _modules() -> set[str]:
    """Files of the user's modules and of all that are loaded: torch.compile reads the source of its callers.

    What the user's code imports by computed names is among them; `check_foreseen` refuses it.
    """
    found = {str(module.file) for module in modules().values() if module.file is not None}
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {os.path.realpath(file) for file in found | loaded if isinstance(file, str)}


def _is_within(file: str, folders: Iterable[str]) -> bool:
    return any(file == folder or file.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _is_apart(file: str) -> bool:
    """Whether a file belongs to the system, to Python, to an installed package or to a cache, or is none."""
    parts = Path(file).parts[1:]
    if any(p in _CACHES or p.startswith(_CACHE_PREFIXES) or p.endswith(_CACHE_SUFFIXES) for p in parts):
        return True
    here = os.path.realpath(Path(__file__).parent)
    return _is_within(file, [*_SYSTEM, sys.prefix, sys.base_prefix, here]) or not os.path.isfile(file)


def _shown(file: str) -> str:
    return os.path.relpath(file) if _is_within(file, [os.getcwd()]) else file
