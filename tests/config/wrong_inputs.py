"""Wrong values for every key of every config, from the config tree itself: each is refused by name, or is of its kind.

All of them, with a line for each that ends otherwise: ``python -m tests.config.wrong_inputs [APP ...]``.
"""

import hashlib
import re
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from reglab.config.command_line import check_line
from reglab.config.compose import Composer
from reglab.paths import CONF, PROJECT
from reglab.schema.errors import ConfigError
from reglab.schema.text import is_printable
from reglab.study.arms import make_arms
from reglab.study.definition import read_study

APPS = ("train", "study", "report", "status", "rerun", "evaluate", "export", "generate", "ui")
GROUPS = ("data", "model", "regularizer", "optimizer", "scheduler", "trainer", "tracking")
LONG = "a" * 100_000
SECONDS = 2.0  # within which a check answers

# What is typed after the = of a key, by what it is; files are made by `files`.
VALUES: dict[str, dict[str, str]] = {
    "null": {"null": "null"},
    "bool": {"true": "true", "false": "false"},
    "whole": {
        **{text: text for text in ("0", "-1", "5", "1000000", "999999999")},
        "10^20": "100000000000000000000",
        "-10^20": "-100000000000000000000",
    },
    "number": {text: text for text in ("1.5", "3.0", "1e-300", "1e20", "1e400", "nan", "inf", "-inf", "-0.5")},
    "list": {text: text for text in ("[]", "[1]", "[-1]", "[999999999]", "[a]", "[null]", "[[1]]", "[digits,wine]")},
    "mapping": {text: text for text in ("{a:1}", "{}", "{_target_:os.getcwd}")},
    "text": {
        "word": "maybe",
        "number in quotes": "'3'",
        "true in quotes": "'true'",
        "null in quotes": "'null'",
        "double quote": "'\"'",
        "single quote": "'it\\'s'",
        "backtick": "'`id`'",
        "dollar": "'$HOME'",
        "backslash": "'a\\\\'",
        "equals": "'a=b'",
        "slashes": "'../../x'",
        "emoji": "'\U0001f600'",
        "right to left": "'\u202eabc'",
        "zero width": "'a\u200bb'",
        "long": LONG,
        "long, with spaces": f"'{'a ' * 20_000}'",
    },
    "nothing": {"": "", "empty text": "''", "spaces": "'  '"},
    "unprintable": {
        "newline": "'a\nb'",
        "tab": "'a\tb'",
        "escape": "'\x1b[31m'",
        "lone surrogate": "'\udcff'",
    },
    "interpolation": {"unknown key": "${x}", "environment": "${oc.env:HOME}", "missing": "???", "itself": "${seed}"},
    "ways of writing": {"~": "~", "+": "+", "inside": "inside"},
}
# Kinds that a key may have beside that of its default. A list for one with the default null.
_NUMBER = ("whole", "number", "interpolation of a number")
BESIDE: dict[str, tuple[str, ...]] = {
    **{f"data.{key}": ("whole", "null") for key in ("train_size", "batch_size", "id", "version")},
    "data.test_fraction": ("null", *_NUMBER),
    **{f"data.{key}": ("text", *_NUMBER) for key in ("target", "split_column", "image", "column")},
    **{f"data.{key}": ("text", *_NUMBER, "bool") for key in ("test_fold", "val_fold")},
    **{f"data.{key}": ("text",) for key in ("path", "root", "cache", "config", "split_by")},
    "data.name": ("text", "null"),
    **{f"data.{key}": ("whole",) for key in ("seed", "split_seed")},
    "data.ignore": ("list", "null"),
    "data.size": ("list",),
    "model.args": ("mapping", "inside"),
    "model.lora": ("mapping", "null", "inside"),
    "data.tokenizer": ("text",),
    "model.target": ("text",),
    "model.path": ("text",),
    "optimizer.betas": ("list",),
    **{f"trainer.limit_{part}_batches": _NUMBER for part in ("train", "val", "test")},
    "trainer.gradient_clip_val": _NUMBER,
    "resume": ("bool", "null"),
    "workers": ("whole",),
    "seeds": ("whole", "null"),
    **dict.fromkeys(("metric", "direction", "select_by", "report.dir", "sweep.name", "sweep", "name"), ("text",)),
    **dict.fromkeys(("tracking.uri", "register"), ("text",)),
    **dict.fromkeys(("baseline", "experiment"), ("null",)),
    "top_k": ("whole",),
    "top_p": _NUMBER,
    "study.max_seconds": _NUMBER,
    "study.direction": ("text",),
    "study.select_by": ("text",),
    "study.pruning": ("mapping",),
    "filter": ("null", "nothing"),
    "tracking.experiment": ("text",),  # null by default in some apps
    "run_id": ("text", "nothing"),
    "study.common": ("null", "~"),
    "study.space": ("null", "~"),
    "regularizer": ("text", "list"),
}

