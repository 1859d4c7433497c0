"""Format numbers, names, commands to paste, and tables for spreadsheets."""

import csv
import io
import math
import re
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from reglab.masking import mask_uri
from reglab.streams import visible

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]")
_PLAIN = re.compile(r"[A-Za-z0-9_./:+@%-]+( [A-Za-z0-9_./:+@%-]+)*")


def shorten(text: str, max_length: int) -> str:
    """Return a text of at most this many characters, cut between words.

    >>> shorten("a worker was unexpectedly terminated", 24)
    'a worker was ...'
    """
    return textwrap.shorten(text, max_length, placeholder=" ...") if len(text) > max_length else text


def least_share(count: int) -> float:
    """Return the smallest share of `count` items that contains at least one item, rounded up to three digits.

    >>> least_share(17)
    0.0589
    """
    digits = len(str(count)) + 2
    return math.ceil(10**digits / count) / 10**digits


def format_override(key: str, value: object) -> str:
    """Return an override that Hydra reads as exactly this value, quoted only if needed.

    >>> format_override("seed", 3), format_override("data.path", "a=b.csv")
    ('seed=3', 'data.path="a=b.csv"')
    >>> format_override("data.ignore", ["a", "b,c"])
    'data.ignore=[a,"b,c"]'
    """
    if isinstance(value, list):
        return f"{key}=[{','.join(format_override('', item)[1:] for item in value)}]"
    text = str(value)
    if not isinstance(value, str) or (_PLAIN.fullmatch(text) and not _reads_as_other_type(text)):
        return f"{key}={text}"
    text = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)  # else an interpolation
    quote = "'" if '"' in text else '"'
    # Hydra reads two backslashes as one only before a quote.
    escaped = re.sub(rf"(\\*){quote}", lambda match: f"{match[1] * 2}\\{quote}", text)
    escaped = re.sub(r"(\\+)$", lambda match: match[1] * 2, escaped)
    return f"{key}={quote}{escaped}{quote}"


def _reads_as_other_type(text: str) -> bool:
    """Return whether Hydra would read the unquoted text as null, a number or a boolean."""
    try:
        float(text)
    except ValueError:
        return text.lower() in ("null", "true", "false", "nan", "inf")
    return True


def make_command(target: str, overrides: Mapping[str, object] | None = None, **variables: str) -> str:
    """Return a command of the Makefile to paste into a shell: ``make report ARGS="metric=test/loss"``.

    Args:
        target: target of the Makefile.
        overrides: values by key; those that are None are left out.
        variables: variables of make, such as ``RUN_ID``.

    >>> make_command("ui", {"tracking.experiment": "my runs"})
    'make ui ARGS="\\'tracking.experiment=my runs\\'"'
    """
    typed_overrides = [format_override(key, value) for key, value in (overrides or {}).items() if value is not None]
    arguments = " ".join(shlex.quote(override) for override in typed_overrides)
    # make expands $, and passes the rest to a shell.
    all_variables = {**variables, "ARGS": arguments.replace("$", "$$")}
    words = [f"{name}={shell_quote(value)}" for name, value in all_variables.items() if value]
    return " ".join(["make", target, *words])


def mlflow_command(uri: str, *words: str) -> str:
    """Return a command of MLflow to paste into a shell, for the store at a URI, whose secrets are masked."""
    return f"MLFLOW_TRACKING_URI={shlex.quote(mask_uri(uri))} {shlex.join(('mlflow', *words))}"


def shell_quote(text: str) -> str:
    """Return a text as one word for the shell, in double quotes where it needs any.

    >>> print(shell_quote("a.csv"), shell_quote("data.path='a b.csv'"))
    a.csv "data.path='a b.csv'"
    """
    if "!" in text:  # expanded by the history of a shell even in double quotes
        return shlex.quote(text)
    escaped = re.sub(r'(["$`\\])', r"\\\1", text)
    return f'"{escaped}"' if re.search(r"[^A-Za-z0-9_./:-]", text) else text


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table as CSV that a spreadsheet shows as text: no cell is run as a formula.

    Args:
        columns: names.
        rows: numbers, and texts: those that a spreadsheet would read as a formula begin with ``'``, and control
            characters are escaped. None is an empty cell.

    >>> csv_text(["name", "x"], [["=1+1", -0.5]])
    "name,x\\n'=1+1,-0.5\\n"
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_cell(name) for name in columns])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    text = visible(value)
    return f"'{text}" if _FORMULA.match(text) else text
