"""Feed-forward dropout: hidden units of feed-forward layers are set to zero at random."""

from typing import Any, ClassVar

from torch import nn

from reglab.regularizers._activation_noise import DecoderNoise
from reglab.regularizers._layers import last_layers
from reglab.regularizers.dropout import dropped
from reglab.schema.strength import probability


class FeedForwardDropout(DecoderNoise):
    """Dropout with probability p on the hidden units of every feed-forward block, before its last layer.

    With SwiGLU these are the products of gate and value, as in Llama. The ``relu_dropout`` of tensor2tensor's
    Transformer; Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.05, 0.5, effect="noisy activations")
    requires: ClassVar = "blocks"
    requirement: ClassVar = (
        "it needs feed-forward layers with two weight matrices or more, as in model=transformer_encoder and model=llama"
    )

    def attach(self, model: nn.Module) -> list[str]:
        for handle in self._handles:
            handle.remove()
        layers = last_layers(model)
        self._handles = [layer.register_forward_pre_hook(self._drop) for layer in layers.values()]
        return list(layers)

    def _drop(self, layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (dropped(inputs[0], self.p), *inputs[1:]) if layer.training else inputs
