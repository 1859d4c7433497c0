"""A sweep: one parent run and its children. What is FINISHED is reused, the rest is run, the report closes it."""

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from reglab.config.compose import Composer
from reglab.config.identity import strategy
from reglab.execution.attempt import say
from reglab.execution.expand import expand
from reglab.execution.launchers import Launch
from reglab.execution.placement import all_trained
from reglab.execution.plan import Plan, make_plan
from reglab.execution.reuse import pending
from reglab.report.folder import Source, check_folder, check_source
from reglab.stopping import Stopped, handled, stoppable
from reglab.study.answerable import check_baseline, check_metric
from reglab.study.ending import closing, reported, tell_unfinished
from reglab.wording import pluralize


def sweep(arguments: Sequence[str], *, params: Mapping[str, Any], launch: Launch) -> int:
    """Composes and checks all jobs, runs those that are not FINISHED yet, and reports on all.

    Args:
        arguments: overrides of the command line.
        params: overrides of an experiment's file, which those of the command line replace.
        launch: where the runs are placed.

    Returns:
        exit code: 0 all done, 1 some failed or were not done, 128 + signal when stopped.

    Raises:
        ConfigError: a job's config is wrong, or cannot work as its data or model show; nothing was left behind.
        StoreLost: the tracking store went away; starting again does what was lost.
        Stopped: by a signal before the first run.
    """
    with stoppable():
        jobs = expand(arguments, params, Composer(launch.config_name, loader=launch.loader), launch.loader)
        plan = make_plan(jobs)
        check_folder(plan.cfg.report.dir, plan.name)
        check_metric(plan.cfg.metric, [job.config for job in jobs])
        loading = "" if "torch" in sys.modules else "; loading torch, Lightning and MLflow (up to 10 s) ..."
        say(f"{plan.name}: {_planned(plan)}{loading}")
        return _run(plan, launch)


def _run(plan: Plan, launch: Launch) -> int:
    from reglab.tracking import parent, queries
    from reglab.tracking.store import open_store

    store = open_store(plan.cfg.tracking.uri, plan.cfg.tracking.experiment)
    before = parent.find(store, plan.name)
    check_source(plan.cfg.report.dir, Source("sweep", before, plan.name) if before else None)
    check_baseline(plan.cfg.baseline, _strategies(plan, parent.declared(store, before) if before else []))
    queries.mark_dead_runs_killed(store)
    if todo := pending(plan, store):
        from reglab.execution.preflight import rehearse_jobs  # which imports torch

        rehearse_jobs(todo)
    began = time.time()
    cfg = plan.cfg
    try:
        with closing(store, plan.name) as entered:
            entered.run_id = parent.enter(store, plan.name, plan.declared())
            outcomes = all_trained(plan, todo, launch, store, entered.run_id)
            failed = [outcome for outcome in outcomes if outcome.error]
            asked = {key: cfg[key] for key in ("metric", "direction", "baseline", "select_by")}
            some = bool(queries.finished(store, plan.hashes))
            answered = reported(store, entered.run_id, cfg.report.dir, **asked) if some else True
            missing = len(todo) - len(outcomes)
            tell_unfinished(failed, missing, len(plan.jobs))
            done = not failed and not missing
            entered.status = "FINISHED" if done else "FAILED"
            return 0 if done and answered else 1
    except Stopped as stop:
        handled()
        if entered.lost:
            say(f"stopped by {stop}: the tracking store does not answer; the same command goes on from here")
            return stop.exit_code
        over = queries.finished(store, plan.hashes).values()
        if cfg.resume is False:
            anew = sum(record.started >= began for record in over)
            say(f"stopped by {stop}: {anew} of {len(plan.jobs)} runs were trained again")
        else:
            sofar = f"{len(over)} of {len(plan.jobs)} runs are finished"
            say(f"stopped by {stop}: {sofar}; the same command goes on from here")
        return stop.exit_code


def _strategies(plan: Plan, before: Sequence[dict[str, Any]]) -> set[str]:
    """Those that the closing report will cover; tells what it covers, or not, of an earlier start."""
    from reglab.tracking.parent import jobs_to_report, merge_jobs

    everything = merge_jobs(before, plan.declared())
    reported = jobs_to_report(everything)
    if more := len(reported) - len(plan.jobs):
        say(
            f"{plan.name} was started before: its report covers the {pluralize(more, 'other run')} declared then, too "
            "(sweep.name=NAME starts another)"
        )
    if apart := len(everything) - len(reported):
        say(
            f"{plan.name} was started before: its report leaves out {pluralize(apart, 'run')} declared then under "
            "another setting, or with other code (sweep.name=NAME starts another)"
        )
    return {str(job.get("strategy")) for job in reported}


def _planned(plan: Plan) -> str:
    strategies = len({strategy(job.config) for job in plan.jobs})
    seeds = len({job.config.seed for job in plan.jobs})
    return (
        f"{pluralize(len(plan.jobs), 'run')} ({pluralize(strategies, 'strategy', 'strategies')}, "
        f"{pluralize(seeds, 'seed')})"
    )
