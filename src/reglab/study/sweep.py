"""Run a sweep, one parent run with its children: reuse FINISHED runs, train the others, and report on all."""

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from reglab.config.compose import Composer
from reglab.config.identity import strategy
from reglab.execution.expand import Plan, expand, make_plan
from reglab.execution.launchers import Launch
from reglab.execution.reuse import pending
from reglab.execution.supervise import train_all
from reglab.garbage import import_libraries
from reglab.report.folder import ReportSource, check_folder, check_source
from reglab.schema.compatibility import check_metric
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import pluralize
from reglab.stopping import Stopped, acknowledge_stop, stoppable
from reglab.streams import write_line
from reglab.study.closing import ParentRun, closing, make_closing_report, print_unfinished


def sweep(arguments: Sequence[str], *, params: Mapping[str, Any], launch: Launch) -> int:
    """Compose and check all jobs, train those that are not FINISHED, and report on all.

    Args:
        arguments: overrides of the command line.
        params: overrides of an experiment's file; those of the command line take precedence.
        launch: Hydra's launcher.

    Returns:
        exit code: 0 all done, 1 some runs failed or were not done, 128 + signal when stopped.

    Raises:
        ConfigError: the config of a job is invalid, also with its data and model; nothing was tracked.
        StoreLost: the tracking store does not answer any more; the same command resumes.
        Stopped: by a signal before the first run.
    """
    with stoppable():
        jobs = expand(arguments, params, Composer(launch.config_name, loader=launch.loader), launch.loader)
        plan = make_plan(jobs)
        check_folder(plan.cfg.report.dir, plan.name)
        if plan.cfg.metric is not None:
            check_metric(Setting("metric", plan.cfg.metric), [job.config.data for job in jobs])
        loading = "" if "torch" in sys.modules else "; loading torch, Lightning and MLflow (up to 10 s) ..."
        write_line(f"{plan.name}: {_describe(plan)}{loading}")
        return _run(plan, launch)


def _run(plan: Plan, launch: Launch) -> int:
    import_libraries("mlflow")
    from reglab.tracking import parent, queries
    from reglab.tracking.store import open_store

    cfg = plan.cfg
    store = open_store(cfg.tracking.uri, cfg.tracking.experiment)
    earlier_parent = parent.find_parent(store, plan.name)
    check_source(cfg.report.dir, ReportSource("sweep", earlier_parent, plan.name) if earlier_parent else None)
    declared_before = parent.declared(store, earlier_parent) if earlier_parent else []
    check_baseline(cfg.baseline, _reported_strategies(plan, declared_before))
    queries.mark_dead_runs_killed(store)
    if jobs := pending(plan, store):
        launch.prepare_workers(len(jobs))
        import_libraries("torch", "pytorch_lightning")
        from reglab.execution.preflight import check_jobs

        check_jobs(jobs)
    began = time.time()
    parent_run = ParentRun(plan.name, "sweep")
    try:
        with closing(store, parent_run):
            parent_run.run_id = parent.open_parent(store, plan.name, plan.declared())
            outcomes = train_all(plan, jobs, launch, store, parent_run.run_id)
            failed = [outcome for outcome in outcomes if outcome.error]
            reported = True
            if queries.finished(store, plan.hashes):
                question = {key: cfg[key] for key in ("metric", "direction", "baseline", "select_by")}
                reported = make_closing_report(store, parent_run.run_id, cfg.report.dir, **question)
            missing = len(jobs) - len(outcomes)
            print_unfinished(failed, missing, len(plan.jobs))
            done = not failed and not missing
            parent_run.status = "FINISHED" if done else "FAILED"
            return 0 if done and reported else 1
    except Stopped as stop:
        acknowledge_stop()
        if parent_run.store_lost:
            write_line(f"stopped by {stop}: the tracking store does not answer; the same command resumes here")
            return stop.exit_code
        finished = queries.finished(store, plan.hashes).values()
        if cfg.resume is False:
            again = sum(record.started >= began for record in finished)
            write_line(f"stopped by {stop}: {again} of {len(plan.jobs)} runs were trained again")
        else:
            share = f"{len(finished)} of {len(plan.jobs)} runs are finished"
            write_line(f"stopped by {stop}: {share}; the same command resumes here")
        return stop.exit_code


def _reported_strategies(plan: Plan, declared_before: Sequence[dict[str, Any]]) -> set[str]:
    """Return the strategies of the closing report; print how many runs of earlier starts it covers or leaves out."""
    from reglab.tracking.parent import jobs_to_report, merge_jobs

    declared = merge_jobs(declared_before, plan.declared())
    reported = jobs_to_report(declared)
    started = f"{plan.name} was started before: its report"
    if more := len(reported) - len(plan.jobs):
        others = pluralize(more, "other run")
        write_line(f"{started} also covers the {others} declared then (sweep.name=NAME starts another)")
    if left_out := len(declared) - len(reported):
        write_line(
            f"{started} leaves out {pluralize(left_out, 'run')} declared then with another setting or other "
            "code (sweep.name=NAME starts another)"
        )
    return {str(job.get("strategy")) for job in reported}


def check_baseline(baseline: str, strategies: Collection[str]) -> None:
    """Check that a run has the baseline; `none` may be absent, and then the report compares nothing.

    Args:
        baseline: a strategy, or an entry of the leaderboard such as ``dropout(p=0.3)``.
        strategies: strategies of the sweep, with those of earlier starts.

    Raises:
        ConfigError: it is none of the strategies.
    """
    plain = {name.split("(")[0] for name in strategies}
    if baseline != "none" and baseline.split("(")[0] not in plain:
        hint = did_you_mean(baseline, plain) or f" (there are {', '.join(sorted(plain))})"
        raise ConfigError(Setting("baseline", baseline), f"no strategy of this sweep{hint}")


def _describe(plan: Plan) -> str:
    strategies = pluralize(len({strategy(job.config) for job in plan.jobs}), "strategy", "strategies")
    seeds = pluralize(len({job.config.seed for job in plan.jobs}), "seed")
    return f"{pluralize(len(plan.jobs), 'run')} ({strategies}, {seeds})"
