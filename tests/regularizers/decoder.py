"""Tiny decoder that runs under vmap, with modules named as in the transformers library."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reglab.models import layers

TOKENS = 5
LENGTH = 6


class TinyAttention(nn.Module):
    """Single-head causal self-attention that returns a tuple, as in the transformers library."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention_dropout = 0.0
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        q, k, v = self.qkv(x).chunk(3, -1)
        future = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).triu(1)
        weights = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(future, -torch.inf).softmax(-1)
        return self.out(F.dropout(weights, self.attention_dropout, self.training) @ v), None


class TinyMLP(nn.Module):
    """Feed-forward layer of two linear maps."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.up = nn.Linear(width, 2 * width)
        self.act = layers.activation(activation)
        self.down = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.down(self.act(self.up(x)))
        return outputs


class TinyBlock(nn.Module):
    """Attention and feed-forward layers, each added to the residual stream."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.self_attn = TinyAttention(width)
        self.mlp = TinyMLP(width, activation)
        self.lora_dropout = nn.ModuleDict({"default": nn.Identity()})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(x)[0]
        outputs: Tensor = x + self.mlp(self.lora_dropout["default"](x))
        return outputs


class TinyDecoder(nn.Module):
    """Return logits (rows, length, tokens) for tokens (rows, length)."""

    unit_axes: ClassVar = {"place": 0}

    def __init__(self, activation: str = "relu", width: int = 8, dropout: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, width)
        self.place = nn.Parameter(torch.randn(LENGTH, width))
        self.blocks = nn.ModuleList(TinyBlock(width, activation) for _ in range(2))
        self.own = nn.Dropout(0.3 if dropout else 0.0)
        self.head = nn.Linear(width, TOKENS)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.place
        for block in self.blocks:
            x = block(x)
        outputs: Tensor = self.head(self.own(x))
        return outputs
