"""Files and environment variables that a user's network reads: refused unless they are part of a run's identity."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from reglab.filesystem import existing_paths
from reglab.schema.errors import ConfigError, Setting
from reglab.user_code.finding import user_folders
from reglab.user_code.importing import modules, unload

_SYSTEM = ("/proc", "/sys", "/dev", "/etc", "/usr")
_CACHES = ("site-packages", "dist-packages", "__pycache__")
_CACHE_PREFIXES = (".", "torchinductor_")  # hidden folders such as ~/.cache, and compiled kernels
_CACHE_SUFFIXES = (".egg-info", ".dist-info", ".so", ".pyd")


class _Watch(threading.local):
    """Paths that this thread opens while its reads are recorded."""

    on = False

    def __init__(self) -> None:
        self.read: dict[str, None] = {}
        self.written: set[str] = set()


_watch = _Watch()
_has_hook = False


@contextmanager
def check_reads(where: Setting | str, values: Iterable[Any]) -> Iterator[None]:
    """Refuse a block that opens a file for reading, unless a value names the file or its folder.

    The user's modules must not read environment variables either. Files of the system, of Python and of installed
    packages, hidden files and folders, and files that the block has written are not counted. A file that C++ or Rust
    code (``torch.jit.load``, ``safetensors``), another thread or another process opens is not detected.

    Args:
        where: the setting that names the network, for messages.
        values: nested values of the config; existing paths among them are part of the identity.

    Raises:
        ConfigError: names the file or variable, and how it becomes a part of the identity.

    Example::

        with check_reads(Setting("model.target", "net.Net"), [{"file": "weights.txt"}]):
            network = Net(file="weights.txt")
    """
    global _has_hook
    if not _has_hook:  # an audit hook cannot be removed
        sys.addaudithook(_record_open)
        _has_hook = True
    outer = (_watch.on, _watch.read, _watch.written)
    read: dict[str, None] = {}
    _watch.on, _watch.read, _watch.written = True, read, set()
    with _variables_read() as variables:
        try:
            yield
        finally:
            _watch.on, _watch.read, _watch.written = outer
    for name in variables:
        unload()
        raise ConfigError(
            where,
            f"reads the environment variable {name}, which would not be part of a run's identity",
            "give its value as an argument of the constructor, by model.args",
        )
    allowed = [os.path.realpath(Path(text).expanduser()) for text in existing_paths(list(values))]
    module_files = _module_files()
    for file in read:
        if file not in module_files and not _is_within(file, allowed) and not _is_exempt(file):
            unload()  # a module that reads when it is imported must do so again
            raise ConfigError(
                where,
                f"reads {_display_path(file)}, whose content would not be part of a run's identity",
                f"name it in model.args, as in model.args={{file:{_display_path(file)}}}, and open the name that the "
                "constructor receives",
            )


@contextmanager
def _variables_read() -> Iterator[dict[str, None]]:
    """Collect the names of environment variables that the user's modules read, in the order of the reads."""
    read: dict[str, None] = {}
    environment: Any = type(os.environ)  # no audit event is raised for a read
    original = environment.__getitem__

    def record_read(self: Any, key: Any) -> Any:
        if isinstance(key, str) and _reads_for_user(sys._getframe(1)):
            read.setdefault(key)
        return original(self, key)

    environment.__getitem__ = record_read
    try:
        yield read
    finally:
        environment.__getitem__ = original


def _reads_for_user(frame: FrameType | None) -> bool:
    """Return whether the code below ``os.environ.get`` and the like is the user's; ``setdefault`` writes."""
    while frame is not None and frame.f_globals.get("__name__") in ("os", "_collections_abc", "collections.abc"):
        if frame.f_code.co_name == "setdefault":
            return False
        frame = frame.f_back
    return frame is not None and frame.f_globals.get("__name__") in modules()


def _record_open(event: str, args: tuple[Any, ...]) -> None:
    if not _watch.on or event not in ("open", "sqlite3.connect"):
        return
    path, mode, flags = args if event == "open" else (*args, None, None)
    if not isinstance(path, str | bytes):  # a file descriptor
        return
    opened = os.path.realpath(os.fsdecode(path))
    writes = isinstance(mode, str) and (bool(set(mode) & set("wx")) or ("a" in mode and "+" not in mode))
    if writes or (isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY):
        _watch.written.add(opened)
    elif opened not in _watch.written:
        _watch.read.setdefault(opened)


def _module_files() -> set[str]:
    """Return the files of the user's modules and of all that are loaded: torch.compile reads the source of its callers.

    Modules that the user's code imports by computed names are included; `check_known_imports` refuses them.
    """
    own = {str(module.file) for module in modules().values() if module.file is not None}
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
    return {os.path.realpath(file) for file in own | loaded if isinstance(file, str)}


def _is_within(file: str, folders: Iterable[str]) -> bool:
    return any(file == folder or file.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _is_exempt(file: str) -> bool:
    """Return whether a file belongs to the system, to Python, to an installed package or to a cache, or is none."""
    root = next((folder for folder in map(os.path.realpath, user_folders()) if _is_within(file, [folder])), os.sep)
    parts = Path(file).relative_to(root).parts  # a project may be in a hidden folder
    if any(part in _CACHES or part.startswith(_CACHE_PREFIXES) or part.endswith(_CACHE_SUFFIXES) for part in parts):
        return True
    reglab_folder = os.path.realpath(Path(__file__).parents[1])
    return _is_within(file, [*_SYSTEM, sys.prefix, sys.base_prefix, reglab_folder]) or not os.path.isfile(file)


def _display_path(file: str) -> str:
    return os.path.relpath(file) if _is_within(file, [os.getcwd()]) else file
