"""Generate text from a prompt with a tracked decoder, also several times with dropout on."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from omegaconf import DictConfig
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer
from transformers.utils import logging as transformers_logging

from reglab.config.trusted import typed
from reglab.data.tokenizer import UNKNOWN, end_token
from reglab.inference.best_run import FIRST_DECODER, best_decoder
from reglab.inference.loading import Decoder, keep_regularizers, load_decoder
from reglab.regularizers._layers import random_layers
from reglab.schema.errors import ConfigError, Setting
from reglab.streams import note, write
from reglab.tracking.store import open_existing
from reglab.training import build
from reglab.training.train_eval_mode import in_mode
from reglab.training.trainer import set_threads


@dataclass(frozen=True)
class DecodingSettings:
    """Settings of decoding: how the next token is chosen, and when to stop.

    Attributes:
        max_new_tokens: maximum number of new tokens.
        temperature: divides the logits before sampling; 0: the most probable token (greedy).
        top_k: sample among this many of the most probable tokens; None: all.
        top_p: sample among the fewest tokens whose probabilities add up to it (Holtzman et al. 2020, "The Curious Case
            of Neural Text Degeneration"); None: all.
        seed: seed of the sampling.
        cache: keep keys and values of earlier tokens; without it they are computed again for each token.
    """

    max_new_tokens: int = 200
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0
    cache: bool = True

    def to_generation_config(self, end: int) -> GenerationConfig:
        """Return the settings for the transformers library; `end` is the token that ends a text."""
        sampling: dict[str, Any] = {"do_sample": False}
        if self.temperature > 0:
            # The library's own default of top_k is 50.
            top = {"top_k": self.top_k or 0, "top_p": 1.0 if self.top_p is None else self.top_p}
            sampling = {"do_sample": True, "temperature": self.temperature, **top}
        return GenerationConfig(
            max_new_tokens=self.max_new_tokens, eos_token_id=end, pad_token_id=end, use_cache=self.cache, **sampling
        )


def encode(vocabulary: Tokenizer, prompt: str) -> Tensor:
    """Return the prompt's tokens, int64 (1, length); an empty prompt becomes the end-of-text token.

    Raises:
        ConfigError: the tokenizer does not know a character.
    """
    numbers = vocabulary.encode(prompt, add_special_tokens=False).ids or [end_token(vocabulary)]
    unknown = vocabulary.token_to_id(UNKNOWN)
    if unknown is not None and unknown in numbers:
        known = vocabulary.get_vocab()
        missing = ", ".join(repr(character) for character in dict.fromkeys(prompt) if character not in known)
        raise ConfigError(
            "prompt",
            f"contains characters absent from the training text: {missing}",
            "leave them out, or train with data.tokenizer=bpe, which can encode any text",
        )
    return torch.tensor([numbers])


def generate(
    model: PreTrainedModel,
    prompts: Tensor,
    settings: DecodingSettings,
    end: int,
    *,
    on_token: Callable[[int], None] | None = None,
    training: bool = False,
) -> Tensor:
    """Return the new tokens of each prompt, int64 (prompts, new); rows that end sooner are padded with `end`.

    The model's mode and torch's random state are restored afterwards.

    Args:
        model: a decoder.
        prompts: int64 (prompts, length), of one length.
        settings: settings of decoding.
        end: the token that ends a text.
        on_token: called with each new token as it is generated; for a single prompt.
        training: in training mode, so that dropout acts.
    """
    prompts = prompts.to(model.device)
    with in_mode(model, training=training), torch.random.fork_rng(devices=_devices(model)), torch.no_grad():
        torch.manual_seed(settings.seed)
        decode: Any = model.generate
        whole: Tensor = decode(
            inputs=prompts,
            attention_mask=torch.ones_like(prompts),
            generation_config=settings.to_generation_config(end),
            streamer=None if on_token is None else _Streamer(on_token),
        )
    return whole[:, prompts.shape[1] :]


def _devices(model: nn.Module) -> list[torch.device]:
    return [device for device in {weight.device for weight in model.parameters()} if device.type != "cpu"]


class _Streamer(BaseStreamer):
    """Passes on each new token; the tokens of the prompt come first, in one call, and are left out."""

    def __init__(self, on_token: Callable[[int], None]) -> None:
        self._on_token = on_token
        self._prompt = True

    def put(self, value: Tensor) -> None:
        if not self._prompt:
            for number in value.flatten().tolist():
                self._on_token(number)
        self._prompt = False

    def end(self) -> None:
        """Do nothing: no token is buffered."""


class Writer:
    """Decode tokens to text one by one; a character of several tokens is written with its last one.

    Args:
        vocabulary: the tokenizer.
        write: called with each piece of text.
    """

    def __init__(self, vocabulary: Tokenizer, write: Callable[[str], object]) -> None:
        self._vocabulary = vocabulary
        self._write = write
        self._stream = DecodeStream(skip_special_tokens=True)

    def __call__(self, number: int) -> None:
        """Decode the next token."""
        if piece := self._stream.step(self._vocabulary, number):
            self._write(piece)


def text_of(vocabulary: Tokenizer, numbers: Sequence[int]) -> str:
    """Return the text of tokens, up to the token that ends a text."""
    end = end_token(vocabulary)
    until = next((i for i, number in enumerate(numbers) if number == end), len(numbers))
    text: str = vocabulary.decode(list(numbers[:until]))
    return text


@dataclass(frozen=True)
class TokenSpread:
    """The probability of one next token.

    Attributes:
        token: text of the token.
        plain: probability in evaluation mode.
        mean: mean probability over passes in training mode.
        sd: standard deviation over these passes.
        low: smallest probability of these passes.
        high: largest probability of these passes.
    """

    token: str
    plain: float
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class DropoutPasses:
    """Texts of one prompt, in evaluation mode and several times in training mode.

    Attributes:
        plain: the text in evaluation mode.
        texts: the texts in training mode.
        spread: probabilities of the next token, the most probable tokens (in evaluation mode) first.
    """

    plain: str
    texts: tuple[str, ...]
    spread: tuple[TokenSpread, ...]


def dropout_passes(
    decoder: Decoder, prompt: Tensor, settings: DecodingSettings, count: int, shown: int = 5
) -> DropoutPasses:
    """Generate several times in training mode, with the regularizers of the run that are stochastic.

    Args:
        decoder: decoder from `load_decoder`; the regularizers are attached to it.
        prompt: tokens, int64 (1, length).
        settings: settings of decoding; the seed of pass i is ``settings.seed + i``.
        count: passes in training mode, at least 2.
        shown: number of tokens whose probabilities are returned.

    Raises:
        ConfigError: nothing in this strategy and model makes passes differ.
    """
    model, vocabulary, end = decoder.model, decoder.vocabulary, decoder.end
    cfg = keep_regularizers(decoder.cfg, lambda method: method.stochastic)
    build.build_regularizers(cfg, model, "language modeling", (decoder.context_length,))
    if not list(cfg.regularizer) and not random_layers(model):
        raise ConfigError(
            Setting("train_mode", True),
            f"the strategy {decoder.record.tags.get('strategy')} uses no random numbers, so that all passes are equal",
            "give a run with dropout, such as regularizer=residual_dropout",
        )
    plain = _next_token(decoder, prompt, None)
    sampled = torch.stack([_next_token(decoder, prompt, settings.seed + i) for i in range(count)])
    top = plain.topk(min(shown, len(plain))).indices.tolist()
    spread = [
        TokenSpread(
            vocabulary.decode([number], skip_special_tokens=False),
            float(plain[number]),
            float(sampled[:, number].mean()),
            float(sampled[:, number].std()),
            float(sampled[:, number].min()),
            float(sampled[:, number].max()),
        )
        for number in top
    ]

    def text(training: bool, seed: int) -> str:
        new = generate(model, prompt, replace(settings, seed=seed), end, training=training)  # type: ignore[arg-type]
        return text_of(vocabulary, new[0].tolist())

    texts = tuple(text(True, settings.seed + i) for i in range(count))
    return DropoutPasses(text(False, settings.seed), texts, tuple(spread))


def _next_token(decoder: Decoder, prompt: Tensor, seed: int | None) -> Tensor:
    """Return the probabilities of the next token (tokens,), float64; with a seed in training mode."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), in_mode(decoder.model, training=seed is not None):
        torch.manual_seed(seed or 0)
        logits: Tensor = decoder.model(prompt)[0, -1]
    return logits.double().softmax(-1)


def print_generated(cfg: DictConfig, prompt: str) -> None:
    """Print the text that continues a prompt, token by token; notes on the model go to standard error.

    Args:
        cfg: ``conf/generate.yaml``, checked.
        prompt: the prompt, in place of that of the config.

    Raises:
        ConfigError: no such run, or not of a decoder, or a prompt that its tokenizer cannot encode.
    """
    transformers_logging.set_verbosity_error()  # its warning on long texts is replaced by a note
    chosen = None
    if cfg.run_id is None:
        store = open_existing(cfg.tracking.uri, cfg.tracking.experiment, remedy=FIRST_DECODER)
        chosen = best_decoder(store)
    decoder = load_decoder(cfg.tracking.uri, chosen.record.run_id if chosen else cfg.run_id, typed(cfg))
    set_threads(cfg.threads)
    settings = DecodingSettings(
        max_new_tokens=cfg.max_new_tokens,
        temperature=float(cfg.temperature),
        top_k=cfg.top_k,
        top_p=cfg.top_p,
        seed=cfg.generation.seed,
        cache=cfg.cache,
    )
    tokens = encode(decoder.vocabulary, prompt)
    _note_model(decoder, chosen.note if chosen else "")
    if cfg.train_mode:
        _print_passes(dropout_passes(decoder, tokens, settings, cfg.passes), prompt)
        return
    began = time.perf_counter()
    _write(prompt)
    new = generate(decoder.model, tokens, settings, decoder.end, on_token=Writer(decoder.vocabulary, _write))  # type: ignore[arg-type]
    _write("\n")
    seconds, ended = time.perf_counter() - began, int(new[0, -1]) == decoder.end
    note(f"{new.shape[1]} tokens in {seconds:.2f} s; {'end of text' if ended else 'stopped at max_new_tokens'}")
    if tokens.shape[1] + new.shape[1] > decoder.context_length:
        note(
            f"note: the text is longer than the {decoder.context_length} tokens of a window in training "
            "(data.context_length)"
        )


def _note_model(decoder: Decoder, choice_note: str) -> None:
    record, tags = decoder.record, decoder.record.tags
    bits = record.metrics.get("best/val/bits_per_character")
    quality = "" if bits is None else f", {bits:.3f} bits per character in validation"
    note(f"run {record.run_id}: {tags.get('strategy')} on {tags.get('data')} {tags.get('model')}{quality}{choice_note}")


def _print_passes(passes: DropoutPasses, prompt: str) -> None:
    _write(f"in inference: {prompt}{passes.plain}\n")
    for number, text in enumerate(passes.texts, start=1):
        _write(f"\npass {number} with dropout on: {prompt}{text}\n")
    head = f"{'next token':<14}{'inference':>11}{'mean':>9}{'sd':>9}{'smallest':>10}{'largest':>9}"
    _write(f"\nprobability of the next token, over {len(passes.texts)} passes with dropout on\n{head}\n")
    for row in passes.spread:
        values = f"{row.plain:>11.3f}{row.mean:>9.3f}{row.sd:>9.3f}{row.low:>10.3f}{row.high:>9.3f}"
        _write(f"{row.token!r:<14}{values}\n")


def _write(text: str) -> None:
    write(text, raw=True)
