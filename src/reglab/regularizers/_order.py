"""The order in which regularizers act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reglab.regularizers.base import Regularizer

# Values of `Regularizer.order`, in the order in which regularizers act in a training step.
TRANSFORM = 0
MIX = 1  # pairs of examples, after changes of single examples, so that mixed labels match the mixed inputs
ADVERSARY = 2  # attacks the transformed and mixed batch
DROPOUT = 3
LOSS = 4
CONSISTENCY = 5  # further passes of the batch, whose outputs are compared with those of the first
FLOOD = 6  # acts on the loss of outputs and labels, before penalties are added
PENALTY = 7
DECAY = 8
PROX = 9
GROUP_PROX = 10  # after PROX: the prox of the sum of both penalties (Yu 2013, "On Decomposing the Proximal Map")
PROJECTION = 11
# Wrappers of the optimizer. An earlier one is further out: it changes gradients first and new weights last.
SECOND_PASS = 12
DIVISION = 13  # differentiates through a division of the weights, before other changes of gradients
GRADIENT = 14
AVERAGE = 15
STOPPING = 16


def in_order(regularizers: Iterable[Regularizer]) -> list[Regularizer]:
    """Return the regularizers in the order in which they act; those of equal order by name."""
    return sorted(regularizers, key=lambda regularizer: (regularizer.order, regularizer.name))
