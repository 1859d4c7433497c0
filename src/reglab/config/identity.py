"""Identities of runs: hashes of everything that a result depends on, as docs/identity.md defines them."""

import functools
import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reglab import hub_cache
from reglab.config.code import Code, code_of
from reglab.config.selection import strategy
from reglab.data.files import check_regular, stem, walk
from reglab.data.settings import fold_name
from reglab.filesystem import map_paths
from reglab.schema.errors import Setting
from reglab.user_code.finding import source_file

__all__ = [
    "RULE",
    "code_of_config",
    "config_hash",
    "content_hash",
    "data_name",
    "identity_parts",
    "recipe_hash",
    "setting_fields",
    "setting_hash",
    "strategy",
    "strategy_code",
]

RULE = "2"
"""The version of the identity rule, tagged on each run: 1 covers configs and files, 2 also code and libraries."""

_SECTIONS = ("data", "model", "regularizer", "optimizer", "scheduler", "trainer")
# Settings of device and output, which do not affect results. All other keys of `trainer` do.
_IRRELEVANT_TRAINER_KEYS = {"accelerator", "devices", "progress"}
_PATHS = ("path", "root")  # a user's file or folder
# Existing files and folders count by content. A name in the Hugging Face cache (third entry: its kind) counts by its
# commit there.
_MAY_BE_PATHS = (
    ("data", "path", "datasets"),
    ("data", "root", None),
    ("data", "tokenizer", "models"),
    ("model", "path", "models"),
)
_FOLDS = ("test_fold", "val_fold")  # 3 and "3" are the same fold
# Keys that were added to tables later: null is the earlier behaviour, so earlier runs keep their identity.
_KEYS_ADDED_LATER = ("ignore", "split_column", "split_by", *_FOLDS)
_SEEDS = ("seed", "split_seed")


def config_hash(cfg: DictConfig | Mapping[str, Any]) -> str:
    """Return the identity of a run: 16 hexadecimal digits that change with the keys that affect results, and no others.

    Args:
        cfg: composed, or as plain values, resolved (of `check_and_resolve`).
    """
    return _hash(identity_parts(cfg))


def recipe_hash(cfg: DictConfig | Mapping[str, Any]) -> str:
    """Return the identity without code and libraries, as defined by rule 1 in docs/identity.md."""
    parts = _recipe(cfg)
    if "target" in parts["model"]:
        parts["model"]["code"] = content_hash(source_file(parts["model"]["target"], "model.target"))
    return _hash(parts)


def setting_hash(cfg: DictConfig, tuned: Iterable[str] = ()) -> str:
    """Return the identity without regularizers, seeds and tuned keys: runs that can be compared have the same."""
    return _hash(setting_fields(cfg, tuned))


