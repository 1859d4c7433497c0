"""Transformer encoder for images, signals and tables."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from reglab.models import layers
from reglab.models.padding import mean_unpadded, unpadded
from reglab.models.tokens import FeatureTokens, ImageTokens, SignalTokens
from reglab.schema.constraints import Constraints, Integer
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import NUMERIC_INPUTS


class Attention(nn.Module):
    """Multi-head self-attention with a padding mask.

    Replaces nn.MultiheadAttention, which uses other kernels in evaluation mode unless it has hooks, so that results
    would depend on whether a strategy has hooks.

    Args:
        width: width of the residual stream.
        heads: divides `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = 0.0  # probability for attention weights; set by the regularizer attention_dropout
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """Return outputs of the shape of values (rows, positions, width).

        `mask` (rows, 1, 1, positions) is false at padded positions, which are not attended to; None: no padding.
        """
        parts = self.queries_keys_values(values).chunk(3, -1)
        queries, keys, contents = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        dropout = self.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(queries, keys, contents, attn_mask=mask, dropout_p=dropout)
        outputs: Tensor = self.mixed(attended.transpose(1, 2).flatten(2))
        return outputs


class FeedForward(nn.Sequential):
    """Two linear layers with an activation between them, applied to each position."""

    def __init__(self, width: int, units: int, activation: str) -> None:
        super().__init__(nn.Linear(width, units), layers.activation(activation), nn.Linear(units, width))

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:  # type: ignore[override]
        """Return outputs of the shape of values (rows, positions, width); `mask` is not used."""
        outputs: Tensor = super().forward(values)
        return outputs


class Residual(nn.Module):
    """Pre-norm residual block values + branch(norm(values)), which needs no warm-up (Xiong et al. 2020)."""

    def __init__(self, width: int, branch: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.branch = branch

    def forward(self, values: Tensor, mask: Tensor | None) -> Tensor:
        """Return outputs of the shape of values (rows, positions, width)."""
        total: Tensor = values + self.branch(self.norm(values), mask)
        return total


class TransformerEncoder(nn.Module):
    """Transformer encoder on image patches, signal positions or table features, and a linear layer of the mean token.

    Vaswani et al. 2017, "Attention Is All You Need"; images as in Dosovitskiy et al. 2021, "An Image is Worth 16x16
    Words"; tables as in Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data". The mean is over
    all unpadded tokens.

    Args:
        input_shape: (channels, height, width), (channels, length) or (features,).
        outputs: number of classes, or 1 for regression, whose output has the shape (batch,).
        width: width of the residual stream.
        blocks: number of blocks of attention and feed-forward layers.
        heads: number of attention heads; divides `width`.
        feed_forward_units: units of the feed-forward layers.
        patch_size: side of an image's patches; signals and tables have a token for each position or feature.
        activation: a name in `layers.ACTIVATIONS`.
        padded: whether signals have different lengths and are padded with NaN.

    Raises:
        ConfigError: `heads` does not divide `width`, or `patch_size` does not divide a side.
    """

    requires_task: ClassVar = (NUMERIC_INPUTS,)
    provides: ClassVar = {"activations": "blocks", "blocks": "blocks", "branches": "blocks"}
    input_dims: ClassVar = (1, 2, 3)
    constraints: ClassVar[Constraints] = {
        "width": Integer(1),
        "blocks": layers.DEPTH,
        "heads": Integer(1),
        "feed_forward_units": Integer(1),
        "patch_size": Integer(1),
        "activation": layers.ACTIVATION,
    }

    def __init__(
        self,
        input_shape: tuple[int, ...],
        outputs: int,
        width: int = 64,
        blocks: int = 2,
        heads: int = 4,
        feed_forward_units: int = 128,
        patch_size: int = 4,
        activation: str = "gelu",
        padded: bool = False,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(Setting("model.heads", heads), f"model.width={width} must be a multiple of it")
        if len(input_shape) == 3:
            self.tokens: nn.Module = ImageTokens(input_shape, width, patch_size)
        else:
            self.tokens = (FeatureTokens if len(input_shape) == 1 else SignalTokens)(input_shape, width)
        self.padded = padded
        self.blocks = nn.ModuleList(
            Residual(width, branch)
            for _ in range(blocks)
            for branch in (Attention(width, heads), FeedForward(width, feed_forward_units, activation))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential()
        for name, layer in layers.output(width, outputs):
            self.head.add_module(name, layer)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return outputs (rows, outputs), or (rows,) for regression, of inputs (rows, *input_shape)."""
        mask, attention_mask = None, None
        if self.padded:
            inputs, mask = unpadded(inputs)
            attention_mask = mask[:, None, None, :]
        values = self.tokens(inputs)
        for block in self.blocks:
            values = block(values, attention_mask)
        values = self.norm(values)
        outputs: Tensor = self.head(values.mean(1) if mask is None else mean_unpadded(values, mask))
        return outputs
