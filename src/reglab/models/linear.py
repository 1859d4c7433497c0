"""Linear model: least squares or logistic regression."""

import math
from collections import OrderedDict
from typing import ClassVar

from torch import nn

from reglab.models.layers import output
from reglab.schema.task_kinds import NUMERIC_INPUTS


class Linear(nn.Sequential):
    """Affine map of the flattened inputs (batch, *input_shape) to the outputs.

    Args:
        input_shape: shape of one example.
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar[dict[str, str]] = {}

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(OrderedDict([("flatten", nn.Flatten()), *output(math.prod(input_shape), outputs)]))
