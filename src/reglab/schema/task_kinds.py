"""All kinds of tasks. Their losses are in `reglab.tasks`, their metrics in `reglab.schema.metrics`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reglab.schema.constraints import POSITIVE, Constraint, ListOf, OneOf, Satisfies

# Features of a kind of task, which models and regularizers require (`requires_task`).
NUMERIC_INPUTS = "numeric inputs"
"""Inputs are numbers, which can be perturbed and averaged."""
TOKENS = "tokens"
"""Inputs are token ids; each position has its outputs."""
SOFTMAX_OUTPUTS = "softmax outputs"
"""Outputs are logits of one distribution over classes, for each example or position."""
CLASS_LABELS = "class labels"
"""Each example has one class, so that splits can be stratified and labels replaced."""
NUMBER_TARGETS = "number targets"
"""The target of each example is one number."""
SCALED_TARGETS = "scaled targets"
"""Targets may be standardized: the outputs are then in standard deviations from the mean."""
LABEL_SETS = "label sets"
"""Each example has any number of labels: a 0 or 1 for each of several columns."""


@dataclass(frozen=True)
class TaskKind:
    """Declaration of a kind of task.

    Args:
        name: name in tags, configs and messages.
        features: features of the kind, from the constants above.
        task: class of `reglab.tasks`, with its module.
        metric: measured on each part of the data, and the default ``metric`` of comparisons on the test part.
        choose_by: metric on the validation part that chooses the best run of an experiment.
        outputs: what an exported model returns, in words.
        options: keys of the config's section `task` that the kind has; null is the default.
    """

    name: str
    features: frozenset[str]
    task: str
    metric: str
    choose_by: str
    outputs: str
    options: Mapping[str, Constraint] = field(default_factory=dict)


CLASSIFICATION = TaskKind(
    "classification",
    frozenset({NUMERIC_INPUTS, SOFTMAX_OUTPUTS, CLASS_LABELS}),
    task="reglab.tasks.classification.Classification",
    metric="accuracy",
    choose_by="accuracy",
    outputs="probabilities of the classes",
    options={
        "class_weights": Satisfies(
            lambda v: v == "balanced" or ListOf(POSITIVE, 2).accepts(v),
            "balanced, or a list with a number above 0 for each class",
        )
    },
)
REGRESSION = TaskKind(
    "regression",
    frozenset({NUMERIC_INPUTS, NUMBER_TARGETS, SCALED_TARGETS}),
    task="reglab.tasks.regression.Regression",
    metric="rmse",
    choose_by="rmse",
    outputs="the target in its own units",
    options={"loss": OneOf("squared", "absolute", "huber"), "huber_delta": POSITIVE},
)
MULTILABEL = TaskKind(
    "multi-label classification",
    frozenset({NUMERIC_INPUTS, LABEL_SETS}),
    task="reglab.tasks.multilabel.Multilabel",
    metric="accuracy",
    choose_by="accuracy",
    outputs="probabilities of the labels",
)
LANGUAGE_MODELING = TaskKind(
    "language modeling",
    frozenset({TOKENS, SOFTMAX_OUTPUTS}),
    task="reglab.tasks.language_modeling.LanguageModeling",
    metric="perplexity",
    choose_by="bits_per_character",
    outputs="the continuation of a prompt, without the prompt",
)
TASK_KINDS = {kind.name: kind for kind in (CLASSIFICATION, REGRESSION, MULTILABEL, LANGUAGE_MODELING)}
"""All kinds by name."""
TASK_OPTIONS = {key: constraint for kind in TASK_KINDS.values() for key, constraint in kind.options.items()}
"""Constraints on the keys of the section `task`."""
TABLE_KINDS = tuple(kind.name for kind in TASK_KINDS.values() if NUMERIC_INPUTS in kind.features)
"""Kinds that a table or image data set may have (``data.kind``)."""


def features_of(kind: str) -> frozenset[str]:
    """Return the features of a kind by its name.

    >>> TOKENS in features_of("language modeling")
    True
    """
    return TASK_KINDS[kind].features


def kinds_with(features: Iterable[str]) -> list[str]:
    """Return the names of the kinds that have all of some features.

    >>> kinds_with([TOKENS])
    ['language modeling']
    """
    required = set(features)
    return [kind.name for kind in TASK_KINDS.values() if required <= kind.features]
