"""The order in which regularizers act, and the name of a strategy, which follows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reglab.regularizers.base import Regularizer

# Places in a training step, in the order in which they come; `Regularizer.acts` is one of them.
TRANSFORM = 0
DROPOUT = 1
LOSS = 2
PENALTY = 3
DECAY = 4
PROX = 5
PROJECTION = 6


def in_order(regularizers: Iterable[Regularizer]) -> list[Regularizer]:
    """The regularizers in the order in which they act; by name within one place."""
    return sorted(regularizers, key=lambda regularizer: (regularizer.acts, regularizer.name))


def strategy_name(names: Iterable[str]) -> str:
    """Config names joined by ``+`` in the order in which they act: ``dropout+max_norm``; ``none`` for no names.

    A name that no imported regularizer bears comes last.
    """
    from reglab.regularizers.base import known

    acts = {name: method.acts for name, method in known().items()}
    ordered = sorted(names, key=lambda name: (acts.get(name, PROJECTION + 1), name))
    return "+".join(ordered) or "none"
