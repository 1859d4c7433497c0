"""Residual dropout: outputs of blocks are set to zero at random before they are added to the residual stream."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._activation_noise import DecoderNoise
from reglab.regularizers._layers import attentions, feed_forwards
from reglab.regularizers.dropout import dropped
from reglab.schema.strength import probability


class ResidualDropout(DecoderNoise):
    """Dropout with probability p on the outputs of attention and of the feed-forward layers, before they are added.

    Vaswani et al. 2017, "Attention Is All You Need", section 5.4; the ``resid_pdrop`` of GPT-2.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.05, 0.5, effect="noisy residual stream")
    requires: ClassVar = "blocks"
    requirement: ClassVar = (
        "it needs attention and feed-forward layers, as in model=transformer_encoder and model=llama"
    )

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        return {**attentions(model), **feed_forwards(model)}

    def noisy(self, values: Tensor) -> Tensor:
        return dropped(values, self.p)
