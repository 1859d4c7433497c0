"""Stochastic depth: residual branches are dropped for single examples, deeper ones more often."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.regularizers._hooks import output_values, replace_hooks, replace_values
from reglab.regularizers._layers import batch_axes, batch_first
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import Regularizer
from reglab.regularizers.dropout import zero_and_rescale
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.strength import probability


def dropped_branch(branch: Tensor, p: Tensor) -> Tensor:
    """Set the branch (batch, ...) of each example to zero with probability p, and divide the others by 1 - p.

    The mean is preserved; at p = 0 the branch is returned unchanged, bit for bit.

    Args:
        branch: output of the branch, which is added to the shortcut.
        p: 0-dim, at least 0 and below 1.
    """
    draws = torch.rand((len(branch), *[1] * (branch.ndim - 1)), device=branch.device)
    return zero_and_rescale(branch, draws, p)


class StochasticDepth(Regularizer):
    """Drop the residual branch of block l of L with probability p · l / L, independently for each example.

    Acts on modules with a child named ``branch``, whose output they add to a shortcut, in training mode only (Huang,
    Sun, Liu, Sedra and Weinberger 2016, "Deep Networks with Stochastic Depth"; dividing by 1 - p in training replaces
    the scaling in evaluation).

    Args:
        p: drop probability of the last block, at least 0 and below 1; 0 is off.
    """

    p = probability(0.2, 0.05, 0.5, effect="dropped branches")
    passes: ClassVar = 0.9  # in theory: p / 2 of the branches are dropped; here they are computed for batch norm
    order: ClassVar = DROPOUT
    stochastic: ClassVar = True
    requires: ClassVar = "branches"
    requirement: ClassVar = "it needs residual blocks, as in model=residual_cnn"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._handles: list[Any] = []
        self._depths: dict[nn.Module, float] = {}  # branch to its depth, above 0 and at most 1

    def attach(self, model: nn.Module) -> list[str]:
        branches = {
            name: m.branch for name, m in model.named_modules() if isinstance(getattr(m, "branch", None), nn.Module)
        }
        axes = batch_axes(model)
        for name, branch in branches.items():
            if axes.get(branch) == 1 or any(batch_first(part) is False for part in branch.modules()):
                raise ConfigError(
                    Setting("regularizer", "stochastic_depth"),
                    f"drops the branch of whole examples, and {name}.branch has batch_first=False, so that axis "
                    "0 may not be the batch",
                    "set batch_first=True",
                )
        self._depths = {branch: block / len(branches) for block, branch in enumerate(branches.values(), start=1)}
        self._handles = replace_hooks(self._handles, self._depths, self._drop)
        return list(branches)

    def _drop(self, branch: nn.Module, inputs: Any, output: Any) -> Any:
        if not branch.training:
            return output
        values = output_values(output, type(branch).__name__)
        return replace_values(output, dropped_branch(values, self.p * self._depths[branch]))
