"""Tokenizers of characters and byte-level byte pairs, and those of other models.

They are objects of the library `tokenizers`, stored as its JSON text: nothing is pickled.
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
# End-of-text tokens of GPT-2 (also used here), Llama 3 and its instruction-tuned models, Llama 2, Gemma, BERT.
_END_TOKENS = (END, "<|end_of_text|>", "<|eot_id|>", "<|im_end|>", "</s>", "<eos>", "[SEP]")
# It would not respect the number of threads of the run, and would warn in forked processes.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def train_tokenizer(texts: Iterable[str], kind: str, vocab_size: int) -> Tokenizer:
    """Return a tokenizer trained on these texts; `END` is token 0.

    Args:
        texts: texts of the training part.
        kind: ``characters``: a token for each character that occurs, and `UNKNOWN` for all others; ``bpe``: byte-level
            byte-pair encoding (Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
            over bytes as in GPT-2), which can encode any text.
        vocab_size: largest number of tokens of ``bpe``, at least 257 (every byte, and `END`).

    Example:
        >>> vocabulary = train_tokenizer(["abba"], "characters", vocab_size=0)
        >>> vocabulary.encode("ab?").tokens
        ['a', 'b', '<unk>']
    """
    return _characters(texts) if kind == "characters" else _byte_pairs(texts, vocab_size)


def parse_tokenizer(text: str, where: Setting | str, name: str = "") -> Tokenizer:
    """Return the tokenizer that a JSON text describes.

    Args:
        text: content of a ``tokenizer.json``.
        where: the setting that gave it, for messages.
        name: name of the file, if the setting gave its folder or run.

    Raises:
        ConfigError: the text is not a tokenizer.
    """
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises Exception itself
        problem = f"{name} is not a tokenizer ({error})".strip()
        raise ConfigError(where, problem, "give the tokenizer.json of a run or model") from error


def read_tokenizer(path: str, key: str) -> Tokenizer:
    """Return the tokenizer of a file ``tokenizer.json``, or of a folder or a model in the hub's cache that has one.

    Args:
        path: path of a file or folder, or the name of a model.
        key: key of the setting that gave it, for messages.

    Raises:
        ConfigError: there is none.
    """
    file = _file(path)
    if file is None:
        raise ConfigError(
            Setting(key, path),
            "must be characters, bpe, a tokenizer.json or the folder of one, or the name of a model in "
            "the Hugging Face cache",
        )
    check_regular(file, Setting(key, path))
    return parse_tokenizer(file.read_text(encoding="utf-8"), Setting(key, path))


def matches_model(vocabulary: Tokenizer, path: str) -> bool:
    """Return whether tokens have the same ids as in the tokenizer of a model; True if the model has none.

    Args:
        vocabulary: the tokenizer to compare.
        path: path of the model's folder, or its name.
    """
    file = _file(path)
    if file is None:
        return True
    model_ids: dict[str, int] = parse_tokenizer(file.read_text(encoding="utf-8"), str(file)).get_vocab()
    return model_ids == vocabulary.get_vocab()


def _file(path: str) -> Path | None:
    file = hub_cache.find_local(path)
    if file is not None and file.is_dir():
        file = file / "tokenizer.json"
    return file if file is not None and file.exists() else None


def end_token(tokenizer: Tokenizer) -> int:
    """Return the id of the end-of-text token, by its names in well-known vocabularies.

    Raises:
        ConfigError: none of these names is in the vocabulary.
    """
    for name in _END_TOKENS:
        number = tokenizer.token_to_id(name)
        if number is not None:
            return int(number)
    raise ConfigError(
        "data.tokenizer",
        f"the vocabulary has no end-of-text token (known tokens: {', '.join(_END_TOKENS)})",
        "give another tokenizer",
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
    """Return the number of characters of each token, int64 (tokens,), for bits per character.

    A token of a byte-level vocabulary counts the characters that begin in it, so that the tokens of a text add up to
    its characters. Special tokens count none. None if tokens do not determine their characters (WordPiece).
    """
    content = json.loads(tokenizer.to_str())
    kinds = set(_decoders(content.get("decoder") or {}))
    special = {token["id"] for token in content["added_tokens"] if token["special"]}
    tokens = [tokenizer.id_to_token(number) or "" for number in range(tokenizer.get_vocab_size())]
    if "ByteLevel" in kinds:
        counts = [sum(byte not in _CONTINUATIONS for byte in token) for token in tokens]
    elif kinds & {"Fuse", "Metaspace"}:
        unknown = content["model"].get("unk_token")
        counts = [1 if token == unknown else _count_characters(token) for token in tokens]
    else:
        return None
    return np.array([0 if number in special else count for number, count in enumerate(counts)], dtype=np.int64)


def _decoders(decoder: dict[str, object]) -> Iterator[str]:
    yield str(decoder.get("type"))
    inner = decoder.get("decoders")
    for part in inner if isinstance(inner, list) else []:
        yield from _decoders(part)


def _count_characters(token: str) -> int:
    """Return the number of characters of a token in plain text; ``<0x0A>`` is a byte."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return int(not 0x80 <= int(token[3:5], 16) < 0xC0)
    return len(token)


def _continuations() -> frozenset[str]:
    """Return the letters for bytes 80 to BF, which continue a character in UTF-8, in a byte-level vocabulary.

    As in GPT-2's vocabulary, printable bytes of Latin-1 are written as themselves, the others as the letters from
    U+0100 on, in their order.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) if byte in printable else chr(0x100 + others.index(byte)) for byte in range(256)}
    return frozenset(letters[byte] for byte in range(0x80, 0xC0))


_CONTINUATIONS = _continuations()
