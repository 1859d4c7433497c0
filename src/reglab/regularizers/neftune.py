"""NEFTune: uniform noise on the embedded tokens."""

import math

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import EmbeddingNoise
from reglab.schema.strength import coefficient


def with_uniform_noise(embedded: Tensor, draws: Tensor, alpha: Tensor) -> Tensor:
    """Return embedded + alpha / √(length · units) · (2 · draws - 1); alpha = 0 returns the values unchanged.

    The noise of a row has the expected Euclidean norm alpha / √3, for any length and width.

    Args:
        embedded: (rows, length, units).
        draws: uniform draws in [0, 1), of the same shape.
        alpha: 0-dim, at least 0.
    """
    return embedded + (alpha / math.sqrt(embedded.shape[-2] * embedded.shape[-1])) * (2 * draws - 1)


class Neftune(EmbeddingNoise):
    """Add uniform noise of scale alpha / √(length · units) to token embeddings in training.

    Jain et al. 2023, "NEFTune: Noisy Embeddings Improve Instruction Finetuning", arXiv:2310.05914.

    Args:
        alpha: at least 0; 0 is off.
    """

    alpha = coefficient(5.0, 1.0, 15.0, effect="noisy embeddings")

    def noisy(self, values: Tensor) -> Tensor:
        draws = torch.rand(values.shape, dtype=values.dtype, device=values.device)
        return with_uniform_noise(values, draws, self.alpha)
