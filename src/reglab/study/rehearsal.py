"""Before a study's first run: every cell is built once, and every seed of a task must draw rows of its own."""

import sys
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from reglab.config.compose import Composer
from reglab.config.metrics import kind_of
from reglab.data.base import TensorData
from reglab.data.splits import Rows
from reglab.errors import ConfigError
from reglab.study.cells import Cell
from reglab.study.definition import Study
from reglab.study.shared import told_as_shared
from reglab.training import build
from reglab.training.notes import double_counting
from reglab.training.trial import check_fit


def rehearse(study: Study, cells: Sequence[Cell], composer: Composer) -> None:
    """Loads the data of each task, builds the model and the regularizers of each cell, and tells what is odd about
    them; trains nothing.

    Args:
        study: with its seeds.
        cells: of the study, task by task.
        composer: makes configs.

    Raises:
        ConfigError: what only data or model show is wrong (rows, shapes, kind of task, a metric of another kind), or
            there are too few rows for so many seeds to draw splits that differ.
    """
    for task, strategies in groupby(cells, key=lambda cell: cell.task):
        with told_as_shared(study, study.tasks[task]):
            _rehearse_task(study, list(strategies), composer)


def _rehearse_task(study: Study, strategies: Sequence[Cell], composer: Composer) -> None:
    data = _checked_data(study, strategies[0], composer)
    for cell in strategies:
        config = composer.compose([*cell.overrides, f"seed={study.seeds[0]}"])
        model = build.build_model(config, data)
        check_fit(config, model, data)
        for sentence in _notes(config, model, data):
            sys.stderr.write(f"note: {cell.strategy} on {cell.about}: {sentence}\n")


def _notes(config: DictConfig, model: nn.Module, data: TensorData) -> list[str]:
    """What each run of the cell is tagged with, and would say again and again."""
    regularizers, remarks = build.remarked(config, model, data)
    return [*remarks, *double_counting(config, regularizers, model)]


def _checked_data(study: Study, cell: Cell, composer: Composer) -> TensorData:
    """The data of a cell's task, for the first of the fresh seeds."""
    nodes = [composer.compose([*cell.overrides, f"seed={seed}"]).data for seed in (*study.seeds, *study.tuning_seeds)]
    data: TensorData = instantiate(nodes[0])
    source = data.load()
    data.use(source)
    for key, metric in (("metric", study.metric), ("select_by", study.select_by[0])):
        if (wanted := kind_of(metric)) not in (None, data.kind):
            raise ConfigError(f"study.{key}={metric}: is for {wanted}, and {data.name} is a {data.kind} task")
    if not source.fresh:
        _check_splits(study, data, [data.draw(source, seed) for seed in dict.fromkeys(n.split_seed for n in nodes)])
    return data


def _check_splits(study: Study, data: TensorData, draws: Sequence[Rows]) -> None:
    """Refuses two seeds of one split: a confirmation on it is not fresh, and its runs are no two tests.

    A config that gives all seeds one split on purpose (``data.split_seed=0``) has but one draw.
    """
    if len(draws) < 2:
        return
    different = {tuple(np.sort(part).tobytes() for part in (rows.train, rows.val, rows.test)) for rows in draws}
    if len(different) == 1:
        raise ConfigError(
            f"study.seeds={len(study.seeds)}: {data.name} is split alike for every seed; say that this is meant by "
            "study.common.data.split_seed=0: seeds then vary initial weights and batch order alone"
        )
    if len(different) < len(draws):
        raise ConfigError(
            f"study.seeds={len(study.seeds)}: the {int(data.rows)} rows of {data.name} are too few for "
            f"{len(draws)} seeds, of tuning and confirmation, to draw splits that all differ (they draw "
            f"{len(different)}); ask for fewer, or give all one split by study.common.data.split_seed=0"
        )
