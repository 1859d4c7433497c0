"""Check that regularizers, model and data fit each other, as far as the config and the declarations of classes show.

Other conflicts are detected when data and model are built (`reglab.training.build`), and raise the same errors.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reglab.schema import index
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.index import Declaration
from reglab.schema.metrics import TEST_PARTS, kinds_of, label_of, metric_label
from reglab.schema.task_kinds import MULTILABEL, TASK_KINDS, TOKENS, kinds_with
from reglab.schema.text import join_names, join_options

EXAMPLES = {3: "images (channels, height, width)", 2: "signals (channels, length)", 1: "table rows (features,)"}
_PARTS = {"test_fraction": TEST_PARTS, "val_fraction": ("val/", "best/val/")}  # metrics by the fraction they need

Node = Mapping[Any, Any]


def declared(section: str, node: Node) -> Declaration:
    """Return the declaration of the class of a section, such as ``regularizer.l1``.

    Raises:
        ConfigError: there is no such class.
    """
    return index.declaration(str(node["_target_"]), f"{section}._target_")


def task_kind(data: Node) -> str | None:
    """Return the kind of task of a config's `data`; None if only the loaded data shows it."""
    kind: str | None = declared("data", data).get("kind") or data.get("kind")
    if kind in TASK_KINDS:
        return kind
    return MULTILABEL.name if len(_as_list(data.get("target"))) > 1 else None


def _tracked_labels(target: Any) -> list[str]:
    return [metric_label(str(label)) for label in _as_list(target)]


def _as_list(target: Any) -> list[Any]:
    """Return the target columns of a config."""
    return list(target) if isinstance(target, Sequence) and not isinstance(target, str) else [target]


def check_data(where: Setting, node: Node, data: Node, remedy: str) -> None:
    """Refuse a regularizer or model that does not fit the kind of task, or the shape of the examples.

    Args:
        where: such as ``regularizer=cutmix`` or ``model=cnn``.
        node: section of the config.
        data: section `data` of the config.
        remedy: remedy in the error.

    Raises:
        ConfigError: names the setting and the data.
    """
    name = str(data.get("name") or "this data")
    declaration = declared(where.key if where.key == "model" else f"{where.key}.{where.value}", node)
    kind, data_declaration = task_kind(data), declared("data", data)
    check_task(where, declaration.get("requires_task", ()), kind, name, remedy)
    if data.get("val_fraction") == 0 and declaration.get("monitors_validation"):
        raise ConfigError(
            where,
            f"acts on {node.get('monitor') or 'val/loss'}, and data.val_fraction=0 leaves no validation rows",
            "raise it, as in data.val_fraction=0.2",
        )
    labels = _as_list(data.get("target")) if kind == MULTILABEL.name else ()
    check_monitor(where, node.get("monitor"), kind, name, labels)
    if data_declaration.get("padded"):
        if not declaration.get("supports_padding", True):
            raise padding_error(where, name)
        if where.key == "model" and declaration.parameters is not None and "padded" not in declaration.parameters:
            raise model_padding_error(where, name)
    for key in _on_inputs(declaration):
        if kind is not None and TOKENS in TASK_KINDS[kind].features and node.get(key):
            raise tokens_error(f"{where.key}.{where.value}.{key}")
    dims, accepted = data_declaration.get("dims"), declaration.get("input_dims")
    if dims and accepted and dims not in accepted:
        has = "texts (tokens,)" if kind is not None and TOKENS in TASK_KINDS[kind].features else EXAMPLES[dims]
        raise example_shape_error(where, accepted, f"the examples of {name} are {has}", remedy)


def check_monitor(where: Setting, monitor: str | None, kind: str | None, name: str, labels: Sequence[Any] = ()) -> None:
    """Refuse a monitored metric that the task does not have.

    Args:
        where: ``regularizer=NAME``.
        monitor: tracked name; None: the loss.
        kind: kind of the task; None: not known yet, so that the check passes.
        name: name of the data set.
        labels: labels of a multi-label classification; empty: not known yet, so that the check passes.

    Raises:
        ConfigError: names the metric, and the kinds or labels that have it.
    """
    if monitor is None:
        return
    key, kinds = Setting(f"{where.key}.{where.value}.monitor", monitor), kinds_of(monitor)
    if kinds and kind is not None and kind not in kinds:
        raise ConfigError(key, f"is for {join_names(kinds)}, and {name} is a {kind} task", "choose another metric")
    if labels:
        _check_label(key, [labels], name)


