"""The report of what is tracked: of a sweep, or of all runs of an experiment."""

import hashlib
from pathlib import Path

from omegaconf import DictConfig

from reglab.report.folder import Source
from reglab.report.histories import history_reader
from reglab.report.make import Report, make_report
from reglab.report.question import resolve_question
from reglab.report.render.terminal import print_report
from reglab.report.run_filter import note_on_sources
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.study.publish import publish
from reglab.tracking import parent, queries
from reglab.tracking.link import ui_command
from reglab.tracking.store import FIRST_RUNS, Store, open_existing


def compare(cfg: DictConfig) -> Report:
    """Make, keep and show the report that `conf/report.yaml` asks for.

    Raises:
        ConfigError: there are no such runs, or they cannot answer the question.
    """
    store = open_existing(cfg.tracking.uri, cfg.tracking.experiment)
    queries.mark_dead_runs_killed(store)
    folder = Path(cfg.report.dir) if cfg.report.dir else None
    asked = {key: cfg[key] for key in ("metric", "direction", "baseline", "select_by", "force")}
    if cfg.sweep:
        return publish(store, _parent(store, cfg.sweep), **asked, folder=folder)
    records = _matching(store, cfg.filter or "")
    _refuse_nothing(records, cfg)
    question, remarks = resolve_question(records, **asked), note_on_sources(records)
    place = hashlib.sha256(store.place.display_uri.encode()).hexdigest()[:8]  # not the URI: a report may be handed on
    source = Source("experiment", place, store.experiment)
    report = make_report(
        store.experiment, question, records, history_reader(store.client), source, folder, remarks=remarks
    )
    print_report(report, ui_command(store))
    return report


def _parent(store: Store, name: str) -> str:
    found = parent.find(store, name, "sweep") or parent.find(store, name, "study")
    if found is None:
        parents = [record.tags for record in queries.runs(store, tags={"phase": "parent"})]
        names = sorted({tags.get("sweep") or tags.get("study", "") for tags in parents} - {""})
        near = did_you_mean(name, names) or (f" (there are {', '.join(names[:8])})" if names else f"; {FIRST_RUNS}")
        raise ConfigError(Setting("sweep", name), f"no such sweep or study in experiment {store.experiment}{near}")
    return found


def _matching(store: Store, wanted: str) -> list[queries.Record]:
    from mlflow.exceptions import MlflowException

    try:
        return queries.runs(store, filter=wanted)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        reason = str(error).removeprefix("INVALID_PARAMETER_VALUE: ").splitlines()[0]
        raise ConfigError(
            Setting("filter", wanted), reason, 'write it as in: "filter=\'tags.data = \\"digits\\"\'"'
        ) from error


def _refuse_nothing(records: list[queries.Record], cfg: DictConfig) -> None:
    where = f"tracking.experiment={cfg.tracking.experiment}"
    if cfg.filter:
        where += f" filter={cfg.filter!r}"
    if not records:
        raise ConfigError(where, "no run is tracked there", FIRST_RUNS)
    if all(record.tags.get("phase") in ("parent", "tune") for record in records):
        raise ConfigError(
            where, "only parents and tuning runs are tracked there, and these are not compared", FIRST_RUNS
        )
    if not any("strategy" in record.tags for record in records):
        raise ConfigError(where, "no run carries the tags strategy, data and seed, by which runs are compared")
