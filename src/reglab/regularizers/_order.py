"""The order in which regularizers act."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reglab.regularizers.base import Regularizer

# Places in a training step, in the order in which they come; `Regularizer.acts` is one of them.
TRANSFORM = 0
MIX = 0.5  # pairs of examples, after each was changed on its own: labels must stay the shares of what is seen
DROPOUT = 1
LOSS = 2
FLOOD = 2.5  # acts on the whole loss of outputs and labels, and on no penalty
PENALTY = 3
DECAY = 4
PROX = 5
PROJECTION = 6
# Around the optimizer. The earlier is the outer one, and so sees a gradient first and the new weights last.
SECOND_PASS = 7
GRADIENT = 8
AVERAGE = 9


def in_order(regularizers: Iterable[Regularizer]) -> list[Regularizer]:
    """The regularizers in the order in which they act; by name within one place."""
    return sorted(regularizers, key=lambda regularizer: (regularizer.acts, regularizer.name))
