"""What dropout in inference would do: one prompt, several passes in training mode."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from reglab.inference.chosen import only
from reglab.inference.generation import Choice, generated, text_of
from reglab.inference.trained import Decoder
from reglab.regularizers._random_layers import random_layers
from reglab.schema.errors import ConfigError, Setting
from reglab.training import build
from reglab.training.modes import in_mode


@dataclass(frozen=True)
class Spread:
    """The probability of one next token.

    Attributes:
        token: its text.
        plain: in evaluation mode.
        mean: over passes in training mode.
        sd: standard deviation over these.
        low: smallest of these.
        high: largest of these.
    """

    token: str
    plain: float
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Passes:
    """One prompt, in evaluation mode and several times in training mode.

    Attributes:
        plain: the text in evaluation mode.
        texts: those in training mode.
        spread: of the next token's probabilities, the likeliest tokens (in evaluation mode) first.
    """

    plain: str
    texts: tuple[str, ...]
    spread: tuple[Spread, ...]


def passes(decoder: Decoder, prompt: Tensor, choice: Choice, count: int, shown: int = 5) -> Passes:
    """Several passes over a prompt with the regularizers that make passes differ, which are attached for it.

    Args:
        decoder: as it was trained; its config says under which strategy.
        prompt: tokens, int64 (1, length).
        choice: of the next token; the seed of pass i is ``choice.seed + i``.
        count: passes in training mode, 2 or more.
        shown: how many tokens' probabilities.

    Raises:
        ConfigError: nothing in this strategy and model makes passes differ.
    """
    model, vocabulary, end = decoder.model, decoder.vocabulary, decoder.end
    cfg = only(decoder.cfg, lambda method: method.stochastic)  # what makes two passes differ
    build.build_regularizers(cfg, model, "language modeling", (decoder.context_length,))
    if not list(cfg.regularizer) and not random_layers(model):
        raise ConfigError(
            Setting("train_mode", True),
            f"the strategy {decoder.record.tags.get('strategy')} draws nothing, so that all passes are one",
            "give a run with dropout, such as regularizer=residual_dropout",
        )
    plain = _next(decoder, prompt, None)
    each = torch.stack([_next(decoder, prompt, choice.seed + i) for i in range(count)])
    likeliest = plain.topk(min(shown, len(plain))).indices.tolist()
    spread = [
        Spread(
            vocabulary.decode([number], skip_special_tokens=False),
            float(plain[number]),
            float(each[:, number].mean()),
            float(each[:, number].std()),
            float(each[:, number].min()),
            float(each[:, number].max()),
        )
        for number in likeliest
    ]

    def text(training: bool, seed: int) -> str:
        new = generated(model, prompt, replace(choice, seed=seed), end, training=training)  # type: ignore[arg-type]
        return text_of(vocabulary, new[0].tolist())

    texts = tuple(text(True, choice.seed + i) for i in range(count))
    return Passes(text(False, choice.seed), texts, tuple(spread))


def _next(decoder: Decoder, prompt: Tensor, seed: int | None) -> Tensor:
    """Probabilities of the next token (tokens,), float64; with a seed in training mode."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), in_mode(decoder.model, training=seed is not None):
        torch.manual_seed(seed or 0)
        logits: Tensor = decoder.model(prompt)[0, -1]
    return logits.double().softmax(-1)
