"""Find secrets in tracking URIs and environment variables, hide them from the process list, and mask them in text.

`mask_uri` masks one URI by its structure. `redact` masks, in any text, the secrets that this process has met so far
(`register_secrets`) and those of environment variables named like one (``MLFLOW_TRACKING_PASSWORD``, ``HF_TOKEN``).
"""

import base64
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from reglab.schema.errors import ConfigError
from reglab.schema.text import quote_value

MASK = "***"
URI_VARIABLE = "MLFLOW_TRACKING_URI"
_SECRET_NAMES = r"pass(?:word|wd|phrase)?|pwd|token|secret|api[_-]?key|access[_-]?key|credential|signature|sig"
_SECRET_VARIABLE = re.compile(_SECRET_NAMES, re.IGNORECASE)
_SECRET_SETTING = re.compile(rf"\b[\w.-]*(?:{_SECRET_NAMES})[\w.-]*=([^&;?#\s'\"]+)", re.IGNORECASE)
_USERINFO = re.compile(r"([^:/?#@]*):(.*)@", re.DOTALL)  # to the last @: a password may contain / ? # and @
_TOKEN = re.compile(r"([^:/?#@]+)@")
_PASSWORD_IN_TEXT = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/?#@'\"]*):[^\s@'\"]+@", re.IGNORECASE)
_TOKEN_IN_TEXT = re.compile(r"(\bhttps?://)[^\s:/?#@'\"]+@", re.IGNORECASE)
_QUERY_IN_TEXT = re.compile(rf"([?&][\w.-]*(?:{_SECRET_NAMES})[\w.-]*=)[^&;?#\s'\"]+", re.IGNORECASE)
_URI_OVERRIDE = re.compile(r"(\+{0,2}tracking\.uri)=(.*)", re.DOTALL)
_TRACKING_SECTION = re.compile(r"(\+{0,2}tracking)=(\s*\{.*)", re.DOTALL)
_DATABASES = ("postgres", "mysql", "mariadb", "mssql", "oracle", "sqlite")
# Of a URI's query only these values are shown.
_SHOWN_KEYS = {"mode", "cache", "timeout", "uri", "vfs", "nolock", "immutable", "sslmode", "ssl_mode", "sslrootcert"}
_SHOWN_KEYS |= {"host", "port", "charset", "connect_timeout", "application_name", "driver", "target_session_attrs"}
_known: dict[str, str] = {}  # secret to its masked form


def mask_uri(uri: str) -> str:
    """Return a URI with ``***`` for each secret: password, token before the host, values of the query, fragment.

    >>> mask_uri("postgresql://me:a/b@db:5432/lab?sslmode=require&sslpassword=c")
    'postgresql://me:***@db:5432/lab?sslmode=require&sslpassword=***'
    >>> mask_uri("https://token@host")
    'https://***@host'
    """
    masked, copied_to = [], 0
    for begin, end in _merged_spans(uri):
        masked += [uri[copied_to:begin], MASK]
        copied_to = end
    return "".join([*masked, uri[copied_to:]])


def has_secret(uri: str) -> bool:
    """Return whether `mask_uri` changes the URI."""
    return mask_uri(uri) != uri


def register_secrets(uri: str) -> None:
    """Make `redact` mask this URI and its secrets from now on."""
    masked = mask_uri(uri)
    if masked == uri:
        return
    _known[uri] = masked
    userinfo = _before_host(uri)
    if userinfo is not None:
        _known[f"{userinfo[0]}:{userinfo[1]}@" if userinfo[1] is not None else f"{userinfo[0]}@"] = f"{MASK}@"
    # A user name without a password is a token, and so a secret.
    secrets = [] if userinfo is None else [userinfo[1] or userinfo[0]]
    secrets += [uri[begin:end] for begin, end in _merged_spans(uri)[userinfo is not None :]]
    for secret in secrets:
        # A parser of the URI would quote its parts.
        plain = {secret, unquote(secret), unquote_plus(secret), *re.split("[/?#@:&=]", secret)}
        forms = {form for text in plain for form in (text, quote(text, safe=""), quote_plus(text))}
        plain = {text for text in plain if _is_distinctive(text)} | (
            {f"{userinfo[0]}:{userinfo[1]}"} if userinfo else set()
        )
        forms |= {base64.b64encode(text.encode(errors="surrogateescape")).decode() for text in plain}
        _known.update({form: MASK for form in forms if _is_distinctive(form)})