def _check_label(where: Setting, targets: Sequence[Any], name: str) -> None:
    """Refuse a metric of a label that none of the targets has; None is a target that is not known yet.

    Raises:
        ConfigError: names the label and those that the first target has.
    """
    label = label_of(str(where.value))
    if label is None or any(target is None or label in _tracked_labels(target) for target in targets):
        return
    known = join_options(_tracked_labels(targets[0]))
    raise ConfigError(where, f"{label} is not a label of {name}", f"name one of {known}")


def check_task(where: Setting, required: Iterable[str], kind: str | None, name: str, remedy: str) -> None:
    """Refuse a class whose required features the kind of task does not have.

    Args:
        where: the setting.
        required: constants of `reglab.schema.task_kinds`.
        kind: kind of the task; None: not known yet, so that the check passes.
        name: name of the data set.
        remedy: remedy in the error.

    Raises:
        ConfigError: names the kinds that have them.
    """
    if kind is not None and not set(required) <= TASK_KINDS[kind].features:
        kinds = join_names(kinds_with(required))
        raise ConfigError(where, f"is for {kinds}, and {name} is a {kind} task", remedy)


def check_metric(where: Setting, data: Sequence[Node]) -> None:
    """Refuse a metric that none of the given runs tracks.

    Args:
        where: such as ``metric=test/rmse``.
        data: sections of the runs' configs.

    Raises:
        ConfigError: a metric of another kind of task, or of a part without rows.
    """
    metric = str(where.value)
    kinds = {task_kind(node) for node in data}
    kinds_with_metric = kinds_of(metric)
    if kinds_with_metric and None not in kinds and kinds.isdisjoint(kinds_with_metric):
        problem = f"is for {join_names(kinds_with_metric)}, and these runs are {join_names(sorted(map(str, kinds)))}"
        raise ConfigError(where, problem, "choose another")
    _check_label(where, [node.get("target") for node in data], "these runs")
    for fraction, prefixes in _PARTS.items():
        if metric.startswith(prefixes) and all(node.get(fraction) == 0 for node in data):
            raise ConfigError(where, f"data.{fraction}=0 leaves no rows to measure it on", "raise it")


def check_task_options(options: Node, kind: str | None, name: str) -> None:
    """Refuse an option of the task that its kind does not have.

    Args:
        options: the section `task`; null is the default.
        kind: kind of the task; None if it is not known yet, which disables the check.
        name: name of the data set.

    Raises:
        ConfigError: names the option, and the kinds that have it.
    """
    for key, value in options.items():
        if value is None:
            continue
        kinds = [name_of_kind for name_of_kind, task in TASK_KINDS.items() if key in task.options]
        if kind is not None and kind not in kinds:
            where = Setting(f"task.{key}", value)
            raise ConfigError(where, f"is for {join_names(kinds)}, and {name} is a {kind} task", "leave it out")
    if options.get("huber_delta") is not None and options.get("loss") != "huber":
        raise ConfigError(
            Setting("task.huber_delta", options["huber_delta"]), "is for the Huber loss", "set task.loss=huber"
        )


def check_class_weights(options: Node, nodes: Mapping[str, Node]) -> None:
    """Refuse class weights together with a regularizer that changes the unweighted cross entropy.

    Raises:
        ConfigError: names the regularizer.
    """
    for name, node in nodes.items() if options.get("class_weights") is not None else ():
        if declared(f"regularizer.{name}", node).get("changes_cross_entropy"):
            raise ConfigError(
                Setting("regularizer", name),
                "changes the unweighted cross entropy, and task.class_weights weights it",
                "leave out one of them",
            )


def check_model(where: Setting, node: Node, model: Node) -> None:
    """Refuse a regularizer that has nothing to act on in the model.

    Args:
        where: ``regularizer=NAME``.
        node: section of the config.
        model: section `model` of the config.

    Raises:
        ConfigError: names the feature that the model lacks.
    """
    declaration = declared(f"{where.key}.{where.value}", node)
    required, provided = declaration.get("requires"), declared("model", model).get("provides")
    if not required or provided is None or any(_is_used(node, key) for key in _on_inputs(declaration)):
        return
    if required not in provided or not model.get(provided[required], True):
        raise nothing_to_act_on_error(str(where.value), model, declaration.get("requirement"))
    activation = declaration.get("required_activation")
    if activation and model.get("activation", activation) != activation:
        raise ConfigError(
            where,
            f"is for {activation}, and this model has {model['activation']}",
            f"set model.activation={activation}",
        )


