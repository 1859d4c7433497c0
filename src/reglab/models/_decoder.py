"""Adapter for decoders of the transformers library."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def return_logits(model: Model) -> Model:
    """Make the model return logits (rows, length, tokens) when called with tokens (rows, length) only; return it.

    Implemented by a hook, which keeps the class and the state dict keys. Called with keyword arguments, as by
    ``generate``, the model returns an output object as before.
    """
    model.register_forward_hook(_logits, with_kwargs=True)
    return model


def _logits(model: nn.Module, inputs: tuple[Any, ...], options: Mapping[str, Any], output: Any) -> Any:
    if options:
        return output
    logits: Tensor = output.logits
    return logits
