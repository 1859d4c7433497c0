"""Text from a prompt: tokens, decoder, next token, until the text ends or is long enough."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer

from reglab.data.tokenizer import UNKNOWN, end_token
from reglab.schema.errors import ConfigError
from reglab.training.modes import in_mode


@dataclass(frozen=True)
class Choice:
    """How the next token is chosen, and when to stop.

    Attributes:
        max_new_tokens: at the most.
        temperature: logits are divided by it before one is drawn; 0: always the likeliest (greedy).
        top_k: draw among so many of the likeliest; None: all.
        top_p: draw among the fewest whose probabilities add up to it (Holtzman et al. 2020, "The Curious Case of Neural
            Text Degeneration"); None: all.
        seed: of the draws.
        cache: keep keys and values of earlier tokens; without it each token computes them all anew.
    """

    max_new_tokens: int = 200
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    cache: bool = True

    def settings(self, end: int) -> GenerationConfig:
        """The same for the transformers library; `end` is the token that ends a text."""
        drawn: dict[str, Any] = {"do_sample": False}
        if self.temperature > 0:
            # The library's own default of top_k is 50.
            top = {"top_k": self.top_k or 0, "top_p": 1.0 if self.top_p is None else self.top_p}
            drawn = {"do_sample": True, "temperature": self.temperature, **top}
        return GenerationConfig(
            max_new_tokens=self.max_new_tokens, eos_token_id=end, pad_token_id=end, use_cache=self.cache, **drawn
        )


def encoded(vocabulary: Tokenizer, prompt: str) -> Tensor:
    """The prompt's tokens, int64 (1, length); an empty prompt is the end of the text before.

    Raises:
        ConfigError: characters that the tokenizer does not know.
    """
    numbers = vocabulary.encode(prompt, add_special_tokens=False).ids or [end_token(vocabulary)]
    unknown = vocabulary.token_to_id(UNKNOWN)
    if unknown is not None and unknown in numbers:
        known = vocabulary.get_vocab()
        strange = ", ".join(repr(character) for character in dict.fromkeys(prompt) if character not in known)
        raise ConfigError(
            "prompt",
            f"this model has never seen {strange}",
            "leave it out, or train with data.tokenizer=bpe, to which no text is unknown",
        )
    return torch.tensor([numbers])


def generated(
    model: PreTrainedModel,
    prompts: Tensor,
    choice: Choice,
    end: int,
    *,
    heard: Callable[[int], None] | None = None,
    training: bool = False,
) -> Tensor:
    """The new tokens of each prompt, int64 (prompts, new): rows that end sooner are filled up with `end`.

    The model is in evaluation mode meanwhile, whatever it was in, and comes back as it was; so does torch's generator.

    Args:
        model: a decoder.
        prompts: int64 (prompts, length), of one length.
        choice: of the next token.
        end: the token that ends a text.
        heard: is called with each new token as it comes; for one prompt alone.
        training: in training mode, so that dropout acts.
    """
    prompts = prompts.to(model.device)
    with in_mode(model, training=training), torch.random.fork_rng(devices=_devices(model)), torch.no_grad():
        torch.manual_seed(choice.seed)
        generate: Any = model.generate
        whole: Tensor = generate(
            inputs=prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=choice.settings(end),
            streamer=None if heard is None else _Heard(heard),
        )
    return whole[:, prompts.shape[1] :]


def _devices(model: nn.Module) -> list[torch.device]:
    return [device for device in {weight.device for weight in model.parameters()} if device.type != "cpu"]


class _Heard(BaseStreamer):
    """Hands on every token but those of the prompt, which come first and together."""

    def __init__(self, heard: Callable[[int], None]) -> None:
        self._heard = heard
        self._prompt = True

    def put(self, value: Tensor) -> None:
        if not self._prompt:
            for number in value.flatten().tolist():
                self._heard(number)
        self._prompt = False

    def end(self) -> None:
        """Nothing is held back."""


class Writer:
    """Turns tokens into text as they come; a character of several tokens waits for its last one.

    Args:
        vocabulary: the tokenizer.
        write: takes each piece of text.
    """

    def __init__(self, vocabulary: Tokenizer, write: Callable[[str], object]) -> None:
        self._vocabulary = vocabulary
        self._write = write
        self._stream = DecodeStream(skip_special_tokens=True)

    def __call__(self, number: int) -> None:
        """The next token."""
        if piece := self._stream.step(self._vocabulary, number):
            self._write(piece)


def text_of(vocabulary: Tokenizer, numbers: Sequence[int]) -> str:
    """The text of tokens, without the end of a text and what comes after it."""
    end = end_token(vocabulary)
    until = next((place for place, number in enumerate(numbers) if number == end), len(numbers))
    text: str = vocabulary.decode(list(numbers[:until]))
    return text
