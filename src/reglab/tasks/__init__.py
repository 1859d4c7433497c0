"""Loss and figures of each kind of task."""

from reglab.tasks.base import Task
from reglab.tasks.classification import Classification
from reglab.tasks.language_modeling import LanguageModeling
from reglab.tasks.regression import Regression

__all__ = ["Classification", "LanguageModeling", "Regression", "Task"]
