"""Checks that need data and models, made before the first run: each combination is built once.

This module imports torch.
"""

import copy
import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from omegaconf import DictConfig

from reglab.config.identity import data_name, identity_parts, setting_fields
from reglab.data.base import TensorData
from reglab.deadlines import waiting
from reglab.execution.expand import Job
from reglab.execution.workers import ForkDiedError, ForkedFunction, can_fork
from reglab.exits import all_are_errors, exits_are_errors
from reglab.schema.errors import ConfigError, ConfigErrors, Setting
from reglab.streams import note
from reglab.training import build
from reglab.training.effect_guard import check_effects_on_data
from reglab.training.fit import Fit
from reglab.training.model_data_checks import check_fit, check_steps
from reglab.training.run_caveats import double_counting_caveats
from reglab.training.trainer import check_accelerator

_ANNOUNCE_S = 30.0  # importing large libraries for a network takes 10 s
_MAX_EFFECT_FLOPS = 1e11  # operations of the effect guard


def check_jobs(jobs: Sequence[Job]) -> None:
    """Load each data set of a sweep, and build each model and strategy on it, once for all seeds.

    The limits, steps and device of each distinct `trainer` section are checked with the data. Exceptions other than
    ConfigError are ignored here: the run raises them again, and logs their traceback.

    Args:
        jobs: jobs to train.

    Raises:
        ConfigErrors: the distinct problems.
    """
    problems: dict[str, ConfigError] = {}
    _print_shared_names(jobs)
    for jobs_of_data in _group_by(jobs, lambda job: setting_fields(job.config)["data"]):
        with _collect(problems):
            data = build.unlimited_data(jobs_of_data[0].config)
            print_data_notes(data)
            for jobs_of_trainer in _group_by(jobs_of_data, lambda job: build.to_plain_dict(job.config.trainer)):
                with _collect(problems):
                    _check_trainer(jobs_of_trainer[0].config, data)
            configs = [equal_jobs[0].config for equal_jobs in _group_by(jobs_of_data, _model_and_strategy)]
            with RunBuilder(configs, data) as builder:
                for number in range(len(configs)):
                    with _collect(problems):
                        builder.build(number)
    if problems:
        raise ConfigErrors(list(problems.values()))


def _print_shared_names(jobs: Sequence[Job]) -> None:
    """Report data sets of different content under one name."""
    contents: dict[str, set[str]] = {}
    for job in jobs:
        data = setting_fields(job.config)["data"]
        contents.setdefault(data_name(job.config), set()).add(str(data.get("path") or data.get("root")))
    for name, distinct in contents.items():
        if len(distinct) > 1:
            note(
                f"note: {len(distinct)} data sets of this sweep are called {name}; reports distinguish them by a hash "
                "of their content, or by data.name if you set it for each"
            )


def print_data_notes(data: TensorData) -> None:
    """Print the notes of a data set."""
    for text in data.notes:
        note(f"note: {data.name}: {text}")


def _model_and_strategy(job: Job) -> Any:
    parts = identity_parts(job.config)
    return parts["model"], parts["regularizer"]


def _group_by(jobs: Sequence[Job], part: Callable[[Job], Any]) -> list[list[Job]]:
    """Return the jobs in groups of equal parts of their configs."""
    groups: dict[str, list[Job]] = {}
    for job in jobs:
        groups.setdefault(json.dumps(part(job), sort_keys=True), []).append(job)
    return list(groups.values())


def _check_trainer(config: DictConfig, data: TensorData) -> None:
    build.limit_data(config, copy.copy(data))
    check_steps(config, data)
    check_accelerator(build.to_plain_dict(config.trainer))


@contextmanager
def _collect(problems: dict[str, ConfigError]) -> Iterator[None]:
    try:
        with exits_are_errors():
            yield
    except ConfigError as error:
        problems.setdefault(str(error), error)
    except Exception:  # the run raises it again, and logs its traceback
        pass


class RunBuilder:
    """Build the model and the regularizers of runs on one data set, and check that they work together.

    Users' networks are built in a forked process, since their code may end the process.

    Args:
        configs: configs of the runs.
        data: loaded data set.
    """

    def __init__(self, configs: Sequence[DictConfig], data: TensorData) -> None:
        self._configs = configs
        self._data = data
        self._forked = ForkedFunction(self._build_in_fork)
        self._deaths: dict[str, ConfigError] = {}  # by network

    def __enter__(self) -> "RunBuilder":
        return self

    def __exit__(self, *_: object) -> None:
        self._forked.close()

    def build(self, number: int) -> list[str]:
        """Build the parts of a run, and return the notes with which such runs are tagged.

        Args:
            number: index of the config, from 0.

        Raises:
            ConfigError: the parts do not work together, or the network ends its process.
        """
        config = self._configs[number]
        if not build.is_user_network(config) or not can_fork() or torch.cuda.is_initialized():
            return _build(config, self._data)
        network = json.dumps(build.to_plain_dict(config.model), sort_keys=True, default=str)
        if network in self._deaths:
            raise self._deaths[network]
        try:
            with waiting(f"model={config.model.name}: building and checking it ...", after=_ANNOUNCE_S):
                answer = self._forked(number)
        except ForkDiedError as died:
            remedy = (
                "choose a smaller model if memory ran out, or remove what kills the process"
                if died.code == -signal.SIGKILL
                else "run its constructor and forward pass alone (python -X faulthandler shows the line of a crash)"
            )
            self._deaths[network] = ConfigError(
                Setting("model", config.model.name),
                f"the process that built and checked it died with {died}",
                remedy,
            )
            raise self._deaths[network] from died
        if "error" in answer:
            raise ConfigError.from_json(answer["error"])
        notes: list[str] | None = answer.get("notes")
        # After another exception the parts are built here, so that it is raised with its traceback.
        return _build(config, self._data) if notes is None else notes

    def _build_in_fork(self, number: int) -> dict[str, Any]:
        """Return the notes, or the fields of a ConfigError; nothing after another exception."""
        torch.set_num_threads(1)  # the other threads of torch's pool do not exist in a fork
        try:
            with exits_are_errors():
                return {"notes": _build(self._configs[number], self._data)}
        except ConfigError as error:
            return {"error": error.to_json()}
        except BaseException:
            return {}


@all_are_errors()
def _build(config: DictConfig, data: TensorData) -> list[str]:
    model = build.build_model(config, data)
    check_fit(config, model, data)
    regularizers, notes = build.build_with_caveats(config, model, data)
    try:
        effects = check_effects_on_data(
            Fit(model, build.build_task(config, data), regularizers), data, max_flops=_MAX_EFFECT_FLOPS
        )
    except ConfigError as error:
        raise error.with_note(f"model={config.model.name}") from error
    return [*notes, *effects, *double_counting_caveats(config, regularizers, model)]
