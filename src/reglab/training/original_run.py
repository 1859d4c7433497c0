"""Original run of a rerun, an evaluation or an export: its tracked files, its config, and checks of data and code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig, OmegaConf

from reglab.config.check_run import check
from reglab.config.compose import compose
from reglab.config.identity import code_of_config, content_hash, setting_fields
from reglab.config.trusted import Typed, apply_typed, check_overrides, check_targets
from reglab.masking import mask_uri
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import quote_value
from reglab.streams import note
from reglab.tracking import artifacts, queries
from reglab.tracking.environment import git_commit, git_dirty
from reglab.tracking.location import StoreLocation, location_error, resolve
from reglab.tracking.store import Store, open_store, reading_client
from reglab.user_code.finding import source_file
from reglab.wording import mlflow_command

_FILE_SETTINGS = (
    ("data", "path"),
    ("data", "root"),
    ("data", "tokenizer"),
    ("model", "path"),
)  # settings whose files count by content
_MAX_SHOWN_MODULES = 4  # number of changed modules in a message


@dataclass(frozen=True)
class OriginalRun:
    """A tracked run.

    Attributes:
        store: store and experiment of the run.
        record: the run.
        overrides: overrides of its config.
        config: its ``config.yaml``, as plain values; empty if it has none.
        environment: its ``environment.json``; empty if it has none.
        typed: settings that the user has typed.
    """

    store: Store
    record: queries.Record
    overrides: list[str]
    config: dict[str, Any]
    environment: dict[str, Any]
    typed: Typed = field(default_factory=Typed)

    @property
    def about(self) -> dict[str, Any]:
        """Values of the tag `about` by dotted key; empty if it has none."""
        return queries.about(self.store, self.record)

    @property
    def code(self) -> dict[str, Any]:
        """Digests of the parts of its code; empty if it was tracked under rule 1."""
        return queries.code(self.store, self.record)


def find(uri: str | None, run_id: str, typed: Typed | None = None, experiment: str | None = None) -> OriginalRun:
    """Return the run with an id, in an experiment or, with None, in any experiment.

    Raises:
        ConfigError: there is no such run, or it cannot be run again: a parent, an unfinished run, not made by reglab.
    """
    store = _store_of(resolve(uri, writes=False), uri, run_id)
    if experiment not in (None, store.experiment):
        raise ConfigError(
            Setting("tracking.experiment", experiment),
            f"run {run_id} is in {store.experiment}",
            "set this one, or leave it out",
        )
    queries.mark_dead_runs_killed(store)
    record = queries.get(store, run_id)
    if record is None:
        restore = mlflow_command(store.uri, "runs", "restore", "--run-id", run_id)
        raise ConfigError(Setting("run_id", run_id), "was deleted", f"restore it: {restore}")
    _check_has_result(store, record)
    files = artifacts.of_run(store, run_id)
    overrides = files.read_yaml("overrides.yaml", list)
    if overrides is not None and not all(isinstance(override, str) for override in overrides):
        raise files.damaged_error("overrides.yaml", "is not a list of overrides")
    if overrides is None:
        raise ConfigError(Setting("run_id", run_id), "has no overrides.yaml: give a run of make train or make sweep")
    config = files.read_yaml("config.yaml", dict) or {}
    environment = files.read_json("environment.json", dict) or {}
    return OriginalRun(store, record, overrides, config, environment, typed or Typed())


def composed(origin: OriginalRun, reads: Sequence[str] = ("data", "model")) -> DictConfig:
    """Compose the config of a run from its overrides and the present YAML files, without untrusted classes and files.

    Args:
        origin: the run.
        reads: sections whose files will be read.

    Raises:
        ConfigError: the overrides do not compose any more, or name a class or file that the user has not typed.
    """
    check_overrides(origin.overrides)
    cfg = compose(origin.overrides)
    check_targets(cfg)
    apply_typed(cfg, origin.typed, reads)
    if "data.path" in origin.typed.values and cfg.data.get("name", "") is None:
        cfg.data.name = str(origin.record.tags.get("data"))  # not that of the file, which may have moved
    return cfg


def recomposed(origin: OriginalRun, uri: str | None) -> DictConfig:
    """Compose and check the config of a rerun.

    It has the phase of the run, so that a repeated tuning run does not count as a confirmation, and no parent,
    sweep or study, which are finished.

    Args:
        origin: the run.
        uri: URI of its store, as the user gave it.

    Raises:
        ConfigError: the overrides do not compose any more or name an untrusted class or file, or data or code have
            changed.
    """
    run_id = origin.record.run_id
    try:
        cfg = composed(origin)
        tracking = {"uri": uri, "experiment": origin.store.experiment, "rerun_of": run_id}
        tracking |= {"parent": None, "sweep": None, "study": None, "phase": _phase(origin)}
        tracking["tuned"] = _tuned(origin)
        for key, value in tracking.items():
            OmegaConf.update(cfg, f"tracking.{key}", value, force_add=True)
        cfg.resume = False
        check(cfg)
    except ConfigError as error:
        raise ConfigError(Setting("run_id", run_id), error) from error
    check_files(origin, cfg)
    check_code(origin, cfg)
    return cfg


def _phase(origin: OriginalRun) -> str:
    phase = origin.record.tags.get("phase", "single")
    return phase if phase in ("single", "sweep", "tune", "confirm") else "single"


def _tuned(origin: OriginalRun) -> str | None:
    """Return the keys that a study tuned, if the text has only names, dots and commas."""
    tracking = origin.config.get("tracking")
    tuned = tracking.get("tuned") if isinstance(tracking, dict) else None
    return tuned if isinstance(tuned, str) and re.fullmatch(r"[\w.,]*", tuned) else None


def as_overrides(origin: OriginalRun) -> list[str]:
    """Return the run's overrides, with the typed values in place."""
    kept_overrides = [o for o in origin.overrides if o.lstrip("+").partition("=")[0] not in origin.typed.values]
    return kept_overrides + [f"{key}={quote_value(value)}" for key, value in origin.typed.values.items()]


