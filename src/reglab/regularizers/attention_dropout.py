"""Attention dropout: places that a token would look at are left out."""

from typing import Any, ClassVar

from torch import nn

from reglab.regularizers._layers import attentions
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import probability

_HOLDERS = ("attention_dropout", "attn_dropout", "dropout", "dropout_p")


class AttentionDropout(Regularizer):
    """Dropout with probability p on the weights of attention, after the softmax.

    The model's own attention does it, whatever kernel that is: before each pass in training it is told the
    probability, where it has a place for one (a number, or a dropout layer, called ``attention_dropout``,
    ``attn_dropout`` or ``dropout``). At p = 0 it keeps what the model came with. Vaswani et al. 2017, "Attention Is All
    You Need"; ``attention_dropout`` in the transformers library.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.05, 0.3, effect="noisy attention")
    order: ClassVar = DROPOUT
    stochastic: ClassVar = True
    stackable: ClassVar = "kernels of attention take the probability as a plain number"
    requires: ClassVar = "blocks"
    requirement: ClassVar = (
        "it needs attention with a dropout of its own, as model=transformer_encoder and model=llama have it"
    )

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._handles: list[Any] = []
        self._holders: dict[nn.Module, tuple[nn.Module, str, float]] = {}  # of each: where its probability is, and was

    def attach(self, model: nn.Module) -> list[str]:
        for handle in self._handles:
            handle.remove()
        found = {name: (attention, _holder(attention)) for name, attention in attentions(model).items()}
        self._holders = {attention: holder for attention, holder in found.values() if holder is not None}
        self._handles = [attention.register_forward_pre_hook(self._tell) for attention in self._holders]
        return [name for name, (_, holder) in found.items() if holder is not None]

    def _tell(self, attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        holder, name, own = self._holders[attention]
        setattr(holder, name, (float(self.p) if attention.training else 0.0) or own)


def _holder(attention: nn.Module) -> tuple[nn.Module, str, float] | None:
    for name in _HOLDERS:
        value = getattr(attention, name, None)
        if isinstance(value, nn.Dropout):
            return value, "p", value.p
        if isinstance(value, int | float) and not isinstance(value, bool):
            return attention, name, float(value)
    return None