def check_passes(nodes: Mapping[str, Node], model: Node) -> None:
    """Refuse a method that compares two passes if nothing in them is random.

    Args:
        nodes: sections of the strategy's regularizers, by name.
        model: section `model` of the config; a class that declares `stochastic`, or is not reglab's, may draw random
            numbers itself.

    Raises:
        ConfigError: names the method and the remedy.
    """
    foreign = not str(model["_target_"]).startswith("reglab.")
    may_draw = foreign or declared("model", model).get("stochastic", False)
    declarations = {name: declared(f"regularizer.{name}", node) for name, node in nodes.items()}
    random = any(
        declaration.get("stochastic", True) and is_on(declaration, nodes[name])
        for name, declaration in declarations.items()
    )
    for name, declaration in declarations.items():
        if not (may_draw or random) and declaration.get("compares_passes"):
            raise equal_passes_error(name)


def check_conflicts(nodes: Mapping[str, Node]) -> None:
    """Refuse two regularizers of which one declares that it cannot be combined with the other.

    Args:
        nodes: sections of the strategy's regularizers, by name.

    Raises:
        ConfigError: names both.
    """
    for name in sorted(nodes):
        for other, reason in declared(f"regularizer.{name}", nodes[name]).get("conflicts", {}).items():
            if other in nodes:
                raise conflict_error(name, other, reason)


def check_accumulation(nodes: Mapping[str, Node], trainer: Node) -> None:
    """Refuse a method that goes through a step's batch twice if a step has several batches.

    Raises:
        ConfigError: names the method.
    """
    for name, node in nodes.items():
        several = (trainer.get("accumulate_grad_batches") or 1) > 1
        if several and not declared(f"regularizer.{name}", node).get("supports_accumulation", True):
            raise accumulation_error(name)


def is_on(declaration: Declaration, node: Node) -> bool:
    """Return whether a regularizer is on: a strength differs from its off value or has a schedule."""
    off = {name: strength.off for name, strength in declaration.strengths.items() if strength.off is not None}
    return not off or bool(node.get("schedule")) or any(node.get(key) != value for key, value in off.items())


def _on_inputs(declaration: Declaration) -> list[str]:
    return [name for name, strength in declaration.strengths.items() if strength.on_inputs]


def _is_used(node: Node, key: str) -> bool:
    scheduled = (node.get("schedule") or {}).get(key) or {}
    return bool(node.get(key) or scheduled.get("start"))


def padding_error(where: Setting, name: str) -> ConfigError:
    """Return the error for a regularizer that cannot act on sequences of different lengths."""
    return ConfigError(
        where, f"does not support padding, and {name} has sequences of different lengths", "leave it out"
    )


def model_padding_error(where: Setting, name: str) -> ConfigError:
    """Return the error for a model that cannot read sequences of different lengths, with those that can."""
    supporting = [
        option for option, declaration in index.options("model").items() if "padded" in (declaration.parameters or ())
    ]
    return ConfigError(
        where,
        f"does not support padding, and {name} has sequences of different lengths",
        f"use model={join_options(supporting)}",
    )


def tokens_error(key: str) -> ConfigError:
    """Return the error for a strength that perturbs inputs if these are tokens."""
    return ConfigError(key, "token ids cannot be perturbed", "leave it at its off value")


def equal_passes_error(name: str) -> ConfigError:
    """Return the error for a method that compares two passes if nothing in them is random."""
    return ConfigError(
        Setting("regularizer", name),
        "two passes over a batch would be equal, since nothing in them is random",
        f"add dropout: regularizer=[dropout,{name}]",
    )


def conflict_error(name: str, other: str, reason: str) -> ConfigError:
    """Return the error for two regularizers that cannot be combined."""
    return ConfigError(Setting("regularizer", f"[{name},{other}]"), reason, "choose one of them")


def accumulation_error(name: str) -> ConfigError:
    """Return the error for a method that needs all of a step's examples in one batch."""
    return ConfigError(
        Setting("regularizer", name), "a second pass needs the whole batch", "set accumulate_grad_batches=1"
    )


def example_shape_error(where: Setting, dims: Iterable[int], got: str, remedy: str) -> ConfigError:
    """Return the error for examples of a shape that a regularizer or model does not support."""
    return ConfigError(where, f"is for {' or '.join(EXAMPLES[number] for number in dims)}, and {got}", remedy)


def nothing_to_act_on_error(name: str, model: Node, requirement: str) -> ConfigError:
    """Return the error for a regularizer without an effect on the model."""
    which = f"model={model['name']}" if model.get("name") else "this model"
    return ConfigError(Setting("regularizer", name), f"has nothing to act on in {which}", requirement)
