"""Forward hooks that a method hangs on a model's layers, and what it may hang them on."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from reglab.compat import torch as private
from reglab.schema.errors import ConfigError


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


def attach(regularizer: Any, model: nn.Module) -> list[str]:
    """Attach a regularizer and keep in its `hooks` those that it added; return the names of what it acts on."""
    known = {hook.key for hook in hooks_of(model)}
    names: list[str] = regularizer.attach(model)
    regularizer.hooks = [hook for hook in hooks_of(model) if hook.key not in known]
    torch.compiler.reset()  # modules and functions that were compiled before would go on without the new hooks
    return names


def is_compiled(model: nn.Module) -> bool:
    """Return whether ``torch.compile`` was applied to a module of the model or to a method of one."""
    return any(private.is_compiled(part) for part in model.modules())


def replace_hooks(handles: Iterable[Any], layers: Iterable[nn.Module], hook: Callable[..., Tensor]) -> list[Any]:
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


def output_values(output: Any, name: str) -> Tensor:
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
        return output_values(output[0], name)
    raise ConfigError(
        "model",
        f"{name} returns a {type(output).__name__}, in which no regularizer finds its values",
        "return a tensor, or a tuple that begins with it",
    )


def replace_values(output: Any, values: Tensor) -> Any:
    """The same output with other values."""
    if isinstance(output, Tensor):
        return values
    if isinstance(output, PackedSequence):
        return output._replace(data=values)
    rest = (replace_values(output[0], values), *output[1:])
    return type(output)(*rest) if hasattr(output, "_fields") else rest
