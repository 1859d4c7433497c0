"""Standard output and error for any encoding, terminal or closed pipe, without errors.

Every entry point and worker calls `make_streams_safe` once. All output of this project goes through `write`,
`write_line`, `note` and `console`.
"""

import codecs
import errno
import os
import shutil
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TextIO

from reglab.masking import redact

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

PIPED_WIDTH = 140  # columns in a file or a pipe, where nothing is cut
_MIN_WORD_WIDTH = 16  # columns at least for a word of a table
_HANDLER = "reglab-replace"
_LOOK_ALIKES = {"−": "-", "–": "-", "—": "-", "“": '"', "”": '"', "‘": "'", "’": "'", "…": "...", "±": "+/-", "×": "x"}
# Besides C0, DEL and C1: characters that change the direction of a text, break its lines, or are invisible.
_INVISIBLE = {0x61C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0x2060, 0xFEFF}
_INVISIBLE |= {*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000), *range(0xE0000, 0xE0080)}
_ESCAPES = {c: f"\\x{c:02x}" for c in (*range(0x20), *range(0x7F, 0xA0))}
_ESCAPES |= {c: f"\\u{c:04x}" if c < 0x10000 else f"\\U{c:08x}" for c in _INVISIBLE}
_NAME_ESCAPES = {**_ESCAPES, ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}
_TEXT_ESCAPES = {code: text for code, text in _NAME_ESCAPES.items() if code not in (ord("\n"), ord("\t"))}


def visible(text: str, *, lines: bool = False) -> str:
    """Return a text with escapes (``\\x1b``) for control characters and invisible characters.

    Args:
        text: text from a store, a file or a user.
        lines: keep line breaks and tabs.

    >>> visible("l1\\x1b[31m")
    'l1\\\\x1b[31m'
    """
    if text.isprintable():
        return text  # most texts
    return text.translate(_TEXT_ESCAPES if lines else _NAME_ESCAPES)


class Stream:
    """A text stream that does not raise errors.

    Characters that its encoding does not have are replaced by similar ones or escapes, and output is discarded once
    the reader of a pipe has ended. Known secrets are masked in all output, also of libraries.

    Args:
        stream: stream to wrap.
        name: ``output`` or ``error``, for the note on lost output.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._lost = False
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=_HANDLER)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write a text, unless the stream is lost; return its length."""
        redacted = redact(text)
        if not self._lost:
            try:
                self._stream.write(redacted)
            except UnicodeEncodeError:  # the stream has no `reconfigure`
                encoding = self._stream.encoding or "ascii"
                self._stream.write(redacted.encode(encoding, _HANDLER).decode(encoding))
            except (OSError, ValueError) as error:
                self._discard_output(error)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Flush the stream, unless it is lost."""
        if not self._lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._discard_output(error)

    def _discard_output(self, error: Exception) -> None:
        """Discard all further output, and the buffer, which would fail again at exit and change the exit code."""
        self._lost = True
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):
            pass
        # No note on a pipe without a reader or a closed descriptor; one on standard error would be lost with it.
        if isinstance(error, OSError) and error.errno not in (errno.EPIPE, errno.EBADF) and self._name != "error":
            note(f"standard {self._name}: {error.strerror}; the rest of the output is lost")


def make_streams_safe() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that do not raise errors, also if they are closed."""
    _open_closed()
    for name, attribute in (("output", "stdout"), ("error", "stderr")):
        stream = getattr(sys, attribute)
        if not isinstance(stream, Stream):
            open_stream = open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: SIM115
            setattr(sys, attribute, Stream(open_stream, name))


def _open_closed() -> None:
    """Open closed standard descriptors: the next opened file, a database for example, would get one of them."""
    for standard in (0, 1, 2):
        try:
            os.fstat(standard)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number


def write(text: str, *, raw: bool = False) -> None:
    """Write a text to standard output.

    Args:
        text: text with its line ends.
        raw: write the text without escapes, unless a terminal reads it.
    """
    sys.stdout.write(text if raw and not sys.stdout.isatty() else visible(text, lines=True))
    sys.stdout.flush()


def write_line(text: str) -> None:
    """Write a line to standard output at once, so that lines of several processes do not mix."""
    write(f"{text}\n")


def note(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(f"{visible(text, lines=True)}\n")
    sys.stderr.flush()


def console(*, stderr: bool = False) -> "Console":
    """Return rich's console with `visible` texts, `PIPED_WIDTH` columns wide if there is no terminal."""
    from rich.console import Console

    rich_console = Console(stderr=stderr, highlight=False, emoji=False)
    if not rich_console.is_terminal and "COLUMNS" not in os.environ:
        rich_console.width = PIPED_WIDTH
    elif rich_console.width < 1:  # COLUMNS=0
        rich_console.width = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
    rich_console.push_render_hook(_VisibleHook())  # type: ignore[arg-type]  # it has the method of the class
    return rich_console


def show_table(table: "Table") -> None:
    """Print a table of plain texts; on a narrow terminal each row as several lines, the first column first."""
    from rich.measure import Measurement
    from rich.text import Text

    rich_console = console()
    min_width = Measurement.get(rich_console, rich_console.options.update(width=10_000), table).minimum
    for column in table.columns:
        if column.overflow == "fold":  # long words may be broken, and short ones may not
            longest = max((len(word) for cell in column.cells for word in str(cell).split()), default=0)
            min_width -= max(0, longest - _MIN_WORD_WIDTH)
    if min_width <= rich_console.width:
        rich_console.print(table)
        return
    text = Text(f"{table.title}\n" if table.title else "", overflow="fold")
    first, *others = table.columns
    for row, name in enumerate(first.cells):
        text.append(f"\n{name}\n", style="bold")
        for column in others:
            text.append(f"  {column.header}: {list(column.cells)[row]}\n")
    rich_console.print(text)


class _VisibleHook:
    def process_renderables(self, renderables: "list[RenderableType]") -> "list[RenderableType]":
        return [_Visible(renderable) for renderable in renderables]


class _Visible:
    """A renderable of rich whose text is `visible`; its colours and cursor movements are kept."""

    def __init__(self, inner: "RenderableType") -> None:
        self._inner = inner

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        from rich.segment import Segment

        for segment in console.render(self._inner, options):
            yield segment if segment.control else Segment(visible(segment.text, lines=True), segment.style)


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    unencodable = error.object[error.start : error.end]
    replaced = "".join(_LOOK_ALIKES.get(c) or c.encode("ascii", "backslashreplace").decode() for c in unencodable)
    return replaced, error.end


codecs.register_error(_HANDLER, _replace)
