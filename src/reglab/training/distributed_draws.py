"""Random draws of regularizers in distributed training (DistributedDataParallel).

Each rank trains a replica on different examples. Noise on weights and gradients must be equal on all ranks, or the
replicas diverge. Noise on examples must differ, or the ranks share their masks. The global generators of the ranks may
or may not be equal, depending on the user's seeds, so noise is not drawn from them directly.
"""

from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning.strategies import DDPStrategy, DeepSpeedStrategy, SingleDeviceStrategy
from torch import Tensor, nn

from reglab.regularizers._wrapper import BeforeUpdate, Wrapper
from reglab.regularizers.base import Regularizer
from reglab.schema.errors import ConfigError
from reglab.seeding import mix

Call = Callable[..., Any]


def check_strategy(strategy: Any) -> None:
    """Check that a strategy of Lightning keeps all weights on each rank.

    Raises:
        ConfigError: the strategy splits them.
    """
    if not isinstance(strategy, SingleDeviceStrategy | DDPStrategy) or isinstance(strategy, DeepSpeedStrategy):
        name = type(strategy).__name__
        raise ConfigError("Regularize", f"needs whole weights on each rank, which {name} splits", "use strategy='ddp'")


class DistributedDraws:
    """Seeded draws of the regularizers on one of several ranks.

    Args:
        rank: number of this process, from 0.
        device: device of its replica.
    """

    def __init__(self, rank: int, device: torch.device) -> None:
        self._rank, self._device = rank, device

    def wrap_hook(self, regularizer: Regularizer, hook: Call) -> Call:
        """Return a forward hook with draws that are equal on all ranks for weights, and differ otherwise."""

        def wrapped(module: nn.Module, *rest: Any) -> Any:
            if not module.training:  # no draws in evaluation, where ranks may have different numbers of batches
                return hook(module, *rest)
            return self._draw(hook, "weights" in regularizer.draws, module, *rest)

        return wrapped

    def wrap_updates(self, regularizers: list[Regularizer], optimizer: torch.optim.Optimizer) -> None:
        """Make the draws of wrapped optimizers equal on all ranks: they are for gradients."""
        while isinstance(optimizer, Wrapper):
            if isinstance(optimizer, BeforeUpdate) and any("weights" in r.draws for r in regularizers):
                optimizer.wrap_change(lambda change: lambda: self._draw(change, True))
            optimizer = optimizer.base

    def _draw(self, call: Call, shared: bool, *inputs: Any) -> Any:
        """Call a function with generators that are seeded equally on all ranks or differently."""
        # From the global generator: activation checkpointing and the second pass of SAM repeat its draws.
        seed = torch.randint(2**62, (1,))
        if shared:
            seed = self._broadcast_seed(seed)
        rank_seed = int(seed) if shared else mix(int(seed), self._rank)
        with torch.random.fork_rng([self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(rank_seed)
            return call(*inputs)

    def _broadcast_seed(self, seed: Tensor) -> Tensor:
        """Return the seed (1,) of the first rank."""
        seed = seed.to(self._device)
        torch.distributed.broadcast(seed, src=0)
        return seed