def identity_parts(cfg: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that a result depends on, as plain values.

    Data, model, regularizers, optimizer, schedule, epochs, seeds; the code of all these, and the libraries they use.

    A file is represented by its content and not by its path. Names and search ranges are excluded, and so are
    devices, tracking, sweep and report.
    """
    code = code_of_config(cfg)
    code_parts: dict[str, Any] = {"regularizer": {}}
    for name, digest in code.parts.items():
        section, _, method = name.partition(".")
        if method:
            code_parts[section][method] = digest
        else:
            code_parts[name] = digest
    return {**_recipe(cfg), "code": code_parts, "versions": code.versions}


def code_of_config(cfg: DictConfig | Mapping[str, Any]) -> Code:
    """Return the code and the libraries of a config's run."""
    return code_of({section: _plain(cfg.get(section)) for section in _SECTIONS})


def strategy_code(cfg: DictConfig | Mapping[str, Any]) -> str:
    """Return a hash of the code of a config's regularizers, 8 hexadecimal digits; empty without any.

    Runs of one setting and strategy with different hashes used two versions of a method, and are never averaged.
    """
    parts = {name: digest for name, digest in code_of_config(cfg).parts.items() if name.startswith("regularizer.")}
    return _hash(parts)[:8] if parts else ""


def _recipe(cfg: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of `identity_parts` that the config and its files determine."""
    parts: dict[str, Any] = {"seed": cfg["seed"]}
    for section in _SECTIONS:
        plain = _plain(cfg.get(section))
        parts[section] = {str(key): value for key, value in plain.items() if key != "name"}
    parts["regularizer"] = {k: v for k, v in parts["regularizer"].items() if not k.startswith("_")}
    parts["trainer"] = {k: _mark_share(k, v) for k, v in parts["trainer"].items() if k not in _IRRELEVANT_TRAINER_KEYS}
    parts["data"] = _data_part(cfg)
    for name, node in parts["regularizer"].items():  # null is the default of a key that was added to the class later
        parts["regularizer"][name] = {key: value for key, value in node.items() if value is not None}
    if options := {key: value for key, value in _plain(cfg.get("task")).items() if value is not None}:
        parts["task"] = options
    for section, key, kind in _MAY_BE_PATHS:
        value = parts[section].get(key)
        if isinstance(value, str) and Path(value).expanduser().exists():
            parts[section][key] = content_hash(value, Setting(f"{section}.{key}", value))
        elif isinstance(value, str) and kind and (commit := hub_cache.find_commit(value, kind)):
            parts[section][key] = f"{value}@{commit}"
    if args := parts["model"].get("args"):
        parts["model"]["args"] = map_paths(args, lambda path, key: content_hash(path, Setting(key, path)), "model.args")
    canonical = _canonical(parts)
    assert isinstance(canonical, dict)
    return canonical


def _data_part(cfg: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Return the section without label, folder of downloads, and null keys that earlier runs did not have."""
    plain = _plain(cfg.get("data"))
    name_is_label = "version" not in plain or plain.get("id") is not None  # else it identifies a data set of OpenML
    excluded = {"cache"} | {key for key in _KEYS_ADDED_LATER if plain.get(key) is None}
    if name_is_label:
        excluded.add("name")
    else:
        plain = {**plain, "name": str(plain.get("name")).lower()}  # names on OpenML ignore case
    kept = {str(key): value for key, value in plain.items() if key not in excluded}
    return kept | {key: fold_name(kept[key]) for key in _FOLDS if key in kept}


def _plain(node: Any) -> dict[Any, Any]:
    plain = OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node
    assert plain is None or isinstance(plain, dict)
    return plain or {}


def _mark_share(key: str, value: Any) -> Any:
    """Return a limit of batches such that 1.0 (all of them) and 1 (one batch) differ."""
    counts = key.startswith(("limit_", "overfit_", "val_check_"))
    return f"share {value}" if counts and isinstance(value, float) else value


def setting_fields(cfg: DictConfig, tuned: Iterable[str] = ()) -> dict[str, Any]:
    """Return `identity_parts` without regularizers, seeds and tuned keys: equal for all strategies compared."""
    parts = {key: value for key, value in identity_parts(cfg).items() if key not in ("regularizer", "seed")}
    parts["code"] = {name: digest for name, digest in parts["code"].items() if name != "regularizer"}
    parts["data"] = {key: value for key, value in parts["data"].items() if key not in _SEEDS}
    for section, _, key in (name.partition(".") for name in tuned):
        if isinstance(parts.get(section), dict):
            parts[section] = {k: value for k, value in parts[section].items() if k != key}
    return parts


def data_name(cfg: DictConfig) -> str:
    """Return the data set's name; for a file without one, the file's stem; for a number of OpenML, ``openml-61``."""
    if cfg.data.get("name"):
        return str(cfg.data.name)
    for key in _PATHS:
        if cfg.data.get(key):
            return stem(str(cfg.data[key]))
    class_name = str(cfg.data._target_).rpartition(".")[2].lower()
    return f"{class_name}-{cfg.data.id}" if cfg.data.get("id") else class_name


def _hash(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    """Return equal values for equal settings: 1 and 1.0, any order of keys; infinity as text, which JSON lacks."""
    if isinstance(value, Mapping):
        return {str(key): _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    return value


_folder_digests: dict[str, tuple[float, str]] = {}  # folder: (time at which its digest expires, digest)
_SLOW_S, _KEEP = 0.05, 20  # seconds; a digest that took longer is kept for this many times as long


def content_hash(path: str | Path, setting: Setting | None = None) -> str:
    """Return the SHA-256 of a file's bytes, or of a folder's visible files, names and bytes (hex).

    The digest of a file is cached until its size or time of modification changes. That of a large folder is cached for
    twenty times as long as it took to compute, so that a study does not read the folder for each config.

    Args:
        path: a file or folder.
        setting: setting that contains the path, for error messages; None: the path alone.

    Raises:
        ConfigError: see `check_regular`.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _folder_digest(path)
    check_regular(path, setting or str(path))
    state = path.stat()
    return _file_digest(str(path.resolve()), state.st_size, state.st_mtime_ns)


def _folder_digest(path: Path) -> str:
    key, began = str(path.resolve()), time.monotonic()
    if key in _folder_digests and began < _folder_digests[key][0]:
        return _folder_digests[key][1]
    digest = hashlib.sha256()
    for file in sorted(walk(path)):
        digest.update(f"{file.relative_to(path).as_posix()}\0{content_hash(file)}\0".encode())
    seconds = time.monotonic() - began
    if seconds > _SLOW_S:
        _folder_digests[key] = (began + _KEEP * seconds, digest.hexdigest())
    return digest.hexdigest()


@functools.lru_cache(maxsize=1 << 17)  # files of a folder of images
def _file_digest(path: str, size: int, modified_ns: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
