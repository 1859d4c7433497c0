"""Embedding dropout: numbers of the embedded tokens are left out."""

from typing import ClassVar

from torch import Tensor

from reglab.regularizers._decoder_noise import EmbeddingNoise
from reglab.regularizers.dropout import dropped


class EmbeddingDropout(EmbeddingNoise):
    """Dropout with probability p on what the embedding says of the tokens, number by number.

    Vaswani et al. 2017, "Attention Is All You Need", section 5.4; the ``embd_pdrop`` of GPT-2.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    effects: ClassVar = {"p": "noisy embeddings"}

    def __init__(self, p: float) -> None:
        super().__init__(p=p)

    def noisy(self, values: Tensor) -> Tensor:
        return dropped(values, self.p)
