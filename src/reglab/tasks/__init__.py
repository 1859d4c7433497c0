"""Loss and metrics of each kind of task."""

from importlib import import_module
from typing import Any

from reglab.schema.task_kinds import TASK_KINDS
from reglab.tasks.base import Task
from reglab.tasks.classification import Classification
from reglab.tasks.language_modeling import LanguageModeling
from reglab.tasks.multilabel import Multilabel
from reglab.tasks.regression import Regression

__all__ = ["Classification", "LanguageModeling", "Multilabel", "Regression", "Task", "task_of"]


def task_of(data: Any, **options: Any) -> Task:
    """Return the task of a data set that is set up.

    Args:
        data: a `reglab.data.TensorData`.
        options: see `Task.from_data`.
    """
    module, _, name = TASK_KINDS[data.kind].task.rpartition(".")
    task: Task = getattr(import_module(module), name).from_data(data, **options)
    return task
