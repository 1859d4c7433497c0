"""Embedding dropout: numbers of the embedded tokens are left out."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._decoder_noise import DecoderNoise
from reglab.regularizers._decoders import embeddings
from reglab.regularizers.dropout import dropped


class EmbeddingDropout(DecoderNoise):
    """Dropout with probability p on what the embedding says of the tokens, number by number.

    Vaswani et al. 2017, "Attention Is All You Need", section 5.4; the ``embd_pdrop`` of GPT-2.

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    effects: ClassVar = {"p": "noisy embeddings"}
    acts_on: ClassVar = "embeddings"
    needs: ClassVar = "it needs an embedding of tokens, as model=llama has it"

    def __init__(self, p: float) -> None:
        super().__init__(p=p)

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        return embeddings(model)

    def noisy(self, values: Tensor) -> Tensor:
        return dropped(values, self.p)
