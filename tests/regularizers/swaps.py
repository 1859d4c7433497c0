"""Models with changed weights, and what such a model computes with."""

from typing import Any

import torch
from torch import Tensor, nn

from reglab.models import Linear
from reglab.regularizers import Regularizer


def attached(model: nn.Module, *methods: Any) -> nn.Module:
    for method in methods:
        assert method.attach(model)
    return model


def seen(method: Regularizer, value: float = 0.5, size: int = 400) -> Tensor:
    """What a linear model computed with in one training pass, where all its weights were `value`."""
    model = attached(Linear((size,), size), method)
    nn.init.constant_(model.output.weight, value)
    nn.init.zeros_(model.output.bias)
    torch.manual_seed(0)
    return model(torch.eye(size)).detach()