def redact(text: str) -> str:
    """Return a text without the secrets that are known, and without passwords of any URI in it."""
    known = {**_known, **dict.fromkeys(_secrets_of_environment(), MASK)}
    for secret in sorted(known, key=len, reverse=True):
        if secret in text:
            text = re.sub(
                rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", known[secret].replace("\\", r"\\"), text
            )
    if "://" in text:
        text = _PASSWORD_IN_TEXT.sub(rf"\1:{MASK}@", text)
        text = _TOKEN_IN_TEXT.sub(rf"\1{MASK}@", text)
        text = _QUERY_IN_TEXT.sub(rf"\1{MASK}", text)
    return text


def redact_uris(overrides: Iterable[str]) -> list[str]:
    """Return overrides with the secrets of ``tracking.uri`` masked."""
    redacted = []
    for override in overrides:
        match = _URI_OVERRIDE.fullmatch(override)
        redacted.append(redact(f"{match[1]}={mask_uri(match[2])}" if match else override))
    return redacted


def hide_typed_uri(arguments: Sequence[str]) -> list[str]:
    """Move a tracking URI with a secret off the command line, which every user of this machine can read.

    It goes to the environment variable `URI_VARIABLE`, and the process restarts without it on the command line. So no
    config, no list of overrides and no worker ever has it. Of several URIs the last one counts; the others are dropped.

    Args:
        arguments: arguments of the command line.

    Returns:
        the arguments, with ``null`` in place of the URI.

    Raises:
        ConfigError: a list or a sweep of URIs, one of which has a secret.
    """
    typed = {i: uri for i, argument in enumerate(arguments) if (uri := _typed_uri(argument)) is not None}
    if not any(map(has_secret, typed.values())):
        return list(arguments)
    replacements: dict[str, str | None] = {}
    last = max(typed)
    for i, uri in typed.items():
        if uri != typed[last]:
            first, second = (f"tracking.uri={mask_uri(value)}" for value in (uri, typed[last]))
            sys.stderr.write(f"note: {first} is replaced by {second}, which comes later\n")
            replacements[arguments[i]] = _replace_uri(arguments[i], None)
    if has_secret(typed[last]):
        os.environ[URI_VARIABLE] = typed[last]
        replacements |= {
            arguments[i]: _replace_uri(arguments[i], "null") for i, uri in typed.items() if uri == typed[last]
        }
        sys.stderr.write(
            f"note: tracking.uri has a secret; set {URI_VARIABLE} instead, to keep it out of the shell's history\n"
        )
    sys.stderr.flush()
    if set(replacements) <= set(sys.orig_argv):
        os.execv(sys.executable, [sys.executable, *_replace_words(sys.orig_argv[1:], replacements)])
    return _replace_words(arguments, replacements)


def _replace_words(words: Sequence[str], replacements: Mapping[str, str | None]) -> list[str]:
    """Return the words with their replacements; those whose replacement is None are left out."""
    return [new for word in words if (new := replacements.get(word, word)) is not None]


def _typed_uri(argument: str) -> str | None:
    """Return the tracking URI that an argument sets, as Hydra reads it; None if it sets none.

    Raises:
        ConfigError: it sets several, one of which has a secret.
    """
    if _TRACKING_SECTION.fullmatch(argument):
        section = _parse_value(argument)
        if isinstance(section, list) and any(redact(item) != item for item in section):
            raise _several_stores_error()
        uri = section.get("uri") if isinstance(section, Mapping) else None
        return uri if isinstance(uri, str) else None
    if (override := _URI_OVERRIDE.fullmatch(argument)) is None:
        return None
    is_list = re.match(r"\s*(\[|\w+\()", override[2]) is not None
    if is_list or "," in override[2]:
        uris = _parse_value(argument)
        # One URI may contain a comma.
        if isinstance(uris, list) and (is_list or sum("://" in uri for uri in uris) > 1):
            if any(map(has_secret, uris)):
                raise _several_stores_error()
            return None
    return _unquote(override[2])


