"""Token dropout: whole tokens are left out of what a decoder reads."""

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import EmbeddingNoise
from reglab.regularizers.dropout import thinned
from reglab.schema.strength import probability


def thinned_tokens(embedded: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Tokens whose draw is below p become zero throughout, the others embedded / (1 - p); at p = 0 nothing changes.

    Args:
        embedded: (rows, length, units).
        draws: (rows, length), in [0, 1).
        p: 0-dim, at least 0 and below 1.
    """
    return thinned(embedded, draws.unsqueeze(-1), p)


class TokenDropout(EmbeddingNoise):
    """Leaves each token of the input out with probability p: its embedding becomes zero; targets stay.

    Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods for Text Classification" (word dropout); in
    decoders Bowman et al. 2016, "Generating Sentences from a Continuous Space", who put an unknown word there.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.02, 0.3, effect="dropped tokens")

    def noisy(self, values: Tensor) -> Tensor:
        return thinned_tokens(values, torch.rand(values.shape[:2], device=values.device), self.p)
