"""Make, store and print reports of tracked runs: of a sweep or study, or of all runs of an experiment."""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig

from reglab.report.folder import Report, ReportSource
from reglab.report.make import make_report
from reglab.report.question import resolve_question
from reglab.report.render.terminal import print_report, to_markdown
from reglab.report.run_filter import note_on_sources
from reglab.report.trials import StudyRecord, parse_study_record
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.stopping import defer_signals
from reglab.streams import note
from reglab.study import declaration
from reglab.tracking import artifacts, parent, queries
from reglab.tracking.queries import history_reader
from reglab.tracking.store import FIRST_RUNS, Store, open_existing
from reglab.tracking.values import within_limits
from reglab.tracking.view import ui_command


def compare(cfg: DictConfig) -> Report:
    """Make, store and print the report that `conf/report.yaml` describes.

    Raises:
        ConfigError: there are no such runs, or they cannot answer the question.
    """
    store = open_existing(cfg.tracking.uri, cfg.tracking.experiment)
    queries.mark_dead_runs_killed(store)
    folder = Path(cfg.report.dir) if cfg.report.dir else None
    keys = {key: cfg[key] for key in ("metric", "direction", "baseline", "select_by", "force")}
    if cfg.sweep:
        return publish(store, _parent_named(store, cfg.sweep), **keys, folder=folder)
    records = _matching_runs(store, cfg.filter or "")
    _check_comparable(records, cfg)
    question, remarks = resolve_question(records, **keys), note_on_sources(records)
    # A report may be shared, so it contains a hash of the URI instead of the URI.
    store_hash = hashlib.sha256(store.location.display_uri.encode()).hexdigest()[:8]
    source = ReportSource("experiment", store_hash, store.experiment)
    report = make_report(
        store.experiment, question, records, history_reader(store.client), source, folder, remarks=remarks
    )
    print_report(report, ui_command(store))
    return report


def publish(
    store: Store,
    parent_id: str,
    *,
    metric: str | None = None,
    direction: str | None = None,
    baseline: str = "none",
    select_by: str | None = None,
    force: bool = False,
    folder: Path | None = None,
) -> Report:
    """Make a report on all runs that a parent run declared, store it in `folder` and on the parent run, and print it.

    Args:
        store: store in which the runs are tracked.
        parent_id: a run of phase `parent`.
        metric: this and the following arguments: see `resolve_question`; default for a study: what it declared.
        direction: ``max`` or ``min``.
        baseline: a strategy.
        select_by: metric that chooses among strengths or trials.
        force: allow a test metric in `select_by`.
        folder: default `reports/<sweep>`.

    Raises:
        ConfigError: these runs cannot answer the question, or `folder` has the report of another study or sweep, or
            other files.
    """
    records, absent = declared_runs(store, parent_id)
    definition = declaration.read_declaration(store, parent_id)
    if definition is not None:
        direction = direction or (definition["direction"] if metric in (None, definition["metric"]) else None)
        metric = metric or definition["metric"]
        baseline = definition["baseline"] if baseline == "none" else baseline
    question = resolve_question(
        records, metric=metric, direction=direction, baseline=baseline, select_by=select_by, force=force
    )
    tags = store.client.get_run(parent_id).data.tags
    name = tags.get("study") or tags.get("sweep") or parent_id
    study = _study_record(store, parent_id, definition) if definition is not None else None
    source = ReportSource("study" if "study" in tags else "sweep", parent_id, name)
    report = make_report(name, question, records, history_reader(store.client), source, folder, absent, study)
    if problem := "the store is read-only" if store.read_only else _log_report(store, parent_id, report):
        note(f"note: the report is not stored on run {parent_id} ({problem}); it is in {report.folder}")
    print_report(report, ui_command(store))
    return report


