"""Try wrong values for every key of every config: each is refused with the name of the key, or has a permitted type.

``python -m tests.config.wrong_inputs [APP ...]`` tries all cases and prints a line for each violation.
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
SECONDS = 2.0  # time limit of a check

# Values of overrides by kind and label; `files` adds those of the kind "file".
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
# Permitted kinds of a key besides that of its default, for example a list if the default is null.
_NUMBER = ("whole", "number", "interpolation of a number")
PERMITTED_KINDS: dict[str, tuple[str, ...]] = {
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

# Permitted extreme values: infinite off values, and fractions that only a check with data can refuse.
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
        name: dotted name.
        default: default value; a mapping for a section.
        context: overrides of a config that contains the key.
    """

    app: str
    name: str
    default: Any
    context: tuple[str, ...]


class Case(NamedTuple):
    """A key with a wrong value and its overrides."""

    key: Key
    kind: str
    label: str
    typed: tuple[str, ...]

    @property
    def id(self) -> str:
        """Description of the case."""
        return f"{self.key.app} {self.key.name}: {self.label or 'nothing'}"


class Outcome(NamedTuple):
    """Result of a case: message of its ConfigError (None if accepted), any other error, and CPU seconds."""

    message: str | None
    crash: str | None
    seconds: float


def files(folder: Path) -> dict[str, str]:
    """Write files that contain no valid data and return paths by description."""
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
    """Yield group, option and overrides of every config file of a run, as in the command at its beginning."""
    from tests.test_configs import command

    (folder / "table.csv").write_text("a,b,answer\n1,2,x\n2,3,y\n")
    (folder / "my_net.py").write_text("class Net:\n    pass\n")
    for group in GROUPS:
        for path in sorted((CONF / group).glob("[!_]*.yaml")):
            _, typed = command(path)
            overrides = [word.replace("FILE", f"{folder}/table.csv").replace("COLUMN", "answer") for word in typed]
            overrides = [word.replace("FOLDER", str(folder)) for word in overrides if not word.startswith("tracking.")]
            yield group, path.stem, tuple(overrides)


@cache
def composer(app: str) -> Composer:
    """Return the composer of an app, cached since creating it takes longer than a check."""
    return Composer(app)


def keys(app: str, folder: Path) -> list[Key]:
    """Return all keys and sections of an app's config, for runs those of every option of every group."""
    plain = OmegaConf.to_container(composer(app).compose(_base(app)))
    assert isinstance(plain, dict)
    keys_by_name = {name: Key(app, name, default, _base(app)) for name, default in _nodes(plain) if name != "prompt"}
    for group, option, context in contexts(folder) if app == "train" else ():
        for name, default in _nodes({group: _option(group, option)}):
            if "._space_" not in name and not (name.endswith("._target_") and name.count(".") > 1):
                keys_by_name.setdefault(name, Key(app, name, default, context))
    target = Key(app, "regularizer.l1._target_", "reglab.regularizers.l1.L1", ("regularizer=l1",))
    return [*keys_by_name.values(), *([target] if app == "train" else [])]


def _option(group: str, option: str) -> dict[str, Any]:
    """Return the contents of a config file merged with its defaults, without the slower composition by Hydra."""
    own = yaml.load((CONF / group / f"{option}.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    bases = [_option(group, base) for base in own.pop("defaults", ()) if base != "_self_"]
    return {key: value for section in (*bases, own) for key, value in section.items()}


def _base(app: str) -> tuple[str, ...]:
    """Return the required overrides of an app; those of a study make its check fast."""
    if app in ("rerun", "evaluate"):
        return ("run_id=0a1b2c3d4e5f60718293a4b5c6d7e8f9",)
    return ("study.strategies=[none,l2]", "study.trials=1", "seeds=2", "study.tuning_seeds=1") if app == "study" else ()


def _nodes(node: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping) and prefix + str(key) not in ("study.space", "study.common"):
            yield from _nodes(value, f"{prefix}{key}.")


def cases(all_keys: Sequence[Key], paths: Mapping[str, str]) -> Iterator[Case]:
    """Yield every key with every value."""
    values = {**VALUES, "file": {**paths}}
    for key in all_keys:
        for kind, by_label in values.items():
            for label, value in by_label.items():
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
    """Return a deterministic sample of one in `share` cases."""
    return [case for case in every if int(hashlib.sha256(case.id.encode()).hexdigest(), 16) % share == 0]


def outcome(case: Case) -> Outcome:
    """Return the outcome of the app's own checks for a case."""
    start = time.process_time()
    message = crash = None
    try:
        check_line(case.typed, case.key.app)
        cfg = composer(case.key.app).compose(case.typed)
        _check(case.key.app)(cfg)
    except ConfigError as error:
        message = str(error)
    except Exception as error:
        crash = f"{type(error).__name__}: {str(error)[:200]}"
    return Outcome(message, crash, time.process_time() - start)


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
    """Run the checks of the study sweeper that do not need torch."""
    from reglab.study.definition import check_options

    check_options(cfg)
    regularizers = [path.stem for path in (CONF / "regularizer").glob("*.yaml")]
    make_arms(read_study(cfg.study, cfg.seeds, regularizers), composer("train"))


def problem(case: Case, result: Outcome) -> str | None:
    """Return a description of the violation, or None if the outcome is correct."""
    if result.crash:
        return f"crashed: {result.crash}"
    if result.seconds > SECONDS:
        return f"took {result.seconds:.1f} s"
    if result.message is None:
        return None if is_permitted(case) else "accepted"
    if len(result.message) > 2500:
        return f"a message of {len(result.message)} characters"
    if not is_printable(result.message):
        return f"not one printable line: {result.message[:200]!r}"
    named = case.key.name + ("_more" if case.label == "+" else "")
    named = "x" if case.label == "unknown key" else named
    return None if _names(result.message, named) else f"does not name the key: {result.message[:200]}"


def _names(message: str, key: str) -> bool:
    """Return True if a message begins with the key or a key below it, or contains the key."""
    start = message.split("=")[0].split(":")[0].lstrip("+~")
    return (
        start == key
        or start.startswith(f"{key}.")
        or re.search(rf"(?<!\w){re.escape(key)}(?![\w.])", message) is not None
    )


def is_permitted(case: Case) -> bool:
    """Return True if the kind of the value is permitted for its key."""
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
    return {*own[type(default)], *PERMITTED_KINDS.get(key.name, ()), *strength}


def main(apps: Sequence[str]) -> int:
    """Try all cases of the apps and print a line for each violation."""
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sys.path.insert(0, name)
        paths = files(folder)
        for app in apps or APPS:
            all_keys = keys(app, folder)
            all_cases = list(cases(all_keys, paths))
            start = time.perf_counter()
            violations = [(case, violation) for case in all_cases if (violation := problem(case, outcome(case)))]
            seconds = time.perf_counter() - start
            for case, violation in violations:
                print(f"{case.id} -> {violation}")
            print(
                f"{app}: {len(all_keys)} keys, {len(all_cases)} cases, {len(violations)} wrong, {seconds:.1f} s",
                file=sys.stderr,
            )
            wrong += len(violations)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
