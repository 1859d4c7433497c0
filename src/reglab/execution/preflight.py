"""Checks before the first run of a study or sweep: each combination of data, model and strategy is built once.

In a study each seed of a task must also draw its own split.
"""

import copy
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from reglab.config.compose import Composer
from reglab.config.identity import data_name, science, setting
from reglab.data.base import TensorData
from reglab.data.splitting.random import Rows
from reglab.deadlines import waiting
from reglab.execution.expand import Job
from reglab.execution.workers import DiedError, Forked, can_fork
from reglab.exits import all_are_errors, exits_are_errors
from reglab.schema.errors import ConfigError, ConfigErrors, Setting
from reglab.schema.metrics import kind_of
from reglab.streams import note
from reglab.study.cells import Cell
from reglab.study.definition import Study
from reglab.study.shared import told_as_shared
from reglab.training import build
from reglab.training.fit import Fit
from reglab.training.notes import double_counting
from reglab.training.trainer import check_accelerator
from reglab.training.trial import check_fit, check_steps

_ANNOUNCE_S = 30.0  # a network that imports large libraries takes ten


def rehearse(study: Study, cells: Sequence[Cell], composer: Composer) -> None:
    """Load the data of each task, build the model and the regularizers of each cell, and print remarks on them.

    Args:
        study: with its seeds.
        cells: of the study, task by task.
        composer: makes configs.

    Raises:
        ConfigError: a problem that only data or model show (rows, shapes, kind of task, a metric of another kind), or
            too few rows for the splits of all seeds to differ.
    """
    for task, strategies in groupby(cells, key=lambda cell: cell.task):
        with told_as_shared(study, study.tasks[task]):
            _rehearse_task(study, list(strategies), composer)


def _rehearse_task(study: Study, strategies: Sequence[Cell], composer: Composer) -> None:
    data = _checked_data(study, strategies[0], composer)
    _print_remarks(data)
    configs = [composer.compose([*cell.overrides, f"seed={study.seeds[0]}"]) for cell in strategies]
    with _Builder(configs, data) as builder:
        for number, cell in enumerate(strategies):
            try:
                notes = builder.built(number)
            except ConfigError as error:
                if error.key == "regularizer":  # a run has one strategy, a study has a list of them
                    raise error.with_remedy(f"or remove {cell.strategy} from study.strategies") from error
                raise
            for sentence in notes:
                note(f"note: {cell.strategy} on {cell.about}: {sentence}")


def rehearse_jobs(jobs: Sequence[Job]) -> None:
    """Load each data set of a sweep, and build each model and strategy on it, once for all seeds.

    The limits, steps and device of each different `trainer` section are checked with the data. Exceptions other than
    ConfigError are left to the run, which keeps their traceback.

    Args:
        jobs: that are still to be trained.

    Raises:
        ConfigError: problems that only data or model show, one line for each different one.
    """
    problems: dict[str, ConfigError] = {}
    _print_shared_names(jobs)
    for on_same_data in _alike(jobs, lambda job: setting(job.config)["data"]):
        with _gathered(problems):
            data = build.whole_data(on_same_data[0].config)
            _print_remarks(data)
            for alike in _alike(on_same_data, lambda job: build.plain(job.config.trainer)):
                with _gathered(problems):
                    _check_trainer(alike[0].config, data)
            configs = [same[0].config for same in _alike(on_same_data, _model_and_strategy)]
            with _Builder(configs, data) as builder:
                for number in range(len(configs)):
                    with _gathered(problems):
                        builder.built(number)
    if problems:
        raise ConfigErrors(list(problems.values()))


def _print_shared_names(jobs: Sequence[Job]) -> None:
    """Report data sets of different content under one name."""
    contents: dict[str, set[str]] = {}
    for job in jobs:
        data = setting(job.config)["data"]
        contents.setdefault(data_name(job.config), set()).add(str(data.get("path") or data.get("root")))
    for name, found in contents.items():
        if len(found) > 1:
            note(
                f"note: {len(found)} data sets of this sweep are called {name}; reports distinguish them by a hash of "
                "their content, or by data.name if you name each"
            )


def _print_remarks(data: TensorData) -> None:
    for sentence in data.notes:
        note(f"note: {data.name}: {sentence}")


def _model_and_strategy(job: Job) -> Any:
    parts = science(job.config)
    return parts["model"], parts["regularizer"]


def _alike(jobs: Sequence[Job], part: Callable[[Job], Any]) -> list[list[Job]]:
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(json.dumps(part(job), sort_keys=True), []).append(job)
    return list(groups.values())


def _check_trainer(config: DictConfig, data: TensorData) -> None:
    build.limit(config, copy.copy(data))
    check_steps(config, data)
    check_accelerator(build.plain(config.trainer))


@contextmanager
def _gathered(problems: dict[str, ConfigError]) -> Iterator[None]:
    try:
        with exits_are_errors():
            yield
    except ConfigError as error:
        problems.setdefault(str(error), error)
    except Exception:  # the run will fail with it, and keep its traceback
        pass


