"""Feed-forward dropout: hidden units of the feed-forward layers are left out."""

from typing import Any, ClassVar

from torch import nn

from reglab.regularizers._activation_noise import DecoderNoise
from reglab.regularizers._layers import last_layers
from reglab.regularizers.dropout import dropped
from reglab.schema.strength import probability


class FeedForwardDropout(DecoderNoise):
    """Dropout with probability p on the hidden units of every block's feed-forward layers, before the last of these.

    With SwiGLU that is the product of gate and value, as Llama has it. The ``relu_dropout`` of tensor2tensor's
    Transformer; Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.05, 0.5, effect="noisy activations")
    requires: ClassVar = "blocks"
    requirement: ClassVar = (
        "it needs feed-forward layers of two weight matrices or more, as model=transformer_encoder and model=llama have"
    )

    def attach(self, model: nn.Module) -> list[str]:
        for handle in self._handles:
            handle.remove()
        layers = last_layers(model)
        self._handles = [layer.register_forward_pre_hook(self._drop) for layer in layers.values()]
        return list(layers)

    def _drop(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (dropped(inputs[0], self.p), *inputs[1:]) if layer.training else inputs
