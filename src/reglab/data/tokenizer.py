"""Text to token numbers and back: characters, or byte-level byte-pair encoding.

Tokenizers are those of the library `tokenizers`, whose JSON text is all that is kept of one: nothing is pickled.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from reglab import hub_cache
from reglab.data.files import check_regular
from reglab.schema.errors import ConfigError, Setting

END = "<|endoftext|>"
UNKNOWN = "<unk>"
KINDS = ("characters", "bpe")
# What ends a text in the vocabularies of others: GPT-2 and ours, Llama 3 and its instructed ones, Llama 2, Gemma, ...
_ENDS = (END, "<|end_of_text|>", "<|eot_id|>", "<|im_end|>", "</s>", "<eos>", "[SEP]")
LEAST_VOCABULARY = 257  # every byte, and the end of a text

# Its threads would not be those that the run was given, and a process forked later would warn of them.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def trained(texts: Iterable[str], kind: str, vocab_size: int) -> Tokenizer:
    """A tokenizer that was made from these texts alone; `END` is token 0.

    Args:
        texts: what it is trained on.
        kind: ``characters``: a token for each character that occurs, and `UNKNOWN` for all others; ``bpe``: byte-level
            byte-pair encoding (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
            over bytes as in GPT-2), which no text is unknown to.
        vocab_size: tokens of ``bpe`` at the most, at least 257.
    """
    return _characters(texts) if kind == "characters" else _byte_pairs(texts, vocab_size)


def loaded(text: str, key: str) -> Tokenizer:
    """The tokenizer of a JSON text.

    Raises:
        ConfigError: it is none; `key` names where it came from.
    """
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises Exception itself
        raise ConfigError(key, f"is no tokenizer ({error})", "give the tokenizer.json that a run has kept") from error


def read(path: str, key: str) -> Tokenizer:
    """The tokenizer of a file ``tokenizer.json``, or of a folder or a model in the hub's cache that has one.

    Raises:
        ConfigError: there is none; `key` names where the path came from.
    """
    file = _file(path)
    if file is None:
        raise ConfigError(
            Setting(key, path),
            "must be characters, bpe, a tokenizer.json or the folder of one, or the name of a model in "
            "the Hugging Face cache",
        )
    check_regular(file, f"{key}={path}")
    return loaded(file.read_text(encoding="utf-8"), f"{key}={path}")


def is_that_of(vocabulary: Tokenizer, path: str) -> bool:
    """Whether tokens have the numbers that the model at a path knows them by; True where it brings no tokenizer."""
    file = _file(path)
    if file is None:
        return True
    own: dict[str, int] = loaded(file.read_text(encoding="utf-8"), str(file)).get_vocab()
    return own == vocabulary.get_vocab()


def _file(path: str) -> Path | None:
    place = hub_cache.local(path)
    if place is not None and place.is_dir():
        place = place / "tokenizer.json"
    return place if place is not None and place.exists() else None


def end_of(tokenizer: Tokenizer) -> int:
    """The token that ends a text, by the name that it has in well-known vocabularies.

    Raises:
        ConfigError: there is none of these names.
    """
    for name in _ENDS:
        number = tokenizer.token_to_id(name)
        if number is not None:
            return int(number)
    raise ConfigError(
        "data.tokenizer", f"no token ends a text (known are {', '.join(_ENDS)})", "give another tokenizer"
    )


def _characters(texts: Iterable[str]) -> Tokenizer:
    alphabet = sorted(set().union(*texts))
    numbers = {token: number for number, token in enumerate([END, UNKNOWN, *alphabet])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([END])
    return tokenizer


def _byte_pairs(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def characters_per_token(tokenizer: Tokenizer) -> np.ndarray | None:
    """Number of characters of each token, int64 (tokens,): bits per character are counted with it.

    A token of a byte-level vocabulary stands for the characters that begin in it, so that a text's tokens add up to its
    characters. Special tokens stand for none. None where tokens do not say what they stand for (WordPiece).
    """
    said = json.loads(tokenizer.to_str())
    kinds = set(_decoders(said.get("decoder") or {}))
    special = {token["id"] for token in said["added_tokens"] if token["special"]}
    tokens = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
    if "ByteLevel" in kinds:
        counts = [sum(byte not in _CONTINUATIONS for byte in token) for token in tokens]
    elif kinds & {"Fuse", "Metaspace"}:
        unknown = said["model"].get("unk_token")
        counts = [1 if token == unknown else _written(token) for token in tokens]
    else:
        return None
    return np.array([0 if number in special else count for number, count in enumerate(counts)], dtype=np.int64)


def _decoders(decoder: dict[str, object]) -> Iterator[str]:
    yield str(decoder.get("type"))
    inner = decoder.get("decoders")
    for part in inner if isinstance(inner, list) else []:
        yield from _decoders(part)


def _written(token: str) -> int:
    """Characters of a token that is written out; ``<0x0A>`` is a byte."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return int(not 0x80 <= int(token[3:5], 16) < 0xC0)
    return len(token)


def _continuations() -> frozenset[str]:
    """The letters that stand for bytes 80 to BF, which continue a character in UTF-8, in a byte-level vocabulary.

    Printable bytes of Latin-1 stand for themselves, the others for the letters from U+0100 on, in their order (as in
    GPT-2's vocabulary).
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) if byte in printable else chr(0x100 + others.index(byte)) for byte in range(256)}
    return frozenset(letters[byte] for byte in range(0x80, 0xC0))


_CONTINUATIONS = _continuations()
