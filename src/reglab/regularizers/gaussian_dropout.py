"""Gaussian dropout: units are multiplied by normal noise of mean 1."""

from typing import ClassVar

import torch
from torch import Tensor

from reglab.regularizers._activation_noise import ActivationNoise
from reglab.schema.strength import probability


def scale_by_noise(values: Tensor, draws: Tensor, p: Tensor) -> Tensor:
    """Return values · (1 + √(p / (1 - p)) · draws), which have the mean and variance of dropout for normal draws.

    The mean is preserved and the variance is values² · p / (1 - p). At p = 0 the values are returned bit for bit.
    Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", section 10.

    Args:
        values: any shape.
        draws: draws of mean 0 and variance 1, of the same shape.
        p: 0-dim, at least 0 and below 1.
    """
    factor = ((p / (1 - p)).sqrt() * draws).add_(1)
    return (values * factor).to(values.dtype)  # the noise is not rounded to bfloat16


class GaussianDropout(ActivationNoise):
    """Multiply hidden activations by N(1, p / (1 - p)) in training; off in evaluation.

    Args:
        p: at least 0 and below 1, the p of dropout with the same mean and variance; 0 is off.
    """

    p = probability(0.5, 0.1, 0.6, effect="noisy activations")
    draws: ClassVar = "normal activations"

    def noisy(self, values: Tensor) -> Tensor:
        return scale_by_noise(values, torch.randn(values.shape, device=values.device), self.p)
