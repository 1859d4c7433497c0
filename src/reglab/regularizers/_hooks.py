"""Forward hooks on the layers of a model, and access to the values in layer outputs."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from reglab.compat import torch as torch_compat
from reglab.schema.errors import ConfigError


class Hook(NamedTuple):
    """A forward hook of a module: the module's name, the dictionary that contains the hook, and its key."""

    layer: str
    hooks: dict[int, Any]
    key: int


def hooks_of(model: nn.Module) -> list[Hook]:
    """Return all forward hooks and forward pre-hooks of a model and its submodules."""
    return [
        Hook(name, hooks, key)
        for name, part in model.named_modules()
        for hooks in torch_compat.forward_hooks(part)
        for key in hooks
    ]


def attach(regularizer: Any, model: nn.Module) -> list[str]:
    """Attach a regularizer, set its `hooks` to those that it added, and return the names of its layers or weights."""
    keys_before = {hook.key for hook in hooks_of(model)}
    names: list[str] = regularizer.attach(model)
    regularizer.hooks = [hook for hook in hooks_of(model) if hook.key not in keys_before]
    torch.compiler.reset()  # else compiled modules and functions would run without the new hooks
    return names


def is_compiled(model: nn.Module) -> bool:
    """Return whether ``torch.compile`` was applied to a module of the model or to a method of one."""
    return any(torch_compat.is_compiled(part) for part in model.modules())


def replace_hooks(handles: Iterable[Any], layers: Iterable[nn.Module], hook: Callable[..., Tensor]) -> list[Any]:
    """Remove the hooks of an earlier attachment and register a forward hook on each layer; return the new handles.

    Args:
        handles: returned by an earlier call, or empty.
        layers: without repetition.
        hook: (layer, inputs, output) to the new output. A bound method, so that a deep copy of model and regularizer
            together reads the strengths of the copy.
    """
    for handle in handles:
        handle.remove()
    return [layer.register_forward_hook(hook) for layer in layers]


def output_values(output: Any, name: str) -> Tensor:
    """Return the first tensor of a layer's output: its values, also for recurrent layers and attention.

    Args:
        output: a tensor, a packed sequence, or a tuple that begins with one of them.
        name: name of the layer, for the message.

    Raises:
        ConfigError: the output has another type.
    """
    if isinstance(output, Tensor):
        return output
    if isinstance(output, PackedSequence):
        return output.data
    if isinstance(output, tuple) and output:
        return output_values(output[0], name)
    raise ConfigError(
        "model",
        f"{name} returns a {type(output).__name__}, whose values regularizers cannot change",
        "return a tensor, or a tuple that begins with it",
    )


def replace_values(output: Any, values: Tensor) -> Any:
    """Return a layer's output with its first tensor replaced by `values`; see `output_values`."""
    if isinstance(output, Tensor):
        return values
    if isinstance(output, PackedSequence):
        return output._replace(data=values)
    replaced = (replace_values(output[0], values), *output[1:])
    return type(output)(*replaced) if hasattr(output, "_fields") else replaced
