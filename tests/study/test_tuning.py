"""Tuning of an arm as a pure function of tracked runs: equal budgets, and a choice independent of their order."""

import itertools
import math
from collections.abc import Callable

import pytest

from reglab.study.progress import study_progress
from reglab.study.tuning import EndedRun, EndedRuns, Trial, Tuning, tune
from tests.study.studies import arms_of

Score = Callable[[Trial, int], float | None]


def tune_to_end(
    score: Score, *overrides: str, arm: int = 1, seconds: float = 1.0
) -> tuple[Tuning, dict[str, EndedRun]]:
    """Tune an arm to its end with synthetic results by trial and seed, each run once; return tuning and results."""
    study, arms, composer = arms_of(*overrides)
    results: dict[str, EndedRun] = {}
    for _ in range(100):
        tuning = tune(study, arms[arm], composer, results)
        todo = [job for job in tuning.jobs if job.config_hash not in results]
        if not todo:
            return tuning, results
        assert not tuning.done
        for trial in tuning.trials:
            for job in trial.jobs:
                if job.config_hash not in results:
                    value = score(trial, job.config.seed)
                    figures = None if value is None else {"best/val/accuracy": value}
                    results[job.config_hash] = EndedRun(figures, seconds)
    raise AssertionError("does not end")


def score_learning_rate(trial: Trial, _seed: int) -> float:
    """Return a score that is highest at a learning rate of 1e-3."""
    return 1 - abs(math.log10(float(trial.values["optimizer.lr"] or 0)) + 3)


@pytest.mark.slow
def test_every_strategy_has_the_same_number_of_trials_and_seeds() -> None:
    study, arms, composer = arms_of("study.trials=5", "study.tuning_seeds=2", "study.strategies=[none,l2,dropout+l1]")
    plan = study_progress(study, arms, composer, {})
    assert [len(arm.tuning.trials) for arm in plan.arms] == [5, 5, 5]
    assert [len(arm.tuning.jobs) for arm in plan.arms] == [10, 10, 10]
    assert {job.config.seed for job in plan.jobs} == {1000, 1001}
    assert plan.expected == 3 * (10 + 3)


@pytest.mark.slow
def test_the_best_mean_over_tuning_seeds_is_chosen() -> None:
    def score(trial: Trial, seed: int) -> float:
        return {0: (0.9, 0.1), 1: (0.6, 0.6), 2: (0.5, 0.5)}[trial.index][seed - 1000]

    done, _ = tune_to_end(score, "study.trials=3", "study.tuning_seeds=2")
    assert [trial.score for trial in done.trials] == [0.5, 0.6, 0.5]
    assert done.chosen is done.trials[1]


@pytest.mark.slow
def test_the_first_of_equals_is_chosen() -> None:
    done, _ = tune_to_end(lambda trial, seed: 0.5, "study.trials=4")
    assert done.chosen is done.trials[0]


@pytest.mark.slow
def test_the_lowest_score_is_chosen_for_metrics_to_minimize() -> None:
    study, arms, composer = arms_of("study.trials=3", "study.metric=test/loss")
    jobs = tune(study, arms[1], composer, {}).jobs
    results = {job.config_hash: EndedRun({"best/val/loss": float(i)}) for i, job in enumerate(jobs)}
    assert tune(study, arms[1], composer, results).chosen.index == 0  # type: ignore[union-attr]


@pytest.mark.slow
@pytest.mark.parametrize("bad", [None, math.nan, math.inf, 1.8e308])
def test_a_trial_that_fails_on_one_seed_is_not_chosen(bad: float | None) -> None:
    def score(trial: Trial, seed: int) -> float | None:
        return bad if (trial.index, seed) == (0, 1001) else 1.0 - trial.index / 10

    done, _ = tune_to_end(score, "study.trials=3", "study.tuning_seeds=2")
    assert done.trials[0].failed
    assert done.chosen is done.trials[1]


@pytest.mark.slow
def test_if_all_trials_fail_nothing_is_chosen_or_confirmed() -> None:
    done, results = tune_to_end(lambda trial, seed: None, "study.trials=2")
    assert done.done
    assert done.chosen is None
    study, arms, composer = arms_of("study.trials=2")
    assert not study_progress(study, [arms[1]], composer, results).missing("confirm")


@pytest.mark.slow
def test_the_choice_does_not_depend_on_the_order_of_results() -> None:
    study, arms, composer = arms_of("study.trials=3")
    jobs = tune(study, arms[1], composer, {}).jobs
    for order in itertools.permutations(range(3)):
        results: dict[str, EndedRun] = {}
        for i in order:
            results[jobs[i].config_hash] = EndedRun({"best/val/accuracy": [0.3, 0.8, 0.5][i]})
        assert tune(study, arms[1], composer, results).chosen.index == 1  # type: ignore[union-attr]


