"""Search the files of an exported model and its archives for pickles and for paths and names of this machine."""

import io
import pickletools
import re
import socket
import sysconfig
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from reglab.paths import PROJECT

_CALLS = {"GLOBAL", "STACK_GLOBAL", "INST"}


def members(folder: Path) -> dict[str, bytes]:
    """Return the contents of all files in a folder and of all members of archives, by name."""
    return {
        name: content
        for path in folder.rglob("*")
        if path.is_file()
        for name, content in _within(str(path.relative_to(folder)), path.read_bytes())
    }


def _within(name: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    yield name, content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield from _within(f"{name}:{member}", archive.read(member))


def pickles(contents: dict[str, bytes]) -> list[str]:
    """Return the names of pickles of any protocol, recognized by their instructions."""
    return [name for name, content in contents.items() if name.endswith(".pkl") or _is_pickle(content)]


def _is_pickle(content: bytes) -> bool:
    try:
        instructions = {instruction.name for instruction, _, _ in pickletools.genops(content)}
    except Exception:  # not a pickle
        return False
    return "PROTO" in instructions or bool(instructions & _CALLS)


def traces(contents: dict[str, bytes], *words: str) -> list[str]:
    """Return matches of folders of this machine, and in text files also of its host name and the given words."""
    folders = {Path.cwd(), PROJECT, Path.home(), Path(sysconfig.get_path("purelib")), Path(tempfile.gettempdir())}
    folders |= {folder.resolve() for folder in folders}
    anywhere = _any_of(re.escape(f"{folder}/") for folder in folders)
    in_texts = _any_of(rf"\b{re.escape(word)}\b" for word in (socket.gethostname(), "site-packages", *words))
    hits = {name: anywhere.search(content) or _search_text(content, in_texts) for name, content in contents.items()}
    return [f"{name}: {hit[0].decode()}" for name, hit in hits.items() if hit]


def _any_of(patterns: Iterable[str]) -> re.Pattern[bytes]:
    return re.compile("|".join(patterns).encode())


def _search_text(content: bytes, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
    """Search text files only, since short names occur in binary data by chance."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    return pattern.search(content)
