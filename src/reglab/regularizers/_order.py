"""The order in which regularizers act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reglab.regularizers.base import Regularizer

# Places in a training step, in the order in which they come; `Regularizer.order` is one of them.
TRANSFORM = 0
MIX = 1  # pairs of examples, after each was changed on its own: labels must stay the shares of what is seen
ADVERSARY = 2  # against the batch that would be trained on
DROPOUT = 3
LOSS = 4
SECOND_OPINION = 5  # other passes of the batch, compared with outputs that the loss is known of
FLOOD = 6  # acts on the whole loss of outputs and labels, and on no penalty
PENALTY = 7
DECAY = 8
PROX = 9
GROUP_PROX = 10  # after that of single weights: so their sum has its prox (Yu 2013, "On Decomposing the Proximal Map")
PROJECTION = 11
# Around the optimizer. The earlier is the outer one, and so sees a gradient first and the new weights last.
SECOND_PASS = 12
DIVISION = 13  # gradients are made those through a division of the weights before anything is done to gradients
GRADIENT = 14
AVERAGE = 15
STOPPING = 16


def in_order(regularizers: Iterable[Regularizer]) -> list[Regularizer]:
    """The regularizers in the order in which they act; by name within one place."""
    return sorted(regularizers, key=lambda regularizer: (regularizer.order, regularizer.name))