def check_files(origin: OriginalRun, cfg: DictConfig, reads: Sequence[str] = ("data", "model")) -> None:
    """Check that files and folders of a run have the same content.

    Args:
        origin: the run.
        cfg: composed from it.
        reads: sections whose files will be read.

    Raises:
        ConfigError: names the key.
    """
    recorded_fields, present_fields = origin.about, setting_fields(cfg)
    for section, key in _FILE_SETTINGS:
        recorded, present = recorded_fields.get(f"{section}.{key}"), present_fields[section].get(key)
        name = f"{section}.{key}"
        if section not in reads or not present or recorded == present:
            continue
        if str(present).startswith(f"{recorded}@"):  # rule 1 had no commits of names
            continue
        if recorded is None and name not in origin.typed.values:
            continue
        where, file = Setting("run_id", origin.record.run_id), Setting(name, cfg[section][key])
        if recorded is None:
            raise ConfigError(where, f"{file}: the content that the run read is not recorded", "give another run")
        problem = f"{file}: content has changed (SHA-256 then {str(recorded)[:12]}, now {present[:12]})"
        raise ConfigError(where, problem, "restore the original content")


def check_code(origin: OriginalRun, cfg: DictConfig) -> None:
    """Check that the code of a run is the same, unless ``code=changed`` was typed.

    Raises:
        ConfigError: names the modules that differ, or the parts, and the commits; or the run's tag `code` cannot be
            read.
    """
    run_id, recorded_parts, present_code = origin.record.run_id, origin.code, code_of_config(cfg)
    has_modules = isinstance(origin.environment.get("code"), dict)
    if not recorded_parts and (has_modules or origin.record.tags.get("identity_rule") not in (None, "1")):
        if not origin.typed.changed:
            raise ConfigError(
                Setting("run_id", run_id),
                "its tag code is missing or damaged, so its code cannot be compared",
                "restore it, or accept the present code with code=changed",
            )
        note(f"note: code=changed: the tag code of run {run_id} is missing or damaged, so its code is not compared")
        return
    if not recorded_parts:  # rule 1 recorded the content of a user's own file only
        recorded_hash = origin.about.get("model.code")
        if recorded_hash and recorded_hash != content_hash(source_file(cfg.model.get("target"), "model.target")):
            _raise_code_changed(origin, f"model.target={cfg.model.get('target')}")
        return
    parts = sorted(
        part
        for part in recorded_parts.keys() | present_code.parts.keys()
        if recorded_parts.get(part) != present_code.parts.get(part)
    )
    if not parts:
        if origin.typed.changed:
            note(f"note: code=changed: the code of run {run_id} is the same here")
        return
    modules = origin.environment.get("code")
    recorded_modules = modules if isinstance(modules, dict) else {}
    changed = sorted(
        name
        for name in recorded_modules.keys() | present_code.modules.keys()
        if recorded_modules.get(name) != present_code.modules.get(name)
    )
    names = changed if recorded_modules and changed else parts
    _raise_code_changed(
        origin,
        ", ".join(names[:_MAX_SHOWN_MODULES])
        + (f" and {len(names) - _MAX_SHOWN_MODULES} more" if names[_MAX_SHOWN_MODULES:] else ""),
    )


