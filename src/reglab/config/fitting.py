"""Whether regularizers and models fit the data and each other, as far as the config and the classes' source tell.

What they do not tell is found once data and model are built (`reglab.training.build`), and said in the same words.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from reglab.config.source import Unknown, declared, parameters
from reglab.schema.errors import ConfigError, Setting

EXAMPLES = {3: "images (channels, height, width)", 2: "signals (channels, length)", 1: "tables (features,)"}


def kind(data: Mapping[str, Any]) -> str | None:
    """The kind of task of a config's `data`, where the config alone tells; else the data is asked once it is loaded."""
    said = _said(data, "kind")
    return said or (data["kind"] if data.get("kind") in ("classification", "regression") else None)


def check_data(key: str, node: Mapping[str, Any], data: Mapping[str, Any], remedy: str) -> None:
    """Refuses a regularizer or model that is not for this kind of task, or for the shape of its examples and parts.

    Args:
        key: ``regularizer=cutmix`` or ``model=cnn``.
        node: its section of the config.
        data: that of the data.
        remedy: what to do instead.

    Raises:
        ConfigError: names the key and the data.
    """
    name = data.get("name") or "this data"
    task, kinds = kind(data), _said(node, "kinds")
    if task and kinds and task not in kinds:
        raise ConfigError(key, f"is for {' and '.join(kinds)}, and {name} is a {task} task", remedy)
    if data.get("val_fraction") == 0 and _said(node, "watches"):
        raise ConfigError(
            key,
            "acts on val/loss, and data.val_fraction=0 leaves no validation rows",
            "raise it, as in data.val_fraction=0.2",
        )
    if _said(data, "padded"):
        if _said(node, "counts_places"):
            raise ConfigError(moves_ends(key, str(name)))
        if key.startswith("model=") and _takes(node, "padded") is False:
            raise ConfigError(ignores_ends(key, str(name)))
    inputs = _said(node, "or_on_inputs")
    if task == "language modeling" and inputs and node.get(inputs):
        raise ConfigError(no_tokens(f"{key.replace('=', '.')}.{inputs}"))
    dims, wanted = _said(data, "dims"), _said(node, "dims")
    if dims and wanted and dims not in wanted:
        has = "texts (tokens,)" if task == "language modeling" else EXAMPLES[dims]
        raise ConfigError(wrong_examples(key, wanted, f"{name} has {has}", remedy))


def moves_ends(key: str, name: str) -> str:
    """One line for a regularizer that cannot act on sequences of different lengths."""
    return f"{key}: takes every place for a real one, and {name} has sequences that end early; leave it out"


def ignores_ends(key: str, name: str) -> str:
    """One line for a model that does not see where sequences end."""
    return (
        f"{key}: does not see where sequences end, and {name} has some of different lengths; use model=gru, cnn or "
        "transformer_encoder"
    )


def no_tokens(key: str) -> str:
    """One line for a strength that reckons with inputs, where these are tokens."""
    return f"{key}: tokens are numbers of words, which cannot be reckoned with; leave it at its off value"


def check_model(name: str, node: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Refuses a regularizer that finds nothing to act on in the model.

    Args:
        name: of the regularizer.
        node: its section of the config.
        model: that of the model.

    Raises:
        ConfigError: says what the model would have to have.
    """
    wanted, offers = _said(node, "acts_on"), _said(model, "offers")
    inputs = _said(node, "or_on_inputs")
    on_inputs = inputs and (node.get(inputs) or ((node.get("schedule") or {}).get(inputs) or {}).get("start"))
    if not wanted or offers is None or on_inputs:
        return
    if wanted not in offers or not model.get(offers[wanted], True):
        raise ConfigError(nothing_to_act_on(name, model, _said(node, "needs") or f"it needs {wanted}"))
    activation = _said(node, "activation")
    if activation and model.get("activation", activation) != activation:
        raise ConfigError(
            Setting("regularizer", name),
            f"is for {activation}, and this model has {model['activation']}",
            f"set model.activation={activation}",
        )


def check_passes(nodes: Mapping[str, Mapping[str, Any]], model: Mapping[str, Any]) -> None:
    """Refuses a method that compares passes where nothing in them is random.

    Args:
        nodes: sections of the strategy's regularizers, by name.
        model: that of the model; a foreign one may bring noise of its own.

    Raises:
        ConfigError: names the method, and what to add.
    """
    # A foreign model, or a key of ours that says dropout.
    own = not str(model["_target_"]).startswith("reglab.") or any("drop" in key and model[key] for key in model)
    noisy = own or any(_said(node, "random_forward") in (True, None) and _is_on(node) for node in nodes.values())
    for name, node in nodes.items():
        if not noisy and _said(node, "compares_passes"):
            raise ConfigError(passes_are_equal(name))


def passes_are_equal(name: str) -> str:
    """One line for a method that compares passes where nothing in them is random."""
    return (
        f"regularizer={name}: nothing makes two passes over a batch differ; add dropout: regularizer=[dropout,{name}]"
    )


def in_conflict(name: str, other: str, reason: str) -> str:
    """One line for two regularizers that cannot be combined."""
    return f"regularizer=[{name},{other}]: {reason}; choose one of them"


def check_accumulation(nodes: Mapping[str, Mapping[str, Any]], trainer: Mapping[str, Any]) -> None:
    """Refuses a method that goes through a step's batch twice where a step has several batches.

    Raises:
        ConfigError: names the method.
    """
    for name, node in nodes.items():
        if (trainer.get("accumulate_grad_batches") or 1) > 1 and _said(node, "accumulates") is False:
            raise ConfigError(one_batch_a_step(name))


def one_batch_a_step(name: str) -> str:
    """One line for a method that needs a step's batch whole."""
    return f"regularizer={name}: a second pass needs the whole batch; take accumulate_grad_batches=1"


def _is_on(node: Mapping[str, Any]) -> bool:
    off = _said(node, "off") or {}
    return not off or bool(node.get("schedule")) or any(node.get(key) != value for key, value in off.items())


def wrong_examples(key: str, dims: Iterable[int], got: str, remedy: str) -> str:
    """One line for examples of a shape that a regularizer or model is not for."""
    return f"{key}: is for {' or '.join(EXAMPLES[number] for number in dims)}, and {got}; {remedy}"


def nothing_to_act_on(name: str, model: Mapping[str, Any], needs: str) -> str:
    """One line for a regularizer without an effect."""
    where = f"model={model['name']}" if model.get("name") else "this model"
    return f"regularizer={name}: found nothing to act on in {where}; {needs}"


def _takes(node: Mapping[str, Any], argument: str) -> bool | None:
    """Whether the class of a section takes an argument; None where its source does not tell."""
    try:
        return argument in parameters(str(node["_target_"]))
    except Unknown:
        return None


def _said(node: Mapping[str, Any], variable: str) -> Any:
    """What the class of a section declares, or None where its source does not tell."""
    try:
        return declared(str(node["_target_"]), variable)
    except Unknown:
        return None
