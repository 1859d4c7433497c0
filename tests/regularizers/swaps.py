"""Helpers for methods that change weights during a forward pass."""

from typing import Any

import torch
from torch import Tensor, nn

from reglab.models import Linear
from reglab.regularizers import Regularizer


def attached(model: nn.Module, *methods: Any) -> nn.Module:
    for method in methods:
        assert method.attach(model)
    return model


def weights_in_pass(method: Regularizer, value: float = 0.5, size: int = 400) -> Tensor:
    """Return the weights in one training pass of a linear model whose own weights are all `value`."""
    model = attached(Linear((size,), size), method)
    nn.init.constant_(model.output.weight, value)
    nn.init.zeros_(model.output.bias)
    torch.manual_seed(0)
    return model(torch.eye(size)).detach()
