"""Language modeling: cross entropy of the next token, perplexity, bits per character."""

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.tasks.base import Task, exact


class LanguageModeling(Task):
    """The next token at every place, from logits (rows, length, tokens); a target of -100 does not count.

    Args:
        characters: how many characters each token stands for, int64 (tokens,); None: unknown, and no bits per
            character are told.
    """

    kind: ClassVar[str] = "language modeling"

    def __init__(self, characters: Tensor | None = None) -> None:
        self.characters = characters

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy in nats over the places (rows, length) whose target counts."""
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())

    def kept(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Of each row its summed cross entropy (rows,), and how many tokens and characters it predicts (rows, 2).

        The logits of a whole part would be as many numbers as its tokens times the vocabulary.
        """
        outputs = exact(outputs)
        targets = targets.to(outputs.device)
        nats = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none").reshape(targets.shape)
        counts = targets >= 0
        characters = torch.zeros_like(targets)
        if self.characters is not None:
            characters = self.characters.to(targets.device)[targets.clamp_min(0)] * counts
        return nats.sum(-1), torch.stack([counts.sum(-1), characters.sum(-1)], -1)

    def figures(self, outputs: Tensor, targets: Tensor, *, full: bool) -> dict[str, Tensor]:
        """``loss`` (nats a token), ``perplexity`` (its exponential) and ``bits_per_character``.

        Bits per character are the cross entropy of the whole text over its length, and so the same measure for every
        tokenizer: nats / log 2 / characters. A part without characters has none.

        Args:
            outputs: summed cross entropies (rows,), of `kept`.
            targets: tokens and characters (rows, 2), of `kept`.
        """
        nats = outputs.sum()
        tokens, characters = targets.sum(0).unbind()
        loss = nats / tokens
        figures = {"loss": loss, "perplexity": loss.exp()}
        if self.characters is not None:
            figures["bits_per_character"] = nats / math.log(2) / characters
        return figures
