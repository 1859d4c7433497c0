"""Layers of a model by role: activations, feature maps, parts of decoders, layers that draw random numbers."""

from typing import Any

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

from reglab.compat import torch as torch_compat
from reglab.compat.torch import DropoutNd, parameter_dict
from reglab.regularizers.base import NORMALIZATIONS

_LIBRARY = "transformers.activations"  # module of activation classes, not imported here
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
    """Return the `batch_first` that a layer declares; None if it declares none."""
    if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        module = module.self_attn  # these layers keep the argument nowhere else
    declared = getattr(module, "batch_first", None)
    return declared if isinstance(declared, bool) else None


def batch_axes(model: nn.Module) -> dict[nn.Module, int]:
    """Return the axis of examples in the outputs of all modules inside a layer that declares `batch_first`."""
    axes: dict[nn.Module, int] = {}
    for outer in model.modules():  # from the outside in: the innermost declaration applies
        declared = batch_first(outer)
        if declared is not None:
            axes |= dict.fromkeys(outer.modules(), 0 if declared else 1)
    return axes


def hidden_activations(model: nn.Module) -> dict[str, nn.Module]:
    """Return activation modules by name, except one at the end of the model, which computes the output.

    The end of an nn.Sequential is its last module, that of another module its last child with parameters: for a
    LightningModule the network, and not its loss or metrics.
    """
    last: nn.Module | None = model
    while isinstance(last, nn.Module) and any(last.children()):
        parts = list(last.children())
        if not isinstance(last, nn.Sequential):
            parts = [part for part in parts if any(True for _ in part.parameters())]
        last = parts[-1] if parts else None
    return {name: m for name, m in model.named_modules() if _is_activation(m) and m is not last}


def _is_activation(module: nn.Module) -> bool:
    """Return whether a module is a known activation or declares ``is_activation = True``, as recurrent layers here."""
    declared = getattr(module, "is_activation", False)
    return isinstance(module, ACTIVATIONS) or type(module).__module__ == _LIBRARY or declared is True


def map_activations(model: nn.Module) -> dict[str, tuple[nn.Module, nn.Module]]:
    """Return hidden activations of convolutions by name, each with its convolution.

    An activation belongs to a convolution that is the last layer with weights before it, apart from normalizations, in
    the order of ``model.named_modules()``.
    """
    hidden, convolution = hidden_activations(model), None
    activations: dict[str, tuple[nn.Module, nn.Module]] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, torch_compat.ConvNd):
            convolution = layer
        elif _has_weights(layer):
            convolution = None
        elif name in hidden and convolution is not None:
            activations[name] = (layer, convolution)
    return activations


def _has_weights(layer: nn.Module) -> bool:
    """Return whether a layer has weights; those of a parametrization belong to the layer around it."""
    weights = (weight for weight in torch_compat.parameter_dict(layer).values() if weight is not None)
    return not isinstance(layer, (*NORMALIZATIONS, ParametrizationList)) and any(weight.ndim > 1 for weight in weights)


def attentions(model: nn.Module) -> dict[str, nn.Module]:
    """Return the self-attention of every block, by name, from class names such as ``LlamaAttention``."""
    return _outermost(model, _ATTENTION)


def feed_forwards(model: nn.Module) -> dict[str, nn.Module]:
    """Return the feed-forward layers of every block, by name, from class names such as ``LlamaMLP``."""
    return _outermost(model, _FEED_FORWARD)


def last_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return the last layer with a weight matrix of every feed-forward block, by name: its inputs are hidden units."""
    last = {}
    for name, block in feed_forwards(model).items():
        layers = [(f"{name}.{inner}", layer) for inner, layer in block.named_modules() if _has_matrix(layer)]
        if len(layers) > 1:
            last[layers[-1][0]] = layers[-1][1]
    return last


def embeddings(model: nn.Module) -> dict[str, nn.Module]:
    """Return the embedding of tokens, by name: ``model.get_input_embeddings()``, or else the first nn.Embedding."""
    getter: Any = getattr(model, "get_input_embeddings", None)
    declared = getter() if callable(getter) else None
    modules: list[tuple[str, nn.Module]] = list(model.named_modules())
    if declared is None:
        return dict([pair for pair in modules if isinstance(pair[1], nn.Embedding)][:1])
    return dict([pair for pair in modules if pair[1] is declared][:1])


def _outermost(model: nn.Module, endings: tuple[str, ...]) -> dict[str, nn.Module]:
    outermost: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        inside = any(name.startswith(f"{outer}.") for outer in outermost)
        if type(module).__name__.endswith(endings) and module is not model and not inside:
            outermost[name] = module
    return outermost


def _has_matrix(layer: nn.Module) -> bool:
    weight = parameter_dict(layer).get("weight")
    return weight is not None and weight.ndim == 2


def random_layers(model: nn.Module) -> dict[str, str]:
    """Return the modules that draw random numbers in training: name to ``p=0.1``.

    Dropout of all kinds with p above 0, also of other packages by class name (DropPath, StochasticDepth), and modules
    with a probability in an attribute whose name contains "drop" (attention, recurrent layers, decoder blocks). Draws
    in a forward method are not detected.
    """
    draws = {name: _describe_draws(module) for name, module in model.named_modules()}
    return {name: description for name, description in draws.items() if description}


def _describe_draws(module: nn.Module) -> str:
    """Return the probabilities with which a module draws random numbers; empty if it draws none."""
    if isinstance(module, nn.RReLU):
        return "random slopes"
    kind = type(module).__name__.lower()
    if isinstance(module, DropoutNd) or "drop" in kind or "stochastic" in kind:
        p = getattr(module, "p", getattr(module, "drop_prob", None))
        if p is not None:
            return f"p={p:g}" if p > 0 else ""
        if next(module.parameters(), None) is None:  # a network may be named NoDropout
            return "unknown p"
    probabilities = {
        key: value for key, value in vars(module).items() if "drop" in key.lower() and isinstance(value, float)
    }
    return ", ".join(f"{key}={value:g}" for key, value in probabilities.items() if value > 0)
