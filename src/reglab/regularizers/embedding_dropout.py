"""Embedding dropout: elements of token embeddings are set to zero at random."""

from torch import Tensor

from reglab.regularizers._activation_noise import EmbeddingNoise
from reglab.regularizers.dropout import dropped
from reglab.schema.strength import probability


class EmbeddingDropout(EmbeddingNoise):
    """Elementwise dropout with probability p on token embeddings.

    Vaswani et al. 2017, "Attention Is All You Need", section 5.4; the ``embd_pdrop`` of GPT-2.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.05, 0.5, effect="noisy embeddings")

    def noisy(self, values: Tensor) -> Tensor:
        return dropped(values, self.p)
