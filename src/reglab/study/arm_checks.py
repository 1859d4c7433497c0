"""Checks of a study's arms that load data and build models; `reglab.study.arms` does without torch."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig

from reglab.config.compose import Composer
from reglab.data.base import TensorData
from reglab.data.splitting.random import Rows
from reglab.execution.preflight import RunBuilder, print_data_notes
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.metrics import kinds_of
from reglab.schema.text import join_names
from reglab.streams import note
from reglab.study.arms import StudyArm
from reglab.study.definition import Study
from reglab.training import build
from reglab.training.trainer import check_accelerator

_SHARED_SPLIT = "study.common.data.split_seed=0"


def check_arms(study: Study, arms: Sequence[StudyArm], composer: Composer) -> None:
    """Load the data of each task, build the model and the regularizers of each arm, and print notes on them.

    Args:
        study: definition with the seeds.
        arms: arms of the study, task by task.
        composer: composes configs.

    Raises:
        ConfigError: data, model, metric or regularizers do not fit each other, or there are too few rows for the
            splits of all seeds to differ.
    """
    for task, arms_of_task in groupby(arms, key=lambda arm: arm.task):
        with study.naming_common_keys(task):
            _check_task(study, list(arms_of_task), composer)


def _check_task(study: Study, arms: Sequence[StudyArm], composer: Composer) -> None:
    configs = [composer.compose([*arm.overrides, f"seed={study.seeds[0]}"]) for arm in arms]
    data = _load_checked(study, configs[0])
    print_data_notes(data)
    with RunBuilder(configs, data) as builder:
        for number, arm in enumerate(arms):
            try:
                notes = builder.build(number)
            except ConfigError as error:
                if error.key == "regularizer":
                    raise error.with_remedy(f"or remove {arm.strategy} from study.strategies") from error
                raise
            for text in notes:
                note(f"note: {arm.strategy} on {arm.task_name}: {text}")


def _load_checked(study: Study, config: DictConfig) -> TensorData:
    """Return the data of a run's config, loaded, after checks of the device, the metrics and the splits."""
    check_accelerator(build.to_plain_dict(config.trainer))
    with build.seeded_for_data(config):
        data: TensorData = instantiate(config.data)
        source = data.load()
        data.use(source)
    for key, metric in (("metric", study.metric), ("select_by", study.select_by[0])):
        if (kinds := kinds_of(metric)) and data.kind not in kinds:
            problem = f"is for {join_names(kinds)}, and {data.name} is a {data.kind} task"
            raise ConfigError(Setting(f"study.{key}", metric), problem)
    if not source.fresh:
        _check_splits(study, data, [data.draw(source, seed) for seed in _split_seeds(study, config)])
    build.limit_data(config, data)
    return data


def _split_seeds(study: Study, config: DictConfig) -> list[int]:
    """Return the distinct split seeds of all runs, which may depend on the seeds of the runs."""
    config = config.copy()
    seeds: dict[int, None] = {}
    for seed in (*study.seeds, *study.tuning_seeds):
        config.seed = seed
        seeds[config.data.split_seed] = None
    return list(seeds)


def _check_splits(study: Study, data: TensorData, splits: Sequence[Rows]) -> None:
    """Check that different split seeds draw different splits; otherwise their runs are not independent.

    A study that sets one split seed for all runs (``data.split_seed=0``) has one split and passes.
    """
    if len(splits) < 2:
        return
    distinct = {tuple(np.sort(part).tobytes() for part in (rows.train, rows.val, rows.test)) for rows in splits}
    where = Setting("study.seeds", len(study.seeds))
    if len(distinct) == 1:
        raise ConfigError(
            where,
            f"{data.name} has the same split for every seed",
            f"if that is intended, set {_SHARED_SPLIT}: seeds then vary initial weights and batch order only",
        )
    if len(distinct) < len(splits):
        raise ConfigError(
            where,
            f"the {int(data.rows)} rows of {data.name} are too few for {len(splits)} seeds, of tuning and "
            f"confirmation, to have different splits (only {len(distinct)} differ)",
            f"use fewer seeds, or one split for all by {_SHARED_SPLIT}",
        )