class _Builder:
    """Builds the parts of runs on one data set, users' networks in a forked process, which these may end.

    Args:
        configs: of the runs.
        data: loaded.
    """

    def __init__(self, configs: Sequence[DictConfig], data: TensorData) -> None:
        self._configs = configs
        self._data = data
        self._forked = Forked(self._answer)
        self._deadly: dict[str, ConfigError] = {}  # by network

    def __enter__(self) -> "_Builder":
        return self

    def __exit__(self, *_: object) -> None:
        self._forked.close()

    def built(self, number: int) -> list[str]:
        """Build the parts of a run; return the remarks with which each such run is tagged, to be printed once.

        Raises:
            ConfigError: they do not work together, or the network ends its process.
        """
        config = self._configs[number]
        if not build.is_users(config) or not can_fork() or torch.cuda.is_initialized():
            return _built(config, self._data)
        network = json.dumps(build.plain(config.model), sort_keys=True, default=str)
        if network in self._deadly:
            raise self._deadly[network]
        try:
            with waiting(f"model={config.model.name}: building and checking it ...", after=_ANNOUNCE_S):
                answer = self._forked(number)
        except DiedError as died:
            remedy = (
                "choose a smaller model if memory ran out, or remove what kills the process"
                if died.code == -signal.SIGKILL
                else "run its constructor and forward pass alone (python -X faulthandler shows the line of a crash)"
            )
            self._deadly[network] = ConfigError(
                Setting("model", config.model.name),
                f"the process in which it was built and checked died, {died}",
                remedy,
            )
            raise self._deadly[network] from died
        if "refused" in answer:
            raise ConfigError.from_json(answer["refused"])
        remarks: list[str] | None = answer.get("remarks")
        return _built(config, self._data) if remarks is None else remarks  # an error is raised here, with its traceback

    def _answer(self, number: int) -> dict[str, Any]:
        """Return remarks or the text of a ConfigError; neither after another error."""
        torch.set_num_threads(1)  # the others of a pool are not there
        try:
            with exits_are_errors():
                return {"remarks": _built(self._configs[number], self._data)}
        except ConfigError as error:
            return {"refused": error.to_json()}
        except BaseException:
            return {}


@all_are_errors()
def _built(config: DictConfig, data: TensorData) -> list[str]:
    model = build.build_model(config, data)
    check_fit(config, model, data)
    regularizers, remarks = build.remarked(config, model, data)
    try:
        effects = build.check_effects(Fit(model, build.build_task(data), regularizers), data, most=1e11)
    except ConfigError as error:
        raise error.with_note(f"model={config.model.name}") from error
    return [*remarks, *effects, *double_counting(config, regularizers, model)]


def _checked_data(study: Study, cell: Cell, composer: Composer) -> TensorData:
    """The data of a cell's task, for the first of the fresh seeds."""
    first = composer.compose([*cell.overrides, f"seed={study.seeds[0]}"])
    check_accelerator(build.plain(first.trainer))
    with build.drawing_data(first):
        data: TensorData = instantiate(first.data)
        source = data.load()
        data.use(source)
    for key, metric in (("metric", study.metric), ("select_by", study.select_by[0])):
        if (wanted := kind_of(metric)) not in (None, data.kind):
            raise ConfigError(
                Setting(f"study.{key}", metric), f"is for {wanted}, and {data.name} is a {data.kind} task"
            )
    if not source.fresh:
        _check_splits(study, data, [data.draw(source, seed) for seed in _split_seeds(study, first)])
    build.limit(first, data)
    return data


def _split_seeds(study: Study, config: DictConfig) -> list[int]:
    """The different seeds of the splits of all runs: they may follow the seed of the run."""
    config = config.copy()
    seeds: dict[int, None] = {}
    for seed in (*study.seeds, *study.tuning_seeds):
        config.seed = seed
        seeds[config.data.split_seed] = None
    return list(seeds)


def _check_splits(study: Study, data: TensorData, draws: Sequence[Rows]) -> None:
    """Refuse seeds that draw the same split: their runs would not be independent tests.

    A config that gives all seeds one split on purpose (``data.split_seed=0``) has but one draw.
    """
    if len(draws) < 2:
        return
    different = {tuple(np.sort(part).tobytes() for part in (rows.train, rows.val, rows.test)) for rows in draws}
    if len(different) == 1:
        raise ConfigError(
            Setting("study.seeds", len(study.seeds)),
            f"{data.name} is split alike for every seed",
            "say that this is meant by study.common.data.split_seed=0: seeds then vary initial weights "
            "and batch order alone",
        )
    if len(different) < len(draws):
        raise ConfigError(
            Setting("study.seeds", len(study.seeds)),
            f"the {int(data.rows)} rows of {data.name} are too few for {len(draws)} seeds, of tuning and "
            f"confirmation, to draw splits that all differ (they draw {len(different)})",
            "ask for fewer, or give all one split by study.common.data.split_seed=0",
        )
