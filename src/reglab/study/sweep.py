"""A sweep: one parent run and its children. What is FINISHED is reused, the rest is run, the report closes it."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reglab.config.compose import Composer
from reglab.config.identity import strategy
from reglab.errors import ConfigError, StoreLost
from reglab.stopping import Stopped, stoppable
from reglab.study import children
from reglab.study.answerable import check_baseline, check_metric
from reglab.study.job import Outcome, say
from reglab.study.jobs import expand
from reglab.study.launch import Launch
from reglab.study.place import all_trained
from reglab.study.plan import Plan, make_plan
from reglab.study.reuse import pending
from reglab.wording import counted

if TYPE_CHECKING:
    from reglab.tracking.store import Store


def sweep(arguments: Sequence[str], *, params: Mapping[str, Any], launch: Launch) -> int:
    """Composes and checks all jobs, runs those that are not FINISHED yet, and reports on all.

    Args:
        arguments: overrides of the command line.
        params: overrides of an experiment's file, which those of the command line replace.
        launch: where the runs are placed.

    Returns:
        exit code: 0 all done, 1 some failed or were not done, 128 + signal when stopped.

    Raises:
        ConfigError: a job's config is wrong; nothing was left behind.
        StoreLost: the tracking store went away; starting again does what was lost.
        Stopped: by a signal before the first run.
    """
    with stoppable():
        jobs = expand(arguments, params, Composer(launch.config_name, loader=launch.loader), launch.loader)
        plan = make_plan(jobs)
        check_metric(plan.cfg.metric, [job.config for job in jobs])
        loading = "" if "torch" in sys.modules else "; loading torch, Lightning and MLflow (up to 10 s) ..."
        say(f"{plan.name}: {_planned(plan)}{loading}")
        return _run(plan, launch)


def _run(plan: Plan, launch: Launch) -> int:
    from reglab.tracking import parent, queries
    from reglab.tracking.closing import signals_held
    from reglab.tracking.store import open_store

    store = open_store(plan.cfg.tracking.uri, plan.cfg.tracking.experiment)
    before = parent.find(store, plan.name)
    check_baseline(plan.cfg.baseline, _strategies(plan, parent.declared(store, before) if before else []))
    queries.bury(store)
    began = time.time()
    parent_id: str | None = None
    status: str | None = "FAILED"
    try:
        parent_id = parent.enter(store, plan.name, plan.declared())
        todo = pending(plan, store)
        outcomes = all_trained(plan, todo, launch, store, parent_id)
        failed = [outcome for outcome in outcomes if outcome.error]
        finished = len(queries.finished(store, plan.hashes))
        reported = _report(plan, store, parent_id) if finished else True
        all_done = _summary(plan, failed, len(todo) - len(outcomes))
        status = "FINISHED" if all_done else "FAILED"
        return 0 if all_done and reported else 1
    except Stopped as stop:
        status = "KILLED"
        with signals_held(deliver=False):
            children.end()
            queries.bury(store)
            done = queries.finished(store, plan.hashes).values()
        if plan.cfg.resume is False:
            anew = sum(record.started >= began for record in done)
            say(f"stopped by {stop}: {anew} of {len(plan.jobs)} runs were trained anew")
        else:
            sofar = f"{len(done)} of {len(plan.jobs)} runs are finished"
            say(f"stopped by {stop}: {sofar}; the same command goes on from here")
        return stop.exit_code
    except StoreLost:
        status = None
        raise
    finally:  # a signal can come between entering and knowing it
        if status and (entered := parent_id or parent.find(store, plan.name)):
            parent.close(store, entered, status)


def _strategies(plan: Plan, before: Sequence[dict[str, Any]]) -> set[str]:
    """Those that the closing report will cover; tells what it covers, or not, of an earlier start."""
    from reglab.tracking.parent import covered, grown

    everything = grown(before, plan.declared())
    reported = covered(everything)
    if more := len(reported) - len(plan.jobs):
        say(
            f"{plan.name} was started before: its report covers the {counted(more, 'other run')} declared then, too "
            "(sweep.name=NAME starts another)"
        )
    if apart := len(everything) - len(reported):
        say(
            f"{plan.name} was started before: its report leaves out {counted(apart, 'run')} declared then under "
            "another setting (sweep.name=NAME starts another)"
        )
    return {str(job.get("strategy")) for job in reported}


def _report(plan: Plan, store: "Store", parent_id: str) -> bool:
    """Makes the closing report; tells why where these runs do not allow the one that was asked for."""
    from reglab.study.publish import publish

    cfg = plan.cfg
    began = time.perf_counter()
    try:
        publish(
            store,
            parent_id,
            metric=cfg.metric,
            direction=cfg.direction,
            baseline=cfg.baseline,
            select_by=cfg.select_by,
            folder=Path(cfg.report.dir) if cfg.report.dir else None,
        )
    except ConfigError as error:
        sys.stderr.write(f"no report: {error} (the runs are kept: start again with that mended)\n")
        return False
    say(f"report made in {time.perf_counter() - began:.1f} s")
    return True


def _summary(plan: Plan, failed: Sequence[Outcome], missing: int) -> bool:
    """Tells what failed or was not done; whether all was done."""
    if failed:
        say(f"{len(failed)} of {len(plan.jobs)} runs failed (traceback: error.txt of the run):")
        for outcome in failed:
            say(f"  {outcome.label}  {outcome.error}  run {outcome.run_id or 'none'}")
    if missing:
        say(f"{missing} of {len(plan.jobs)} runs were not done")
    if not failed and not missing:
        return True
    say("the same command tries again what is not finished")
    return False


def _planned(plan: Plan) -> str:
    strategies = len({strategy(job.config) for job in plan.jobs})
    seeds = len({job.config.seed for job in plan.jobs})
    return (
        f"{counted(len(plan.jobs), 'run')} ({counted(strategies, 'strategy', 'strategies')}, {counted(seeds, 'seed')})"
    )
