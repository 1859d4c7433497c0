"""Multi-layer perceptron."""

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar

from torch import nn

from reglab.models import layers
from reglab.schema.constraints import Constraints
from reglab.schema.task_kinds import NUMERIC_INPUTS


class MLP(nn.Sequential):
    """Hidden layers of linear map, normalization and activation on flattened inputs (batch, *input_shape).

    Args:
        input_shape: shape of one example.
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        hidden_sizes: units of each hidden layer.
        activation: a name in `layers.ACTIVATIONS`.
        norm: ``none``, ``batch`` or ``layer``, before the activation.
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar = {"activations": "hidden_sizes"}
    constraints: ClassVar[Constraints] = {
        "hidden_sizes": layers.SIZES,
        "activation": layers.ACTIVATION,
        "norm": layers.NORM,
    }

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        hidden_sizes: Sequence[int] = (128, 128),
        activation: str = "relu",
        norm: str = "none",
    ) -> None:
        chain: list[tuple[str, nn.Module]] = [("flatten", nn.Flatten())]
        features = math.prod(input_shape)
        for i, size in enumerate(hidden_sizes):
            chain.append((f"hidden_{i}", nn.Linear(features, size)))
            chain += [(f"norm_{i}", layer) for layer in layers.norm(norm, size)]
            chain.append((f"activation_{i}", layers.activation(activation)))
            features = size
        super().__init__(OrderedDict(chain + layers.output(features, outputs)))
