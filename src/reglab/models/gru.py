"""Recurrent network for sequences."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from reglab.models import layers
from reglab.models.padding import last_unpadded, unpadded
from reglab.schema.constraints import Constraints
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import NUMERIC_INPUTS


class Recurrent(nn.GRU):
    """Layer of gated recurrent units whose outputs (rows, length, units) are treated as hidden activations.

    Dropout therefore acts between layers and not inside the recurrence (Zaremba, Sutskever and Vinyals 2014, "Recurrent
    Neural Network Regularization").
    """

    is_activation = True

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:  # type: ignore[override]
        """Return states (rows, length, units) of inputs (rows, length, features).

        `mask` (rows, length) is false at padded positions, where the states are 0; None: no position is padded.
        """
        states, _ = super().forward(values)
        return states if mask is None else states.masked_fill(~mask.unsqueeze(-1), 0)


class GRU(nn.Module):
    """Layers of gated recurrent units, and a linear layer of the state at the last position of each sequence.

    Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation".

    Args:
        input_shape: (channels, length).
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        hidden_sizes: units of each layer.
        padded: whether signals have different lengths and are padded with NaN.

    Raises:
        ConfigError: the examples are not sequences, or `hidden_sizes` is empty.
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar = {"activations": "hidden_sizes"}
    input_dims: ClassVar = (2,)
    constraints: ClassVar[Constraints] = {"hidden_sizes": layers.SIZES}

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        hidden_sizes: Sequence[int] = (64, 64),
        padded: bool = False,
    ) -> None:
        super().__init__()
        self.padded = padded
        if len(input_shape) != 2:
            raise ConfigError(
                Setting("model", "gru"),
                f"needs sequences (channels, length), and this data's examples have the shape {input_shape}",
                "use model=mlp",
            )
        if not hidden_sizes:
            raise ConfigError(Setting("model.hidden_sizes", "[]"), "name the units of at least one layer, as in [64]")
        sizes = [input_shape[0], *hidden_sizes]
        self.recurrent = nn.ModuleList(
            Recurrent(features, units, batch_first=True) for features, units in pairwise(sizes)
        )
        self.head = nn.Sequential()
        for name, layer in layers.output(sizes[-1], outputs):
            self.head.add_module(name, layer)

    def forward(self, signals: Tensor) -> Tensor:
        """Return outputs (rows, outputs), or (rows,) for regression, of signals (rows, channels, length)."""
        values, mask = unpadded(signals) if self.padded else (signals, None)
        values = values.transpose(1, 2)
        for layer in self.recurrent:
            values = layer(values, mask)
        outputs: Tensor = self.head(values[:, -1] if mask is None else last_unpadded(values, mask))
        return outputs
