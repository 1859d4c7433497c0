"""Forward hooks that a method hangs on a model's layers, and what it may hang them on."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.rnn import PackedSequence

from reglab.compat import torch as private
from reglab.regularizers.base import NORMALIZATIONS
from reglab.schema.errors import ConfigError

_LIBRARY = "transformers.activations"  # whose classes are of many names, and none is imported here

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


class Hook(NamedTuple):
    """A forward hook of a module: the module's name, the dictionary of the hook, and its key there."""

    place: str
    hooks: dict[int, Any]
    key: int


def hooks_of(model: nn.Module) -> list[Hook]:
    """Return every forward hook of a model and of its parts, before and after the pass."""
    return [
        Hook(name, hooks, key)
        for name, part in model.named_modules()
        for hooks in private.forward_hooks(part)
        for key in hooks
    ]


def attached(regularizer: Any, model: nn.Module) -> list[str]:
    """Attach a regularizer and keep in its `hooks` those that it added; return the names of what it acts on."""
    known = {hook.key for hook in hooks_of(model)}
    names: list[str] = regularizer.attach(model)
    regularizer.hooks = [hook for hook in hooks_of(model) if hook.key not in known]
    torch.compiler.reset()  # modules and functions that were compiled before would go on without the new hooks
    return names


def is_compiled(model: nn.Module) -> bool:
    """Return whether ``torch.compile`` was applied to a module of the model or to a method of one."""
    return any(private.is_compiled(part) for part in model.modules())


def moved(handles: Iterable[Any], layers: Iterable[nn.Module], hook: Callable[..., Tensor]) -> list[Any]:
    """The hook on every layer, and the handles of an earlier attachment removed; returns the new handles.

    Args:
        handles: what an earlier call returned, or nothing.
        layers: each gets the hook once.
        hook: (layer, inputs, output) to the output to go on with. A bound method, so that a deep copy of model and
            regularizer together reads its own strengths.
    """
    for handle in handles:
        handle.remove()
    return [layer.register_forward_hook(hook) for layer in layers]


def values_of(output: Any, name: str) -> Tensor:
    """Return the first tensor of a layer's output, which has the values of recurrent layers and attention.

    Args:
        output: a tensor, a packed sequence, or a tuple that begins with one of them.
        name: of the layer.

    Raises:
        ConfigError: something else.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, PackedSequence):
        return output.data
    if isinstance(output, tuple) and output:
        return values_of(output[0], name)
    raise ConfigError(
        "model",
        f"{name} returns a {type(output).__name__}, in which no regularizer finds its values",
        "return a tensor, or a tuple that begins with it",
    )


def with_values(output: Any, values: Tensor) -> Any:
    """The same output with other values."""
    if isinstance(output, Tensor):
        return values
    if isinstance(output, PackedSequence):
        return output._replace(data=values)
    rest = (with_values(output[0], values), *output[1:])
    return type(output)(*rest) if hasattr(output, "_fields") else rest


def batch_first(module: nn.Module) -> bool | None:
    """What a layer declares of its outputs: (batch, length, ...) or (length, batch, ...); None: nothing."""
    if isinstance(module, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        module = module.self_attn
    declared = getattr(module, "batch_first", None)
    return declared if isinstance(declared, bool) else None


def rows_axes(model: nn.Module) -> dict[nn.Module, int]:
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
