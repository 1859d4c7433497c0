"""All metrics, with their direction, kinds of tasks and parts of the data.

A tracked name has the part of the data before the metric: ``val/accuracy``. ``best/val/accuracy`` is that of the epoch
whose weights are tested. Metrics of predictions are computed beside the loss of their kind of task, in
`reglab.tasks`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reglab.schema.constraints import Nullable, OneOf
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import (
    CLASSIFICATION,
    LABEL_SETS,
    LANGUAGE_MODELING,
    MULTILABEL,
    REGRESSION,
    TASK_KINDS,
    kinds_with,
)

TEST_PARTS = ("test/", "gap/")
"""Prefixes of metrics that are measured on the test part; these must not be used for selection."""
_EPOCH_PARTS = ("test", "val", "train")
DIRECTION = OneOf("max", "min")
"""Whether large or small values of a metric are good."""


@dataclass(frozen=True)
class Metric:
    """Declaration of a metric.

    Args:
        name: name without the part of the data.
        direction: ``max`` or ``min``.
        task_kinds: names of the kinds of tasks that have it; empty: all.
        every_epoch: whether it is measured on training and validation rows in every epoch. Otherwise it is measured
            on the test rows, and on the validation rows for the tested weights.
        validation_substitute: metric that replaces it if it was not measured on the validation rows.
        summary: whether the line that a single run prints includes it.
        per_label: whether a multi-label task also tracks it for each label, as ``test/auroc/LABEL``.
    """

    name: str
    direction: str
    task_kinds: tuple[str, ...] = ()
    every_epoch: bool = False
    validation_substitute: str = ""
    summary: bool = False
    per_label: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Its tracked names, without those of the tested weights."""
        return tuple(f"{part}/{self.name}" for part in _EPOCH_PARTS) if self.every_epoch else (f"test/{self.name}",)


_CLASSES = (CLASSIFICATION.name, MULTILABEL.name)
_ALL = (
    Metric("loss", "min", every_epoch=True, summary=True),
    Metric("accuracy", "max", _CLASSES, every_epoch=True, summary=True),
    Metric("rmse", "min", (REGRESSION.name,), every_epoch=True, summary=True),
    Metric("perplexity", "min", (LANGUAGE_MODELING.name,), every_epoch=True, summary=True),
    Metric("bits_per_character", "min", (LANGUAGE_MODELING.name,), every_epoch=True, summary=True),
    Metric("balanced_accuracy", "max", (CLASSIFICATION.name,), validation_substitute="accuracy", summary=True),
    Metric("ece", "min", (CLASSIFICATION.name,), validation_substitute="loss", summary=True),
    Metric("exact_match", "max", (MULTILABEL.name,), validation_substitute="accuracy", summary=True),
    Metric("f1_macro", "max", _CLASSES, validation_substitute="accuracy", per_label=True),
    Metric("auroc", "max", _CLASSES, validation_substitute="accuracy", per_label=True),
    Metric("average_precision", "max", _CLASSES, validation_substitute="accuracy"),
    Metric("log_likelihood", "max", _CLASSES),
    Metric("brier", "min", _CLASSES, validation_substitute="loss"),
    Metric("mae", "min", (REGRESSION.name,), validation_substitute="rmse"),
    Metric("r2", "max", (REGRESSION.name,), validation_substitute="rmse", summary=True),
)
METRICS: Mapping[str, Metric] = {metric.name: metric for metric in _ALL}
"""Metrics of predictions by name."""
RUN_METRICS: Mapping[str, str] = {
    "gap/loss": "min",
    "time/train_s": "min",
    "time/step_ms": "min",
    "time/epochs": "min",
    "model/parameters": "min",
    "model/zero_fraction": "max",
    "train/penalty": "min",
}
"""Direction of the tracked values of a run that are not metrics of predictions, by tracked name."""

COMPARABLE = (*(name for metric in METRICS.values() for name in metric.names), *RUN_METRICS)
"""Tracked names that runs can be compared by and, except for test metrics, selected by."""
CHOOSING = (*COMPARABLE, *(f"best/val/{name}" for name in METRICS))
"""Tracked names that ``select_by`` accepts."""
HEADLINES = tuple(dict.fromkeys(f"test/{kind.metric}" for kind in TASK_KINDS.values()))
"""The metric that runs of each kind of task are compared by if none is named."""

# Words in the names of metrics that others have tracked.
_HIGHER = ("accuracy", "r2", "auc", "auroc", "f1", "precision", "recall", "score", "likelihood")
_LOWER = (
    "loss",
    "rmse",
    "mse",
    "mae",
    "ece",
    "error",
    "perplexity",
    "nll",
    "gap",
    "time",
    "seconds",
    "penalty",
    "bits",
)


