"""Run a study: tune every arm, confirm the chosen trials on fresh seeds, and make the report."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from reglab.config.compose import Composer
from reglab.deadlines import waiting
from reglab.execution.attempt import Outcome
from reglab.execution.expand import Job
from reglab.execution.launchers import Launch
from reglab.execution.reuse import print_other_code
from reglab.execution.supervise import train_all
from reglab.garbage import import_libraries
from reglab.report.folder import ReportSource, check_folder, check_source
from reglab.schema.text import pluralize
from reglab.stopping import Stopped, acknowledge_stop, stoppable
from reglab.streams import show_table, write_line
from reglab.study.arms import make_arms
from reglab.study.closing import ParentRun, closing, make_closing_report, print_unfinished
from reglab.study.declaration import check_declared, write_declaration
from reglab.study.definition import read_study
from reglab.study.progress import (
    PHASES,
    ArmProgress,
    Progress,
    Round,
    results_of_outcomes,
    study_progress,
    tracked_results,
)
from reglab.study.tuning import EndedRun

if TYPE_CHECKING:
    from reglab.tracking.store import Store


def run_study(cfg: DictConfig, overrides: Sequence[str], launch: Launch) -> int:
    """Train the missing runs of a study and report on it.

    Args:
        cfg: composed from conf/study.yaml.
        overrides: overrides of the command line.
        launch: Hydra's launcher, which composes conf/train.yaml.

    Returns:
        exit code: 0 all done, 1 some runs failed or were not done, 128 + signal when stopped.

    Raises:
        ConfigError: the study is invalid; nothing was tracked.
        StoreLost: the tracking store does not answer any more; the same command resumes.
        Stopped: by a signal before the first run.
    """
    with stoppable():
        study = read_study(cfg.study, cfg.seeds, launch.loader.get_group_options("regularizer"))
        check_folder(cfg.report.dir, study.title)
        tasks, strategies = pluralize(len(study.tasks), "task"), len(study.strategies)
        write_line(f"{study.title}: {tasks}, {strategies} strategies; composing and checking every run ...")
        composer = Composer(launch.config_name, loader=launch.loader)
        tracking = [override for override in overrides if override.lstrip("+").startswith("tracking")]
        if study.fixed:
            write_line(f"fixed by study.common: {' '.join(study.fixed)}")
        progress = study_progress(study, make_arms(study, composer, tracking), composer, {})
        loading = "" if "torch" in sys.modules else "; loading torch, Lightning and MLflow (up to 10 s) ..."
        write_line(f"{_describe(progress)}{loading}")
        import_libraries("mlflow")
        if cfg.dry_run:
            return _DryRun(progress, composer, cfg, launch).run()
        return _StudyRun(progress, composer, cfg, launch).run()


class _StudyState:
    """The progress of a study, updated from tracked results, from which it can be computed again."""

    def __init__(self, progress: Progress, composer: Composer, cfg: DictConfig, launch: Launch) -> None:
        self.study = progress.study
        self.arms = [arm_progress.arm for arm_progress in progress.arms]
        self.progress = progress
        self.composer = composer
        self.cfg = cfg
        self.launch = launch

    def update(self, results: dict[str, EndedRun]) -> None:
        """Add results, from which further runs are derived."""
        known = {**self.progress.results, **results}
        with waiting("composing further runs from tracked results ..."):
            self.progress = study_progress(self.study, self.arms, self.composer, known)

    def missing(self) -> list[Job]:
        """Return the known runs that have not ended."""
        return [job for phase in PHASES for job in self.progress.missing(phase)]

    def check(self) -> None:
        """Run the checks that need data and models, unless no run is missing.

        Raises:
            ConfigError: data, models and strategies do not work together.
        """
        if self.missing():
            import_libraries("torch", "pytorch_lightning")
            from reglab.study.arm_checks import check_arms

            check_arms(self.study, self.arms, self.composer)


class _DryRun(_StudyState):
    """Check a study as `_StudyRun` does, and print its plan; train and track nothing."""

    def run(self) -> int:
        from reglab.study.status import remaining_runs, remaining_seconds, study_tables
        from reglab.tracking import parent
        from reglab.tracking.store import open_if_exists

        store = open_if_exists(self.cfg.tracking.uri, self.cfg.tracking.experiment)
        if store is not None:
            check_declared(store, parent.find_parent(store, self.study.title, "study"), self.study, self.arms)
            if self.cfg.resume:
                self.update(tracked_results(store))
        self.check()
        for table in study_tables(self.progress):
            show_table(table)
        runs, workers = remaining_runs(self.progress), self.launch.workers
        seconds = remaining_seconds(self.progress, workers)
        time = "time unknown, since no such run is tracked yet" if seconds is None else f"about {_duration(seconds)}"
        write_line(f"{runs} runs left for {pluralize(workers, 'worker')}: {time if runs else 'all done'}")
        return 0


class _StudyRun(_StudyState):
    def __init__(self, progress: Progress, composer: Composer, cfg: DictConfig, launch: Launch) -> None:
        from reglab.tracking.store import open_store

        super().__init__(progress, composer, cfg, launch)
        self.store: Store = open_store(cfg.tracking.uri, cfg.tracking.experiment)
        self.failed: list[Outcome] = []

    def run(self) -> int:
        from reglab.tracking import parent, queries

        title = self.study.title
        earlier_parent = parent.find_parent(self.store, title, "study")
        check_source(self.cfg.report.dir, ReportSource("study", earlier_parent, title) if earlier_parent else None)
        queries.mark_dead_runs_killed(self.store)
        if self.cfg.resume:
            self.update(tracked_results(self.store))
        self.launch.prepare_workers(len(self.missing()))
        self.check()
        parent_run = ParentRun(title, "study")
        try:
            with closing(self.store, parent_run):
                with self.store.lock():
                    earlier_parent = parent.find_parent(self.store, title, "study")
                    check_declared(self.store, earlier_parent, self.study, self.arms)
                    parent_run.run_id = parent.open_parent(self.store, title, [], kind="study")
                    write_declaration(self.store, parent_run.run_id, self.study, self.arms)
                self.print_reused()
                for phase in PHASES:
                    while (jobs := self.progress.missing(phase)) and not (self.failed and self.cfg.fail_fast):
                        self.train(jobs, phase, parent_run.run_id)
                parent.replace_declared(self.store, parent_run.run_id, self.progress.declared())
                question = {key: getattr(self.study, key) for key in ("metric", "direction", "baseline")}
                reported = make_closing_report(self.store, parent_run.run_id, self.cfg.report.dir, **question)
                done = self.summarize()
                parent_run.status = "FINISHED" if done else "FAILED"
                return 0 if done and reported else 1
        except Stopped as stop:
            acknowledge_stop()
            lost = ": the tracking store does not answer" if parent_run.store_lost else ""
            write_line(f"stopped by {stop}{lost}; the same command resumes here")
            return stop.exit_code

    def train(self, jobs: Sequence[Job], phase: str, parent_id: str) -> None:
        """Train the known runs of a phase, and update the progress."""
        from reglab.tracking import parent

        parent.replace_declared(self.store, parent_id, self.progress.declared())
        metric = self.study.select_by[0] if phase == "tune" else self.study.metric
        cfg = jobs[0].config.copy()
        cfg.metric, cfg.fail_fast, cfg.resume = metric, bool(self.cfg.fail_fast), bool(self.cfg.resume)
        current_round = Round(self.study.title, jobs, cfg, phase, self.progress.tuned_keys)
        write_line(f"{'tuning' if phase == 'tune' else 'confirming on fresh seeds'}: {len(jobs)} runs")
        outcomes = train_all(current_round, jobs, self.launch, self.store, parent_id)
        results = results_of_outcomes(self.store, outcomes, metric)
        self.failed += [o for o in outcomes if o.error and not results[o.config_hash].diverged]
        self.update(results)

    def print_reused(self) -> None:
        """Print how many runs are reused, and how many only exist with other code."""
        done = sum(job.config_hash in self.progress.results for job in self.progress.jobs)
        expected = self.progress.expected
        if done:
            write_line(f"{done} of about {expected} runs are already finished: reused (resume=false trains them again)")
        if self.cfg.resume:
            print_other_code(self.missing(), expected, self.store)

    def summarize(self) -> bool:
        """Print failed and missing runs; return whether all runs were trained."""
        missing = self.missing()
        print_unfinished(self.failed, len(missing), self.progress.expected)
        without_choice = [
            arm_progress
            for arm_progress in self.progress.arms
            if arm_progress.tuning.done and arm_progress.tuning.chosen is None
        ]
        for arm_progress in without_choice:
            problem = f"all {len(arm_progress.tuning.trials)} trials failed, so there is nothing to confirm"
            write_line(f"{arm_progress.arm.strategy} on {arm_progress.arm.task_name}: {problem}")
        if any(self.has_diverged(arm_progress) for arm_progress in without_choice):
            write_line("diverged runs are not retried; another study.space (with another study.version) may help")
        return not (self.failed or missing or without_choice)

    def has_diverged(self, arm_progress: ArmProgress) -> bool:
        """Return whether a tuning run of the arm has diverged."""
        results = self.progress.results
        return any(results[job.config_hash].diverged for job in arm_progress.tuning.jobs if job.config_hash in results)


def _describe(progress: Progress) -> str:
    study = progress.study
    return (
        f"{pluralize(study.trials, 'trial')} each on {pluralize(len(study.tuning_seeds), 'tuning seed')}, "
        f"then {pluralize(len(study.seeds), 'fresh seed')}: about {progress.expected} runs"
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"
