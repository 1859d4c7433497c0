"""What `pipelines/generate.py` does: finds the decoder, and streams its text."""

import time

from omegaconf import DictConfig
from transformers.utils import logging

from reglab.config.trusted import typed
from reglab.inference.best import best_decoder
from reglab.inference.generation import Choice, Writer, encoded, generated
from reglab.inference.passes import Passes, passes
from reglab.inference.trained import Decoder, decoder
from reglab.streams import note, write
from reglab.tracking.store import open_existing
from reglab.training.trainer import set_threads


def answer(cfg: DictConfig, prompt: str) -> None:
    """Text that goes on with a prompt, to standard output as it comes; what it is of, to standard error.

    Args:
        cfg: ``conf/generate.yaml``, checked.
        prompt: taken as it is; that of the config is not.

    Raises:
        ConfigError: no such run or none of a decoder, or a prompt that its tokenizer cannot read.
    """
    logging.set_verbosity_error()  # of texts longer than the context we tell ourselves
    chosen = None if cfg.run_id else best_decoder(open_existing(cfg.tracking.uri, cfg.tracking.experiment))
    found = decoder(cfg.tracking.uri, chosen.record.run_id if chosen else cfg.run_id, typed(cfg))
    set_threads(cfg.threads)
    choice = Choice(
        max_new_tokens=cfg.max_new_tokens,
        temperature=float(cfg.temperature),
        top_k=cfg.top_k,
        top_p=cfg.top_p,
        seed=cfg.generation.seed,
        cache=cfg.cache,
    )
    tokens = encoded(found.vocabulary, prompt)
    _introduce(found, chosen.note if chosen else "")
    if cfg.train_mode:
        _show(passes(found, tokens, choice, cfg.passes), prompt)
        return
    began = time.perf_counter()
    _write(prompt)
    new = generated(found.model, tokens, choice, found.end, heard=Writer(found.vocabulary, _write))  # type: ignore[arg-type]
    _write("\n")
    seconds, ended = time.perf_counter() - began, int(new[0, -1]) == found.end
    note(f"{new.shape[1]} tokens in {seconds:.2f} s; {'the text ended' if ended else 'max_new_tokens ended it'}")
    if tokens.shape[1] + new.shape[1] > found.context_length:
        note(
            f"note: the text is longer than the {found.context_length} tokens that were seen together in training "
            "(data.context_length)"
        )


def _introduce(found: Decoder, choice: str) -> None:
    tags = found.record.tags
    bits = found.record.metrics.get("best/val/bits_per_character")
    quality = "" if bits is None else f", {bits:.3f} bits per character of validation"
    note(
        f"run {found.record.run_id}: {tags.get('strategy')} on {tags.get('data')} {tags.get('model')}{quality}{choice}"
    )


def _show(found: Passes, prompt: str) -> None:
    _write(f"in inference: {prompt}{found.plain}\n")
    for number, text in enumerate(found.texts, start=1):
        _write(f"\npass {number} with dropout on: {prompt}{text}\n")
    head = f"{'next token':<14}{'inference':>11}{'mean':>9}{'sd':>9}{'smallest':>10}{'largest':>9}"
    _write(f"\nprobability of the next token, over {len(found.texts)} passes with dropout on\n{head}\n")
    for row in found.spread:
        values = f"{row.plain:>11.3f}{row.mean:>9.3f}{row.sd:>9.3f}{row.low:>10.3f}{row.high:>9.3f}"
        _write(f"{row.token!r:<14}{values}\n")


def _write(text: str) -> None:
    write(text, raw=True)
