"""Attention dropout: attention weights are set to zero at random."""

from typing import Any, ClassVar

from torch import nn

from reglab.regularizers._layers import attentions
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import probability

_PROBABILITY_NAMES = ("attention_dropout", "attn_dropout", "dropout", "dropout_p")


class AttentionDropout(Regularizer):
    """Dropout with probability p on attention weights, after the softmax.

    Applied by the attention of the model, with any kernel: before each training pass its dropout probability is set (a
    number or a dropout layer called ``attention_dropout``, ``attn_dropout``, ``dropout`` or ``dropout_p``). At p = 0
    the original probability is kept. Vaswani et al. 2017, "Attention Is All
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
        "it needs attention with a dropout probability, as in model=transformer_encoder and model=llama"
    )

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._handles: list[Any] = []
        # Attention module to the module and the attribute of its probability, and the original value.
        self._settings: dict[nn.Module, tuple[nn.Module, str, float]] = {}

    def attach(self, model: nn.Module) -> list[str]:
        for handle in self._handles:
            handle.remove()
        self._settings = {}
        names = []
        for name, attention in attentions(model).items():
            if (setting := _probability_of(attention)) is not None:
                self._settings[attention] = setting
                names.append(name)
        self._handles = [attention.register_forward_pre_hook(self._set_probability) for attention in self._settings]
        return names

    def _set_probability(self, attention: nn.Module, inputs: tuple[Any, ...]) -> None:
        module, name, original = self._settings[attention]
        setattr(module, name, (float(self.p) if attention.training else 0.0) or original)


def _probability_of(attention: nn.Module) -> tuple[nn.Module, str, float] | None:
    """Return the module and the name of the dropout probability of an attention module, and its value."""
    for name in _PROBABILITY_NAMES:
        value = getattr(attention, name, None)
        if isinstance(value, nn.Dropout):
            return value, "p", value.p
        if isinstance(value, int | float) and not isinstance(value, bool):
            return attention, name, float(value)
    return None