def direction_of(metric: str) -> str | None:
    """Return ``max`` or ``min`` for a tracked name; None if neither the list nor the words of the name show it.

    >>> direction_of("test/balanced_accuracy"), direction_of("my_loss"), direction_of("answer")
    ('max', 'min', None)
    """
    if metric in RUN_METRICS:
        return RUN_METRICS[metric]
    if (declared := METRICS.get(base_name(metric))) is not None:
        return declared.direction
    words = metric.lower().replace("/", "_").split("_")
    if any(word in _LOWER for word in words):
        return "min"
    return "max" if any(word in _HIGHER for word in words) else None


def metric_label(label: str) -> str:
    """Return a label as it is written in names of metrics: MLflow accepts letters, digits and ``_-. :`` there.

    >>> metric_label("laut (dB)?"), metric_label("a/b"), metric_label(".")
    ('laut _dB_', 'a_b', '_')
    """
    name = re.sub(r"[^\w.\- :]+", "_", label)
    return name if name.strip(".") else "_"


def label_of(metric: str) -> str | None:
    """Return the label of a metric of one label; None for other metrics.

    >>> label_of("best/val/auroc/happy"), label_of("test/auroc"), label_of("test/rmse/happy")
    ('happy', None, None)
    """
    declared = METRICS.get(base_name(metric))
    part, _, rest = metric.removeprefix("best/").partition("/")
    label = rest.partition("/")[2]
    return label if label and part in _EPOCH_PARTS and declared is not None and declared.per_label else None


class MetricName(OneOf):
    """A tracked name of a metric, of all labels or of one.

    >>> MetricName("val/auroc").accepts("val/auroc/happy"), MetricName("val/auroc").accepts("test/auroc/happy")
    (True, False)
    """

    def accepts(self, value: Any) -> bool:
        label = label_of(value) if isinstance(value, str) else None
        return super().accepts(value if label is None else value.removesuffix(f"/{label}"))


def metrics_of(kind: str) -> list[Metric]:
    """Return the metrics of a kind of task, in the order of the list."""
    return [metric for metric in METRICS.values() if kind in (metric.task_kinds or (kind,))]


def base_name(metric: str) -> str:
    """Return a tracked name without the part of the data, and without the label of a multi-label task.

    >>> base_name("best/val/accuracy"), base_name("test/auroc/happy")
    ('accuracy', 'auroc')
    """
    parts = metric.removeprefix("best/").split("/")
    return parts[1] if len(parts) > 1 and parts[0] in _EPOCH_PARTS else parts[-1]


def kinds_of(metric: str) -> tuple[str, ...]:
    """Return the kinds of tasks that have a metric; empty: all, or the metric is not one of reglab's."""
    if label_of(metric) is not None:
        return tuple(kinds_with([LABEL_SETS]))
    declared = METRICS.get(base_name(metric))
    return declared.task_kinds if declared is not None else ()


def validation_counterparts(metric: str) -> tuple[str, ...]:
    """Return the validation metrics that may replace a test metric, in the order of preference.

    Those of the tested weights come before those of the last epoch.

    >>> validation_counterparts("test/r2")
    ('best/val/rmse', 'val/rmse')
    >>> validation_counterparts("test/auroc/happy")[0]
    'best/val/auroc/happy'
    """
    measured = metric.startswith(("test/", "val/", "best/val/"))
    name = base_name(metric) if measured else "loss"
    substitute = METRICS[name].validation_substitute if name in METRICS else ""
    names = (name, substitute) if substitute else (name,)
    # A substitute may have the opposite direction (r2 and rmse); then only the substitute is used.
    comparable = [candidate for candidate in names if direction_of(candidate) == direction_of(names[-1])]
    of_label = (f"best/val/{name}/{label}",) if (label := label_of(metric)) else ()
    return of_label + tuple(f"{prefix}{candidate}" for candidate in comparable for prefix in ("best/val/", "val/"))


def check_choice(*, direction: str | None, select_by: str | None, force: bool | None, section: str = "") -> None:
    """Refuse an invalid direction, and selection by a test metric.

    Args:
        direction: direction of the compared metric.
        select_by: the metric that selects strengths.
        force: whether a test metric may be used for selection; None if that cannot be requested.
        section: of the keys, such as ``study.``.

    Raises:
        ConfigError: names the key.
    """
    Nullable(DIRECTION).check(f"{section}direction", direction)
    if select_by is not None and select_by.startswith(TEST_PARTS) and not force:
        alternative = "" if force is None else ", or set force=true"
        counterparts = " or ".join(name for name in validation_counterparts(select_by) if name in CHOOSING)
        raise ConfigError(
            Setting(f"{section}select_by", select_by),
            "a test metric must not be used for selection",
            f"use {counterparts}{alternative}",
        )