def _raise_code_changed(origin: OriginalRun, difference: str) -> None:
    """Raise the error about changed code, with both commits, unless ``code=changed`` was typed."""
    if origin.typed.changed:
        return
    tags = origin.record.tags
    recorded_commit = str(tags.get("git_commit"))[:7] + (" with changes" if tags.get("git_dirty") == "true" else "")
    present_commit = (git_commit() or "unknown")[:7] + (" with changes" if git_dirty() else "")
    raise ConfigError(
        Setting("run_id", origin.record.run_id),
        f"was trained with other code: {difference} (commit then {recorded_commit}, now {present_commit})",
        "restore it, or accept the present code with code=changed",
    )


def _store_of(location: StoreLocation, uri: str | None, run_id: str) -> Store:
    if location.database is not None and not location.database.exists():
        raise location.error("nothing was tracked there yet", "train a run first: make train")
    client = reading_client(location)
    try:
        experiment = client.get_experiment(client.get_run(run_id).info.experiment_id)
    except MlflowException as error:
        where = mask_uri(location.uri)
        if error.error_code == "INTERNAL_ERROR":
            problem = (str(error).strip().splitlines() or [""])[-1][:200]
            raise ConfigError(
                Setting("run_id", run_id), f"cannot be read from {where} ({problem})", "give another run"
            ) from error
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise ConfigError(Setting("run_id", run_id), f"no such run in {where}{_suggestion(client, run_id)}") from error
    return open_store(uri, experiment.name, writes=location_error(uri) is None)


def _suggestion(client: MlflowClient, run_id: str) -> str:
    """Return the end of a message about an unknown id: the id that it begins, similar ids, or where to find ids."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    ids = [run.info.run_id for run in queries.search(client, experiments)] if experiments else []
    completions = [full_id for full_id in ids if full_id.startswith(run_id)]
    if len(completions) == 1:
        return f"; did you mean {completions[0]}?"
    return did_you_mean(run_id, ids) or "; make train prints ids"


def _check_has_result(store: Store, record: queries.Record) -> None:
    where = Setting("run_id", record.run_id)
    if record.tags.get("phase") == "parent":
        children = queries.runs(store, tags={"mlflow.parentRunId": record.run_id})
        example = f", such as {children[0].run_id}" if children else ""
        raise ConfigError(
            where, f"is the parent {record.name}, which trained nothing", f"give one of its runs{example}"
        )
    if record.status not in ("FINISHED", "FAILED"):
        raise ConfigError(where, f"is {record.status}, so there are no final metrics to compare", "give a FINISHED run")