def _several_stores_error() -> ConfigError:
    return ConfigError("tracking.uri", "names several stores, and a command uses one", "give one URI")


def _parse_value(argument: str) -> Any:
    """Return the value of an override, the items of a sweep as a list; None if Hydra cannot read it."""
    from hydra.errors import HydraException

    from reglab.config.compose import parse

    try:
        override = parse(argument)
        value = list(override.sweep_string_iterator()) if override.is_discrete_sweep() else override.value()
    except HydraException:
        return None
    return [_unquote(str(item)) for item in value] if isinstance(value, list) else value


def _replace_uri(argument: str, uri: str | None) -> str | None:
    """Return an argument with another URI; None drops the argument. A whole section gets ``uri:null``."""
    if section := _TRACKING_SECTION.fullmatch(argument):
        return f"{section[1]}={quote_value({**_parse_value(argument), 'uri': None})}"
    return None if uri is None else f"{argument.partition('=')[0]}={uri}"


def _unquote(value: str) -> str:
    """Return the value as Hydra reads it, without its quotes."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1].replace(f"\\{value[0]}", value[0])
    return value


def _before_host(uri: str) -> tuple[str, str | None] | None:
    """Return user and password, or a token and None; None if the URI has neither."""
    rest = uri.partition("://")[2] or uri
    if userinfo := _USERINFO.match(rest):
        return userinfo[1], userinfo[2]
    token = _TOKEN.match(rest)
    return (token[1], None) if token and has_secret(uri) else None


def _merged_spans(uri: str) -> list[tuple[int, int]]:
    """Return the spans of a URI's secrets, from left to right, without overlaps."""
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(_secret_spans(uri)):
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _secret_spans(uri: str) -> Iterator[tuple[int, int]]:
    """Yield the span of each secret of a URI, in any order; spans may overlap."""
    scheme, separator, rest = uri.partition("://")
    start = len(scheme) + len(separator) if separator else 0
    rest = rest if separator else uri
    database = scheme.lower().startswith(_DATABASES)
    userinfo = _USERINFO.match(rest)
    userinfo_end = 0
    if userinfo is not None:
        userinfo_end = userinfo.end()
        yield start + (userinfo.start(2) if database or not separator else 0), start + userinfo.end(2)
    elif separator and not database and (token := _TOKEN.match(rest)) is not None:
        userinfo_end = token.end()
        yield start, start + token.end(1)
    for setting in _SECRET_SETTING.finditer(rest):
        yield start + setting.start(1), start + setting.end(1)
    query = rest.find("?", userinfo_end)
    fragment = rest.find("#", userinfo_end)
    if fragment >= 0 and fragment + 1 < len(rest):
        yield start + fragment + 1, start + len(rest)
    if query >= 0 and (fragment < 0 or query < fragment):
        item_start = query + 1
        for item in re.split("[&;]", rest[item_start : fragment if fragment >= 0 else len(rest)]):
            name, equals, value = item.partition("=")
            if equals and value and name.lower() not in _SHOWN_KEYS:
                yield start + item_start + len(name) + 1, start + item_start + len(item)
            elif item and not equals:
                yield start + item_start, start + item_start + len(item)
            item_start += len(item) + 1


def _is_distinctive(secret: str) -> bool:
    """Return whether a secret is unlikely to occur in a text by chance, as a word or a number would."""
    if secret.replace(".", "").isdigit():
        return False
    return len(secret) >= 8 or (len(secret) >= 4 and not secret.isalpha())


def _secrets_of_environment() -> Iterator[str]:
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and _is_distinctive(value) and not value.startswith(("/", "~")):
            yield value