def _log_report(store: Store, parent_id: str, report: Report) -> str | None:
    """Log the report on its parent run; return the reason if its files cannot be written, None otherwise."""
    files = artifacts.of_run(store, parent_id)
    tags, texts = within_limits({"mlflow.note.content": to_markdown(report)})
    with defer_signals():  # all of the report or none of it
        try:
            with files.folder("report") as target:
                for file in report.files:
                    shutil.copyfile(file, target / file.name)
            for path, text in texts.items():
                files.write_text(text, path)
        except OSError as error:
            return error.strerror or type(error).__name__
        store.client.log_batch(parent_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return None


def _study_record(store: Store, parent_id: str, definition: Mapping[str, Any]) -> StudyRecord:
    try:
        return parse_study_record(definition, parent.declared(store, parent_id))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        files = f"{declaration.FILE} or {parent.DECLARED}"
        raise artifacts.of_run(store, parent_id).damaged_error(files, f"{type(error).__name__}: {error}") from error


def declared_runs(store: Store, parent_id: str) -> tuple[list[queries.Record], list[str]]:
    """Return the runs of a parent's declared identities, and the labels of those that were never run.

    Runs that were first trained under another parent are included. So are the finished runs of a sweep, or
    confirmation runs of a study, that only an earlier start declared: they get the tag `undeclared`, and reports
    mention them without counting them.
    """
    jobs = {
        job["config_hash"]: job
        for job in parent.jobs_to_report(parent.declared(store, parent_id))
        if job["config_hash"]
    }
    children = parent.children(store, parent_id)
    if not jobs:
        return children, []
    records = {record.run_id: record for record in children if record.tags.get("config_hash") in jobs}
    done = {record.tags["config_hash"] for record in records.values() if record.status == "FINISHED"}
    for record in queries.finished(store, [identity for identity in jobs if identity not in done]).values():
        records[record.run_id] = record
    known = {record.tags["config_hash"] for record in records.values()}
    if missing := set(jobs) - known:
        for record in queries.runs(store, status="FAILED", tags={"diverged": "true"}):
            if record.tags.get("config_hash") in missing:  # a study reuses runs that diverged elsewhere
                records[record.run_id] = record
    known = {record.tags["config_hash"] for record in records.values()}
    absent = [str(job.get("label") or identity) for identity, job in jobs.items() if identity not in known]
    declared = [_with_declared_tags(record, jobs[record.tags["config_hash"]]) for record in records.values()]
    others = [r for r in children if r.tags.get("config_hash") not in jobs and _is_comparable(r)]
    return declared + [replace(r, tags={**r.tags, "undeclared": "true"}) for r in others], absent


def _is_comparable(record: queries.Record) -> bool:
    return record.status == "FINISHED" and record.tags.get("phase") in ("confirm", "sweep")


def _with_declared_tags(record: queries.Record, job: Mapping[str, Any]) -> queries.Record:
    """Return a run with the setting and phase that this parent declared: another parent may have trained it."""
    return replace(record, tags={**record.tags, **{tag: job[tag] for tag in ("setting", "phase") if tag in job}})


def _parent_named(store: Store, name: str) -> str:
    run_id = parent.find_parent(store, name, "sweep") or parent.find_parent(store, name, "study")
    if run_id is None:
        parents = [record.tags for record in queries.runs(store, tags={"phase": "parent"})]
        names = sorted({tags.get("sweep") or tags.get("study", "") for tags in parents} - {""})
        hint = did_you_mean(name, names) or (f" (there are {', '.join(names[:8])})" if names else f"; {FIRST_RUNS}")
        raise ConfigError(Setting("sweep", name), f"no such sweep or study in experiment {store.experiment}{hint}")
    return run_id


def _matching_runs(store: Store, query: str) -> list[queries.Record]:
    try:
        return queries.runs(store, filter=query)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        reason = str(error).removeprefix("INVALID_PARAMETER_VALUE: ").splitlines()[0]
        remedy = 'write it as in: "filter=\'tags.data = \\"digits\\"\'"'
        raise ConfigError(Setting("filter", query), reason, remedy) from error


def _check_comparable(records: list[queries.Record], cfg: DictConfig) -> None:
    where = Setting("tracking.experiment", cfg.tracking.experiment)
    matching = f" that matches filter={cfg.filter!r}" if cfg.filter else ""
    if not records:
        raise ConfigError(where, f"no run is tracked there{matching}", FIRST_RUNS)
    if all(record.tags.get("phase") in ("parent", "tune") for record in records):
        raise ConfigError(where, f"only parents and tuning runs are tracked there{matching}", FIRST_RUNS)
    if not any("strategy" in record.tags for record in records):
        raise ConfigError(where, f"no run{matching} has the tags strategy, data and seed, which reports need")
