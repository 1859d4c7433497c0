"""A study from start to end: tune every strategy, confirm what was chosen on fresh seeds, report."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from reglab.config.compose import Composer
from reglab.deadlines import waiting
from reglab.execution.attempt import Outcome, say
from reglab.execution.expand import Job
from reglab.execution.launchers import Launch
from reglab.execution.placement import all_trained
from reglab.execution.reuse import say_not_reused
from reglab.execution.round import Round
from reglab.report.folder import Source, check_folder, check_source
from reglab.stopping import Stopped, handled, stoppable
from reglab.streams import show_table
from reglab.study.cells import cells
from reglab.study.declaration import check_declared, keep
from reglab.study.definition import Study, read
from reglab.study.ending import closing, reported, tell_unfinished
from reglab.study.progress import PHASES, CellProgress, Progress, progress
from reglab.study.shared import held_fixed
from reglab.wording import pluralize

if TYPE_CHECKING:
    from reglab.study.tuning import Result
    from reglab.tracking.store import Store


def conduct(cfg: DictConfig, overrides: Sequence[str], launch: Launch) -> int:
    """Run what is missing of the study that a config declares.

    Args:
        cfg: composed from conf/study.yaml.
        overrides: of the command line.
        launch: where runs are placed; it composes conf/train.yaml.

    Returns:
        exit code: 0 all done, 1 some failed or were not done, 128 + signal when stopped.

    Raises:
        ConfigError: the study is wrong; nothing was left behind.
        StoreLost: the tracking store went away; starting again does what was lost.
        Stopped: by a signal before the first run.
    """
    with stoppable():
        study = read(cfg.study, cfg.seeds, launch.loader.get_group_options("regularizer"))
        check_folder(cfg.report.dir, study.title)
        tasks, strategies = pluralize(len(study.tasks), "task"), len(study.strategies)
        say(f"{study.title}: {tasks}, {strategies} strategies; composing and checking every run ...")
        composer = Composer(launch.config_name, loader=launch.loader)
        tracking = [override for override in overrides if override.lstrip("+").startswith("tracking")]
        if shared := held_fixed(study):
            say(f"held fixed by study.common: {' '.join(shared)}")
        plan = progress(study, cells(study, composer, tracking), composer, {})
        loading = "" if "torch" in sys.modules else "; loading torch, Lightning and MLflow (up to 10 s) ..."
        say(f"{_planned(plan)}{loading}")
        conductor = _Conductor(plan, composer, cfg, launch)
        return conductor.show() if cfg.dry_run else conductor.conduct()


class _Conductor:
    """State of a running study; all of it can be read from the tracker again."""

    def __init__(self, plan: Progress, composer: Composer, cfg: DictConfig, launch: Launch) -> None:
        from reglab.tracking.store import open_store

        self._study: Study = plan.study
        self._cells = [cell.cell for cell in plan.cells]
        self._progress = plan
        self._composer = composer
        self._cfg = cfg
        self._launch = launch
        if not cfg.dry_run:
            self._store: Store = open_store(cfg.tracking.uri, cfg.tracking.experiment)
        self._failed: list[Outcome] = []

    def conduct(self) -> int:
        from reglab.study.results import tracked
        from reglab.tracking import parent, queries

        title = self._study.title
        before = parent.find(self._store, title, "study")
        check_source(self._cfg.report.dir, Source("study", before, title) if before else None)
        queries.mark_dead_runs_killed(self._store)
        if self._cfg.resume:
            self._learn(tracked(self._store))
        self._rehearse()
        try:
            with closing(self._store, title, "study") as entered:
                with self._store.lock():
                    before = parent.find(self._store, title, "study")
                    check_declared(self._store, before, self._study, self._cells)
                    entered.run_id = parent.enter(self._store, title, [], kind="study")
                    keep(self._store, entered.run_id, self._study, self._cells)
                self._tell_reused()
                for phase in PHASES:
                    while (todo := self._progress.missing(phase)) and not (self._failed and self._cfg.fail_fast):
                        self._train(todo, phase, entered.run_id)
                parent.declare(self._store, entered.run_id, self._progress.declared())
                asked = {key: getattr(self._study, key) for key in ("metric", "direction", "baseline")}
                answered = reported(self._store, entered.run_id, self._cfg.report.dir, **asked)
                done = self._summary()
                entered.status = "FINISHED" if done else "FAILED"
                return 0 if done and answered else 1
        except Stopped as stop:
            handled()
            lost = ": the tracking store does not answer" if entered.lost else ""
            say(f"stopped by {stop}{lost}; the same command goes on from here")
            return stop.exit_code

    def show(self) -> int:
        """Check the study as `conduct` does, and print what is to be done; train and track nothing."""
        from reglab.study import estimate
        from reglab.study.results import tracked
        from reglab.tracking import parent
        from reglab.tracking.store import open_if_exists

        store = open_if_exists(self._cfg.tracking.uri, self._cfg.tracking.experiment)
        if store is not None:
            check_declared(store, parent.find(store, self._study.title, "study"), self._study, self._cells)
            if self._cfg.resume:
                self._learn(tracked(store))
        self._rehearse()
        for table in estimate.tables(self._progress):
            show_table(table)
        left, workers = estimate.left(self._progress), self._launch.workers
        seconds = estimate.seconds(self._progress, workers)
        took = "no run of the kind is tracked yet" if seconds is None else f"about {_duration(seconds)}"
        say(f"{left} runs to do by {pluralize(workers, 'worker')}: {took if left else 'all is done'}")
        return 0

    def _rehearse(self) -> None:
        if any(self._progress.missing(phase) for phase in PHASES):
            from reglab.execution.preflight import rehearse

            rehearse(self._study, self._cells, self._composer)

    def _learn(self, results: "dict[str, Result]") -> None:
        known = {**self._progress.results, **results}
        with waiting("composing the runs that follow from what is tracked ..."):
            self._progress = progress(self._study, self._cells, self._composer, known)

    def _train(self, todo: Sequence[Job], phase: str, parent_id: str) -> None:
        from reglab.study.results import of_outcomes
        from reglab.tracking import parent

        parent.declare(self._store, parent_id, self._progress.declared())
        metric = self._study.select_by[0] if phase == "tune" else self._study.metric
        shared = todo[0].config.copy()
        shared.metric, shared.fail_fast = metric, bool(self._cfg.fail_fast)
        shared.resume = bool(self._cfg.resume)
        round_ = Round(self._study.title, todo, shared, phase, self._progress.tuned)
        say(f"{'tuning' if phase == 'tune' else 'confirming on fresh seeds'}: {len(todo)} runs")
        outcomes = all_trained(round_, todo, self._launch, self._store, parent_id)
        results = of_outcomes(self._store, outcomes, metric)
        self._failed += [o for o in outcomes if o.error and not results[o.config_hash].diverged]
        self._learn(results)

    def _tell_reused(self) -> None:
        done = sum(job.config_hash in self._progress.results for job in self._progress.jobs)
        if done:
            say(f"{done} of about {self._progress.expected} runs were over before: reused (resume=false repeats them)")
        if self._cfg.resume:
            missing = [job for phase in PHASES for job in self._progress.missing(phase)]
            say_not_reused(missing, self._progress.expected, self._store)

    def _summary(self) -> bool:
        """Print what failed or was not done; return whether all was done."""
        missing = [job for phase in PHASES for job in self._progress.missing(phase)]
        tell_unfinished(self._failed, len(missing), self._progress.expected)
        lost = [cell for cell in self._progress.cells if cell.tuning.done and cell.tuning.chosen is None]
        for cell in lost:
            what = f"all {len(cell.tuning.trials)} trials failed, so there is nothing to confirm"
            say(f"{cell.cell.strategy} on {cell.cell.about}: {what}")
        if any(self._diverged(cell) for cell in lost):
            say("what diverged is not tried again: another study.space, with study.version, may do better")
        return not (self._failed or missing or lost)

    def _diverged(self, arm: CellProgress) -> bool:
        jobs = [job.config_hash for trial in arm.tuning.trials for job in trial.jobs]
        return any(self._progress.results[job].diverged for job in jobs if job in self._progress.results)


def _planned(plan: Progress) -> str:
    study = plan.study
    return (
        f"{pluralize(study.trials, 'trial')} each on {pluralize(len(study.tuning_seeds), 'tuning seed')}, "
        f"then {pluralize(len(study.seeds), 'fresh seed')}: about {plan.expected} runs"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