@pytest.mark.slow
def test_a_trial_begins_only_while_seconds_are_left() -> None:
    done, _ = tune_to_end(score_learning_rate, "study.trials=10", "study.max_seconds=25", seconds=10.0)
    assert len(done.trials) == 3  # after the third 30 s are spent
    assert done.done


@pytest.mark.slow
@pytest.mark.parametrize("arm", [0, 1])
def test_a_sequential_search_goes_trial_by_trial_and_resumes_anywhere(arm: int) -> None:
    done, results = tune_to_end(score_learning_rate, "study.sampler=tpe", "study.trials=8", arm=arm)
    assert len(done.trials) == 8
    study, arms, composer = arms_of("study.sampler=tpe", "study.trials=8")
    hashes = [job.config_hash for job in done.jobs]
    for known in range(8):
        part: EndedRuns = {identity: results[identity] for identity in hashes[:known]}
        tuning = tune(study, arms[arm], composer, part)
        assert [job.config_hash for job in tuning.jobs] == hashes[: known + 1]


@pytest.mark.slow
def test_successive_halving_keeps_the_best_of_each_rung() -> None:
    overrides = ["study.trials=9", "study.pruning={eta:3,rungs:3}", "study.common.trainer.max_epochs=18"]
    done, _ = tune_to_end(lambda trial, seed: trial.index / 10, *overrides)
    assert [trial.rung for trial in done.trials] == [0, 0, 0, 0, 0, 0, 1, 1, 2]
    assert [trial.pruned for trial in done.trials] == [True] * 8 + [False]
    assert done.chosen is done.trials[8]
    epochs = [[job.config.trainer.max_epochs for job in trial.jobs] for trial in done.trials]
    assert epochs == [[2]] * 6 + [[2, 6]] * 2 + [[2, 6, 18]]
    study, arms, composer = arms_of(*overrides)
    assert study_progress(study, arms[:1], composer, {}).arms[0].expected(study)["tune"] == len(done.jobs) == 13


@pytest.mark.slow
def test_a_failed_trial_is_not_pruned() -> None:
    def score(trial: Trial, seed: int) -> float | None:
        return None if trial.index == 0 else trial.index / 10

    done, _ = tune_to_end(score, "study.trials=4", "study.pruning={eta:2,rungs:2}", "study.common.trainer.max_epochs=4")
    assert [(t.failed, t.pruned) for t in done.trials] == [(True, False), (False, True), (False, False), (False, False)]


@pytest.mark.slow
def test_an_empty_space_needs_one_trial() -> None:
    done, _ = tune_to_end(lambda trial, seed: 0.5, "study.space.optimizer.lr=null", "study.trials=7", arm=0)
    assert len(done.trials) == 1
    assert done.chosen is done.trials[0]


@pytest.mark.slow
def test_confirmation_runs_hold_the_chosen_values_and_fresh_seeds() -> None:
    done, results = tune_to_end(score_learning_rate, "study.trials=4", "study.pruning={eta:2,rungs:2}")
    study, arms, composer = arms_of("study.trials=4", "study.pruning={eta:2,rungs:2}")
    confirmed = study_progress(study, [arms[1]], composer, results).missing("confirm")
    assert [job.config.seed for job in confirmed] == [0, 1, 2]
    assert done.chosen is not None
    for job in confirmed:
        assert job.config.optimizer.lr == done.chosen.values["optimizer.lr"]
        assert job.config.regularizer.dropout.p == done.chosen.values["regularizer.dropout.p"]
        assert job.config.trainer.max_epochs == arms[1].epochs
    again = study_progress(study, [arms[1]], composer, {**results, confirmed[0].config_hash: EndedRun({})})
    assert [job.config.seed for job in again.missing("confirm")] == [1, 2]


@pytest.mark.slow
def test_a_run_is_composed_once_for_all_updates_of_progress():
    study, arms, composer = arms_of()
    first, again = (study_progress(study, arms, composer, {}).jobs for _ in range(2))
    assert len(first) == 4
    assert all(job is same for job, same in zip(first, again, strict=True))
    for job in first:
        assert job.config == composer.compose(job.overrides)
    arm, values = arms[1], {item.key: item.quantile_when_on(0.5) for item in arms[1].space}
    job_of_seed_0 = arm.job(composer, values, 0, "a")
    assert arm.job(composer, values, 0, "b").label == "b seed=0"
    assert arm.job(composer, values, 1, "a").config.seed == 1
    assert arm.job(composer, values, 0, "a", epochs=7).config.trainer.max_epochs == 7
    assert job_of_seed_0.config.trainer.max_epochs != 7