# Off is infinite; and shares that leave no row or batch, which the data show.
EXTREMES = {
    *(("1e400", f"regularizer.{key}") for key in ("early_stopping.patience", "gradient_clipping.max_norm")),
    ("1e400", "regularizer.max_norm.max_norm"),
    *(("1e-300", f"data.{key}") for key in ("val_fraction", "test_fraction", "target", "split_column")),
    *(("1e-300", f"trainer.limit_{part}_batches") for part in ("train", "val", "test")),
}


class Key(NamedTuple):
    """A key of an app's config.

    Attributes:
        app: the app.
        name: dotted.
        default: its value; a mapping for a section.
        context: overrides with which it is there.
    """

    app: str
    name: str
    default: Any
    context: tuple[str, ...]


class Case(NamedTuple):
    """A key with a wrong value, as it is typed."""

    key: Key
    kind: str
    label: str
    typed: tuple[str, ...]

    @property
    def id(self) -> str:
        """In words."""
        return f"{self.key.app} {self.key.name}: {self.label or 'nothing'}"


class Outcome(NamedTuple):
    """What came of a case: the message of a ConfigError, None where it was accepted; another error; its seconds."""

    message: str | None
    crash: str | None
    seconds: float


def files(folder: Path) -> dict[str, str]:
    """Paths that are no data, by what they are."""
    (folder / "empty.csv").write_text("")
    (folder / "binary.csv").write_bytes(bytes(range(256)))
    (folder / "no-permission.csv").write_text("a,y\n1,2\n")
    (folder / "no-permission.csv").chmod(0)
    (folder / "folder.csv").mkdir()
    return {
        "missing file": f"{folder}/nope.csv",
        "missing folder": f"{folder}/nope/nope.csv",
        "folder": f"{folder}/folder.csv",
        "empty file": f"{folder}/empty.csv",
        "binary file": f"{folder}/binary.csv",
        "below a file": f"{folder}/empty.csv/x.csv",
    }


