"""Layers of a model by role: activations, feature maps, parts of decoders, layers that draw random numbers."""

from typing import Any

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from reglab.compat import torch as private
from reglab.compat.torch import DropoutNd, parameter_dict
from reglab.regularizers.base import NORMALIZATIONS

_LIBRARY = "transformers.activations"  # whose classes are of many names, and none is imported here
_ATTENTION = ("Attention",)  # endings of class names
_FEED_FORWARD = ("MLP", "FeedForward", "FFN")

ACTIVATIONS = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.ReLU6,
    nn.Hardswish,
    nn.Softplus,
    nn.Tanh,
    nn.Sigmoid,
)


def batch_first(module: nn.Module) -> bool | None:
    """What a layer declares of its outputs: (batch, length, ...) or (length, batch, ...); None: nothing."""
    if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        module = module.self_attn
    declared = getattr(module, "batch_first", None)
    return declared if isinstance(declared, bool) else None


def batch_axes(model: nn.Module) -> dict[nn.Module, int]:
    """The axis of the examples in the outputs of modules that are, or lie in, a layer that declares `batch_first`."""
    found: dict[nn.Module, int] = {}
    for outer in model.modules():  # from the outside in: what lies nearer decides
        declared = batch_first(outer)
        if declared is not None:
            found |= dict.fromkeys(outer.modules(), 0 if declared else 1)
    return found


def hidden_activations(model: nn.Module) -> dict[str, nn.Module]:
    """Activation modules by name, without the one that the model ends on: that is the output.

    A chain ends on its last module, anything else on its last part with weights: a LightningModule on its network,
    and not on the loss and the metrics that it holds beside it.
    """
    last: nn.Module | None = model
    while isinstance(last, nn.Module) and any(last.children()):
        parts = list(last.children())
        if not isinstance(last, nn.Sequential):
            parts = [part for part in parts if any(True for _ in part.parameters())]
        last = parts[-1] if parts else None
    return {name: m for name, m in model.named_modules() if _is_activation(m) and m is not last}


def _is_activation(module: nn.Module) -> bool:
    """Known as one, or saying so of itself: a layer may end on an activation, as a recurrent one does."""
    own = getattr(module, "is_activation", False)
    return isinstance(module, ACTIVATIONS) or type(module).__module__ == _LIBRARY or own is True


def map_activations(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Hidden activations of convolutions by name, each with the convolution: the last layer with weights before it.

    "Before" is the order in which the model holds its layers. Normalizations in between do not count.
    """
    hidden, before = hidden_activations(model), None
    found: dict[str, tuple[nn.Module, nn.Module]] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, private.ConvNd):
            before = layer
        elif _has_weights(layer):
            before = None
        elif name in hidden and before is not None:
            found[name] = (layer, before)
    return found


def _has_weights(layer: nn.Module) -> bool:
    """Return a layer's weights without gains and biases; those of a parametrization belong to the layer around it."""
    weights = (weight for weight in private.parameter_dict(layer).values() if weight is not None)
    return not isinstance(layer, (*NORMALIZATIONS, ParametrizationList)) and any(weight.ndim > 1 for weight in weights)


def attentions(model: nn.Module) -> dict[str, nn.Module]:
    """Self-attention of every block, by name."""
    return _outermost(model, _ATTENTION)


def feed_forwards(model: nn.Module) -> dict[str, nn.Module]:
    """The feed-forward layers of every block, by name."""
    return _outermost(model, _FEED_FORWARD)


def last_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Of every block's feed-forward layers the last one with a weight matrix, by name: its inputs are hidden units."""
    found = {}
    for name, block in feed_forwards(model).items():
        layers = [(f"{name}.{inner}", layer) for inner, layer in block.named_modules() if _has_matrix(layer)]
        if len(layers) > 1:
            found[layers[-1][0]] = layers[-1][1]
    return found


def embeddings(model: nn.Module) -> dict[str, nn.Module]:
    """The embedding of tokens, by name: what the model itself says it is, else its first embedding."""
    own: Any = getattr(model, "get_input_embeddings", None)
    said = own() if callable(own) else None
    modules: list[tuple[str, nn.Module]] = list(model.named_modules())
    found = (pair for pair in modules if pair[1] is said or (said is None and isinstance(pair[1], nn.Embedding)))
    return dict(list(found)[:1])


def _outermost(model: nn.Module, endings: tuple[str, ...]) -> dict[str, nn.Module]:
    found: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in found)
        if type(module).__name__.endswith(endings) and module is not model and not inside:
            found[name] = module
    return found


def _has_matrix(layer: nn.Module) -> bool:
    weight = parameter_dict(layer).get("weight")
    return weight is not None and weight.ndim == 2


def random_layers(model: nn.Module) -> dict[str, str]:
    """Return the modules that draw random numbers in training: name to ``p=0.1``.

    Dropout of all kinds with p above 0, also of other packages by class name (DropPath, StochasticDepth), and modules
    with a probability in an attribute whose name contains "drop" (attention, recurrent layers, decoder blocks). Draws
    in a forward method are not detected.
    """
    found = {name: _drawn(module) for name, module in model.named_modules()}
    return {name: drawn for name, drawn in found.items() if drawn}


def _drawn(module: nn.Module) -> str:
    if isinstance(module, nn.RReLU):
        return "random slopes"
    kind = type(module).__name__.lower()
    if isinstance(module, DropoutNd) or "drop" in kind or "stochastic" in kind:
        p = getattr(module, "p", getattr(module, "drop_prob", None))
        if p is not None:
            return f"p={p:g}" if p > 0 else ""
        if next(module.parameters(), None) is None:  # a network may be named NoDropout
            return "unknown p"
    own = {key: value for key, value in vars(module).items() if "drop" in key.lower() and isinstance(value, float)}
    return ", ".join(f"{key}={value:g}" for key, value in own.items() if value > 0)
