"""Token dropout: embeddings of whole tokens are set to zero at random."""

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import EmbeddingNoise
from reglab.regularizers.dropout import zero_and_rescale
from reglab.schema.strength import probability


def thinned_tokens(embedded: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Set tokens whose draw is below p to zero, and divide the others by 1 - p; at p = 0 return the values unchanged.

    Args:
        embedded: (rows, length, units).
        draws: (rows, length), in [0, 1).
        p: 0-dim, at least 0 and below 1.
    """
    return zero_and_rescale(embedded, draws.unsqueeze(-1), p)


class TokenDropout(EmbeddingNoise):
    """Set the embedding of each input token to zero with probability p; targets are unchanged.

    Iyyer et al. 2015, "Deep Unordered Composition Rivals Syntactic Methods for Text Classification" (word dropout); in
    decoders Bowman et al. 2016, "Generating Sentences from a Continuous Space", who replace them by an unknown word.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.02, 0.3, effect="dropped tokens")

    def noisy(self, values: Tensor) -> Tensor:
        return thinned_tokens(values, torch.rand(values.shape[:2], device=values.device), self.p)
