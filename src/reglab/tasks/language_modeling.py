"""Language modeling: cross entropy of the next token, perplexity, bits per character."""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from reglab.schema.task_kinds import LANGUAGE_MODELING, TaskKind
from reglab.tasks.base import Task, to_float64


class LanguageModeling(Task):
    """Predict the next token at every position, from logits (rows, length, tokens); targets of -100 are ignored.

    Args:
        characters: number of characters of each token, int64 (tokens,); None: unknown, so that there are no
            bits per character.
    """

    about: ClassVar[TaskKind] = LANGUAGE_MODELING

    def __init__(self, characters: Tensor | None = None) -> None:
        self.characters = characters

    @classmethod
    def from_data(cls, data: Any, **options: Any) -> "LanguageModeling":
        """Return the task of a data set; there are no options."""
        return cls(data.characters, **options)

    def criterion(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy in nats over the positions (rows, length) whose targets are not ignored."""
        return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())

    def collected(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return for each row the summed cross entropy (rows,), and its numbers of tokens and characters (rows, 2).

        Keeping logits would take memory for the number of tokens times the size of the vocabulary.
        """
        outputs = to_float64(outputs)
        targets = targets.to(outputs.device)
        nats = F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="none").reshape(targets.shape)
        counts = targets >= 0
        characters = torch.zeros_like(targets)
        if self.characters is not None:
            characters = self.characters.to(targets.device)[targets.clamp_min(0)] * counts
        return nats.sum(-1), torch.stack([counts.sum(-1), characters.sum(-1)], -1)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross entropy of a token, in nats.

        Args:
            outputs: summed cross entropies (rows,), returned by `collected`; the same for the other metrics.
            targets: numbers of tokens and characters (rows, 2), returned by `collected`.
        """
        return outputs.sum() / targets.sum(0)[0]

    def perplexity(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the exponential of `loss`."""
        return self.loss(outputs, targets).exp()

    def bits_per_character(self, outputs: Tensor, targets: Tensor) -> Tensor | None:
        """Return the cross entropy of the whole text over its length, in bits; None if the characters are unknown.

        It is the same measure for every tokenizer: nats / log 2 / characters.
        """
        if self.characters is None:
            return None
        return outputs.sum() / math.log(2) / targets.sum(0)[1]
