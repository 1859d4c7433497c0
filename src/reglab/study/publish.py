"""The closing report of a sweep or study: of everything it declared, logged on its parent run."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow.entities import RunTag

from reglab.report.folder import Source
from reglab.report.histories import history_reader
from reglab.report.make import Report, make_report
from reglab.report.question import resolve_question
from reglab.report.render.terminal import print_report, to_markdown
from reglab.report.study_record import StudyRecord, parse_study_record
from reglab.stopping import defer_signals
from reglab.streams import note
from reglab.study import declaration
from reglab.tracking import artifacts, parent, queries
from reglab.tracking.link import ui_command
from reglab.tracking.values import within_limits

if TYPE_CHECKING:
    from reglab.tracking.store import Store


def publish(
    store: "Store",
    parent_id: str,
    *,
    metric: str | None = None,
    direction: str | None = None,
    baseline: str = "none",
    select_by: str | None = None,
    force: bool = False,
    folder: Path | None = None,
) -> Report:
    """Report on all runs that a parent declared, wherever they were run; kept in `folder` and on the parent, and shown.

    Args:
        parent_id: a run of phase `parent`.
        metric: and what follows, see `resolve_question`; of a study by default what it declared.
        folder: default `reports/<sweep>`.

    Raises:
        ConfigError: a question that these runs cannot answer (see `resolve_question`), or `folder` holds the report of
            another study or sweep beside other files.
    """
    records, absent = declared(store, parent_id)
    definition = declaration.read(store, parent_id)
    if definition is not None:
        direction = direction or (definition["direction"] if metric in (None, definition["metric"]) else None)
        metric = metric or definition["metric"]
        baseline = definition["baseline"] if baseline == "none" else baseline
    question = resolve_question(
        records, metric=metric, direction=direction, baseline=baseline, select_by=select_by, force=force
    )
    tags = store.client.get_run(parent_id).data.tags
    name = tags.get("study") or tags.get("sweep") or parent_id
    study = _studied(store, parent_id, definition) if definition is not None else None
    source = Source("study" if "study" in tags else "sweep", parent_id, name)
    report = make_report(name, question, records, history_reader(store.client), source, folder, absent, study)
    if problem := "the store is read-only" if store.read_only else _keep(store, parent_id, report):
        note(f"note: the report is not kept on run {parent_id} ({problem}); it is in {report.folder}")
    print_report(report, ui_command(store))
    return report


def _keep(store: "Store", parent_id: str, report: Report) -> str | None:
    """Log the report on its parent run; return the reason if its files cannot be written, None otherwise."""
    kept = artifacts.of(store, parent_id)
    tags, files = within_limits({"mlflow.note.content": to_markdown(report)})
    with defer_signals():  # all of the report or none of it
        try:
            with kept.folder("report") as target:
                for file in report.files:
                    shutil.copyfile(file, target / file.name)
            for path, text in files.items():
                kept.write_text(text, path)
        except OSError as error:
            return error.strerror or type(error).__name__
        store.client.log_batch(parent_id, tags=[RunTag(key, value) for key, value in tags.items()])
    return None


def _studied(store: "Store", parent_id: str, definition: Mapping[str, Any]) -> StudyRecord:
    try:
        return parse_study_record(definition, parent.declared(store, parent_id))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        files = f"{declaration.FILE} or {parent.DECLARED}"
        raise artifacts.of(store, parent_id).damaged(files, f"{type(error).__name__}: {error}") from error


def declared(store: "Store", parent_id: str) -> tuple[list[queries.Record], list[str]]:
    """The runs of a parent's declared identities, its own and those first run elsewhere, and what was never run.

    Among its own are finished runs of a sweep, and confirmation runs of a study, that only an earlier start declared
    (tag `undeclared`): reports mention them, and do not count them.
    """
    jobs = {
        job["config_hash"]: job
        for job in parent.jobs_to_report(parent.declared(store, parent_id))
        if job["config_hash"]
    }
    own = parent.children(store, parent_id)
    if not jobs:
        return own, []
    records = {record.run_id: record for record in own if record.tags.get("config_hash") in jobs}
    done = {record.tags["config_hash"] for record in records.values() if record.status == "FINISHED"}
    for record in queries.finished(store, [identity for identity in jobs if identity not in done]).values():
        records[record.run_id] = record
    known = {record.tags["config_hash"] for record in records.values()}
    for record in queries.runs(store, status="FAILED", tags={"diverged": "true"}) if known < set(jobs) else []:
        if record.tags.get("config_hash") in set(jobs) - known:  # a study reuses what diverged elsewhere
            records[record.run_id] = record
    known = {record.tags["config_hash"] for record in records.values()}
    absent = [str(job.get("label") or identity) for identity, job in jobs.items() if identity not in known]
    told = [_as_declared(record, jobs[record.tags["config_hash"]]) for record in records.values()]
    return told + [_undeclared(r) for r in own if r.tags.get("config_hash") not in jobs and _judges(r)], absent


def _judges(record: queries.Record) -> bool:
    return record.status == "FINISHED" and record.tags.get("phase") in ("confirm", "sweep")


def _undeclared(record: queries.Record) -> queries.Record:
    return replace(record, tags={**record.tags, "undeclared": "true"})


def _as_declared(record: queries.Record, job: Mapping[str, Any]) -> queries.Record:
    """A run that was first run elsewhere carries the tags that it had there: here it counts as declared here."""
    return replace(record, tags={**record.tags, **{tag: job[tag] for tag in ("setting", "phase") if tag in job}})
