"""A user's text for language modeling."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from reglab.data import tokenizer as tokenizers
from reglab.data.base import TensorData
from reglab.data.files import check_file, stem
from reglab.data.source import IGNORED, Source
from reglab.data.splitting.random import Rows
from reglab.schema.constraints import Constraints, Described, Integer, Nullable
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text_constraints import PATH, NameOrPath
from reglab.seeding import mix

_PARTS = ("training", "validation", "test")
_DEFAULTS = {"val_fraction": 0.1, "test_fraction": 0.1, "batch_size": 16}
_LOGITS = 2**23  # largest number of logits of an evaluation batch: 32 MB


class Text(TensorData):
    """Windows of `context_length` tokens; the target of each token is the next one, so both are int64 (length,).

    The text is split by characters: training first, then validation, then the test. Every seed has the same parts;
    `split_seed` draws the order of the training windows and, with `train_size`, which of them are kept. The tokenizer
    is trained on the whole training part only. Windows are adjacent. The last window of validation and test is padded
    with targets that are not counted, so that every token except the first of a part is predicted once; an incomplete
    window at the end of the training part is left out.

    Args:
        path: a text file in UTF-8, one document; each document ends with the end-of-text token.
        tokenizer: ``characters`` or ``bpe``, see `reglab.data.tokenizer`; or that of another model, as the path of its
            ``tokenizer.json`` or of the folder with it.
        vocab_size: maximum number of tokens of ``bpe``.
        context_length: number of tokens of a window.
        name: name of the data set; None: the file's stem.
        common: see `TensorData`; rows are windows, 16 a batch; validation and test are a tenth of the text each; label
            noise is refused.

    Attributes:
        vocabulary: the tokenizer, set in ``setup``.
    """

    kind = "language modeling"
    dims = 1
    suffixes: ClassVar = ()
    """Suffixes that the file may have; empty: any."""

    constraints: ClassVar[Constraints] = {
        "path": Nullable(PATH),
        "tokenizer": Described(
            NameOrPath(("characters", "bpe")),
            "characters, bpe, the path of a tokenizer.json or of the folder that contains it, or a model's name",
        ),
        "vocab_size": Integer(257, 1_000_000),
        "context_length": Integer(1),
    }

    def __init__(
        self,
        *,
        path: str | None = None,
        tokenizer: str = "characters",
        vocab_size: int = 1000,
        context_length: int = 128,
        name: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(name=name or stem(path or ""), **{**_DEFAULTS, **common})
        self.path = path
        self.tokenizer, self.vocab_size = tokenizer, vocab_size
        self.context_length = context_length
        self.vocabulary: Tokenizer
        self._windows: tuple[int, ...] = ()

    def documents(self) -> tuple[str, ...]:
        """Return the texts, in their order.

        Raises:
            ConfigError: no such file, or it is not text.
        """
        check_file(self.path, suffixes=self.suffixes)
        assert self.path is not None
        file = Path(self.path).expanduser()
        return _read(str(file), file.stat().st_mtime_ns)

    def load(self) -> Source:
        """Return all windows of all parts, and set the tokenizer."""
        if self.test_fraction is None:
            raise ConfigError(
                Setting("data.test_fraction", None), "a text has no predefined test", "give a share such as 0.1"
            )
        tokenized = _tokenize(self.documents(), self.val_fraction, self.test_fraction, self.tokenizer, self.vocab_size)
        self.vocabulary = tokenized.vocabulary
        self.characters = None if tokenized.characters is None else torch.from_numpy(tokenized.characters)
        for part, tokens in zip(_PARTS, tokenized.parts, strict=True):
            self._check_length(part, len(tokens))
        windows = [
            _windows(tokens, self.context_length, whole=part == "training")
            for part, tokens in zip(_PARTS, tokenized.parts, strict=True)
        ]
        self._windows = tuple(len(inputs) for inputs, _ in windows)
        inputs, targets = (torch.cat(pieces) for pieces in zip(*windows, strict=True))
        return Source(inputs, targets, classes=self.vocabulary.get_vocab_size())

    def _check_length(self, part: str, tokens: int) -> None:
        needed = self.context_length + 1 if part == "training" else 2
        if tokens < needed and (tokens or part == "training"):
            raise ConfigError(
                Setting("data.context_length", self.context_length),
                f"the {part} part of {self.name} has {tokens} tokens; at least {needed} are needed",
                "give more text, or decrease it",
            )

    def draw(self, source: Source, split_seed: int) -> Rows:
        """Return training windows in random order, and those of validation and test in order."""
        train, val, _ = self._windows
        order = np.random.default_rng(mix(split_seed, "split")).permutation(train)
        if self.train_size is not None and self.train_size > train:
            raise ConfigError(
                Setting("data.train_size", self.train_size),
                f"the training part of {self.name} has only {train} windows of {self.context_length} tokens",
                "set at most that, or null for all",
            )
        rest = np.arange(train, len(source.targets))
        return Rows(order[: self.train_size], rest[:val], rest[val:])

    @property
    def evaluation_rows(self) -> int:
        """Windows of an evaluation batch: each has a logit for every token of the vocabulary at every position."""
        return max(1, _LOGITS // (self.context_length * self.outputs))

    def files(self) -> dict[str, str]:
        """Return the tokenizer, which the trained model needs."""
        return {"tokenizer.json": self.vocabulary.to_str(pretty=True)}


class _Tokenized(NamedTuple):
    """Tokens of each part, int64 (tokens,), the tokenizer, and the number of characters of each of its tokens."""

    parts: tuple[np.ndarray, ...]
    vocabulary: Tokenizer
    characters: np.ndarray | None


@lru_cache(maxsize=4)  # tokenized once in a sweep
def _tokenize(documents: tuple[str, ...], val: float, test: float, kind: str, vocab_size: int) -> _Tokenized:
    pieces = split_documents(documents, val, test)
    if kind in tokenizers.KINDS:
        vocabulary = tokenizers.train_tokenizer([text for text, _ in pieces[0]], kind, vocab_size)
    else:
        vocabulary = tokenizers.read_tokenizer(kind, "data.tokenizer")
    parts = tuple(_encode(part, vocabulary) for part in pieces)
    return _Tokenized(parts, vocabulary, tokenizers.characters_per_token(vocabulary))


def split_documents(documents: Sequence[str], val: float, test: float) -> tuple[list[tuple[str, bool]], ...]:
    """Return the pieces of documents for training, validation and test.

    Args:
        documents: texts.
        val: share of all characters for validation.
        test: share of all characters for the test, the last ones.

    Returns:
        for each part, (text, True if its document ends there), in order.

    Example:
        >>> split_documents(["abcdef", "ghij"], val=0.2, test=0.2)
        ([('abcdef', True)], [('gh', False)], [('ij', True)])
    """
    total = sum(map(len, documents))
    held_out = round(test * total)
    ends = [total - held_out - round(val * total), total - held_out, total]
    parts: tuple[list[tuple[str, bool]], ...] = ([], [], [])
    seen = 0
    for document in documents:
        begin = 0
        for part, end in zip(parts, ends, strict=True):
            stop = min(max(end - seen, begin), len(document))
            if stop > begin:
                part.append((document[begin:stop], stop == len(document)))
            begin = stop
        seen += len(document)
    return parts


def _encode(pieces: Sequence[tuple[str, bool]], vocabulary: Tokenizer) -> np.ndarray:
    end = [tokenizers.end_token(vocabulary)]
    encoded = vocabulary.encode_batch_fast([text for text, _ in pieces], add_special_tokens=False)
    numbers = [piece.ids + end * ends_document for piece, (_, ends_document) in zip(encoded, pieces, strict=True)]
    return np.array([number for piece_numbers in numbers for number in piece_numbers], dtype=np.int64)


def _windows(tokens: np.ndarray, length: int, *, whole: bool) -> tuple[Tensor, Tensor]:
    """Return inputs and targets (windows, length); an incomplete last window is padded, or left out if `whole`."""
    predicted = max(len(tokens) - 1, 0)
    count = predicted // length if whole else -(-predicted // length)
    inputs = np.zeros(count * length, dtype=np.int64)
    targets = np.full(count * length, IGNORED, dtype=np.int64)
    kept = min(predicted, count * length)
    inputs[:kept], targets[:kept] = tokens[:kept], tokens[1 : kept + 1]
    return torch.from_numpy(inputs).reshape(count, length), torch.from_numpy(targets).reshape(count, length)


@lru_cache(maxsize=2)
def _read(path: str, _modified_ns: int) -> tuple[str, ...]:
    try:
        return (Path(path).read_text(encoding="utf-8-sig"),)
    except UnicodeDecodeError as error:
        raise ConfigError(
            Setting("data.path", path), f"is not UTF-8 text (byte {error.start})", "convert it (iconv)"
        ) from error
