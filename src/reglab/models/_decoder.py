"""What decoders of the transformers library need to be trained like any other network."""

from collections.abc import Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


def answers_with_logits(model: Model) -> Model:
    """The same model, which says logits (rows, length, tokens) where it is called with tokens (rows, length) alone.

    By a hook, so that the model keeps its class, the keys of its state dict and its own ways: called with keywords, as
    its ``generate`` does, it answers with an object as before.
    """
    model.register_forward_hook(_logits, with_kwargs=True)
    return model


def _logits(model: nn.Module, inputs: tuple[Any, ...], options: Mapping[str, Any], output: Any) -> Any:
    if options:
        return output
    logits: Tensor = output.logits
    return logits