def contexts(folder: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Group, option and overrides of every option of every group of runs, as the command in its file has them."""
    from tests.test_configs import command

    (folder / "table.csv").write_text("a,b,answer\n1,2,x\n2,3,y\n")
    (folder / "my_net.py").write_text("class Net:\n    pass\n")
    for group in GROUPS:
        for path in sorted((CONF / group).glob("[!_]*.yaml")):
            _, typed = command(path)
            given = [word.replace("FILE", f"{folder}/table.csv").replace("COLUMN", "answer") for word in typed]
            given = [word.replace("FOLDER", str(folder)) for word in given if not word.startswith("tracking.")]
            yield group, path.stem, tuple(given)


@cache
def composer(app: str) -> Composer:
    """One for all cases of an app: composing again takes longer than a check."""
    return Composer(app)


def keys(app: str, folder: Path) -> list[Key]:
    """All keys of an app's config, sections among them, each once; of runs those of every option of every group."""
    plain = OmegaConf.to_container(composer(app).compose(_base(app)))
    assert isinstance(plain, dict)
    found = {name: Key(app, name, default, _base(app)) for name, default in _nodes(plain) if name != "prompt"}
    for group, option, context in contexts(folder) if app == "train" else ():
        for name, default in _nodes({group: _option(group, option)}):
            if "._space_" not in name and not (name.endswith("._target_") and name.count(".") > 1):
                found.setdefault(name, Key(app, name, default, context))
    one = Key(app, "regularizer.l1._target_", "reglab.regularizers.l1.L1", ("regularizer=l1",))
    return [*found.values(), *([one] if app == "train" else [])]


def _option(group: str, option: str) -> dict[str, Any]:
    """What a file of a group holds, with those it builds on; faster than Hydra composes it."""
    own = yaml.load((CONF / group / f"{option}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    bases = [_option(group, base) for base in own.pop("defaults", ()) if base != "_self_"]
    return {key: value for some in (*bases, own) for key, value in some.items()}


def _base(app: str) -> tuple[str, ...]:
    """What an app needs, and a study that is soon checked."""
    if app in ("rerun", "evaluate"):
        return ("run_id=0a1b2c3d4e5f60718293a4b5c6d7e8f9",)
    return ("study.strategies=[none,l2]", "study.trials=1", "seeds=2", "study.tuning_seeds=1") if app == "study" else ()


def _nodes(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping) and prefix + str(key) not in ("study.space", "study.common"):
            yield from _nodes(value, f"{prefix}{key}.")


def cases(found: Sequence[Key], paths: Mapping[str, str]) -> Iterator[Case]:
    """Every key with every value."""
    values = {**VALUES, "file": {**paths}}
    for key in found:
        for kind, some in values.items():
            for label, value in some.items():
                yield Case(key, kind, label, _typed(key, kind, label, value))


def _typed(key: Key, kind: str, label: str, value: str) -> tuple[str, ...]:
    typed = (f"{key.name}={value}",)
    if kind == "ways of writing":
        ways = {
            "~": (f"~{key.name}",),
            "+": (f"+{key.name}_more=1",),
            "inside": (f"+{key.name}.inner=1",),
        }
        typed = ways[label]
    names = {word.lstrip("+~").split("=")[0] for word in typed}
    return (*(word for word in key.context if word.split("=")[0] not in names), *typed)


def sample(every: Sequence[Case], share: int) -> list[Case]:
    """One in `share` of the cases, the same ones at each time."""
    return [one for one in every if int(hashlib.sha256(one.id.encode()).hexdigest(), 16) % share == 0]


def outcome(case: Case) -> Outcome:
    """Return the outcome of the app's own checks for a case."""
    began = time.process_time()
    message = crash = None
    try:
        check_line(case.typed, case.key.app)
        cfg = composer(case.key.app).compose(case.typed)
        _check(case.key.app)(cfg)
    except ConfigError as error:
        message = str(error)
    except Exception as error:
        crash = f"{type(error).__name__}: {str(error)[:200]}"
    return Outcome(message, crash, time.process_time() - began)


@cache
def _check(app: str) -> Callable[[DictConfig], object]:
    if app == "study":
        return _check_study
    before = signal.getsignal(signal.SIGINT)
    try:
        check: Callable[[DictConfig], object] = runpy.run_path(str(PROJECT / "pipelines" / f"{app}.py"))["check"]
    finally:
        signal.signal(signal.SIGINT, before)
    return check


def _check_study(cfg: DictConfig) -> None:
    """What the sweeper of studies does before it imports torch."""
    from reglab.study.definition import check_options

    check_options(cfg)
    regularizers = [path.stem for path in (CONF / "regularizer").glob("*.yaml")]
    make_arms(read_study(cfg.study, cfg.seeds, regularizers), composer("train"))


def problem(case: Case, got: Outcome) -> str | None:
    """What is wrong with an outcome; None where it is as it must be."""
    if got.crash:
        return f"crashed: {got.crash}"
    if got.seconds > SECONDS:
        return f"took {got.seconds:.1f} s"
    if got.message is None:
        return None if may_be(case) else "accepted"
    if len(got.message) > 2500:
        return f"a message of {len(got.message)} characters"
    if not is_printable(got.message):
        return f"not one printable line: {got.message[:200]!r}"
    named = case.key.name + ("_more" if case.label == "+" else "")
    named = "x" if case.label == "unknown key" else named
    return None if _names(got.message, named) else f"does not name the key: {got.message[:200]}"


def _names(message: str, key: str) -> bool:
    """Whether a message begins with the key or with one inside it, or names the key where it begins with another."""
    start = message.split("=")[0].split(":")[0].lstrip("+~")
    return (
        start == key
        or start.startswith(f"{key}.")
        or re.search(rf"(?<!\w){re.escape(key)}(?![\w.])", message) is not None
    )


def may_be(case: Case) -> bool:
    """Whether a value is of a kind that its key may have."""
    kinds = {case.kind} if case.kind != "file" else {"text"}
    if case.label in ("1e400", "nan", "-inf", "1e-300"):
        return (case.label, case.key.name) in EXTREMES
    if case.kind == "nothing":
        kinds = {"null"} if case.label == "" else {"nothing"}
    if case.kind == "ways of writing":
        kinds = {case.label}
    if case.kind == "interpolation":
        kinds = (
            {"text"}
            if case.label == "environment"
            else {"whole", "interpolation of a number"}
            if case.label == "itself"
            else set()
        )
    return bool(kinds & _kinds(case.key))


def _kinds(key: Key) -> set[str]:
    default = key.default
    own: dict[type, tuple[str, ...]] = {
        bool: ("bool",),
        int: ("whole",),
        float: _NUMBER,
        str: ("text",),
        list: ("list",),
        dict: ("mapping",),
        type(None): ("null",),
    }
    strength = _NUMBER if key.name.count(".") == 2 and key.name.startswith("regularizer.") else ()
    return {*own[type(default)], *BESIDE.get(key.name, ()), *strength}


def main(apps: Sequence[str]) -> int:
    """Tries all cases of some apps; prints a line for each that ends otherwise than it must."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, name)
        paths = files(folder)
        for app in apps or APPS:
            found = keys(app, folder)
            every = list(cases(found, paths))
            began = time.perf_counter()
            bad = [(case, fault) for case in every if (fault := problem(case, outcome(case)))]
            seconds = time.perf_counter() - began
            for case, fault in bad:
                print(f"{case.id} -> {fault}")
            print(f"{app}: {len(found)} keys, {len(every)} cases, {len(bad)} wrong, {seconds:.1f} s", file=sys.stderr)
            wrong += len(bad)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
