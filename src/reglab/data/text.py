"""A user's own text, as a language model reads it."""

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
from reglab.data.splits import Rows
from reglab.schema.errors import ConfigError, Setting
from reglab.seeding import mix

PARTS = ("training", "validation", "test")
_AXES = {"val_fraction": 0.1, "test_fraction": 0.1, "batch_size": 16}
_LOGITS = 2**23  # numbers that a model may say in one batch of evaluation: 32 MB


class Text(TensorData):
    """Windows of `context_length` tokens; the target of each token is the next one, so both are int64 (length,).

    The text is cut by its characters: training first, then validation, then the test, so that every seed has the same
    parts, and `split_seed` draws the order of the training windows and, with `train_size`, which of them are kept. The
    tokenizer is made from the whole training part alone. Windows follow one another without a gap; the last one of
    validation and test is filled up with targets that do not count, so that every token but a part's first is
    predicted once, and what is left over at the end of the training part is not trained on.

    Args:
        path: a text file in UTF-8; each document of it ends with the end-of-text token.
        tokenizer: ``characters`` or ``bpe``, see `reglab.data.tokenizer`; or that of another model, as the path of its
            ``tokenizer.json`` or of the folder that holds it.
        vocab_size: tokens of ``bpe`` at the most.
        context_length: tokens of a window.
        name: None: the file's stem.
        axes: see `TensorData`; rows are windows, 16 a batch; a tenth of the text each for validation and for the test;
            label noise is refused.

    After ``setup`` also: ``vocabulary``, the tokenizer.
    """

    kind = "language modeling"
    dims = 1
    suffixes: ClassVar = ()
    """Of a file: any."""

    def __init__(
        self,
        *,
        path: str | None = None,
        tokenizer: str = "characters",
        vocab_size: int = 1000,
        context_length: int = 128,
        name: str | None = None,
        **axes: Any,
    ) -> None:
        super().__init__(name=name or stem(path or ""), **{**_AXES, **axes})
        self.path = path
        self.tokenizer, self.vocab_size = tokenizer, vocab_size
        self.context_length = context_length
        self.vocabulary: Tokenizer
        self._windows: tuple[int, ...] = ()

    def documents(self) -> tuple[str, ...]:
        """The texts, in their order.

        Raises:
            ConfigError: no such file, or it is no text.
        """
        check_file(self.path, suffixes=self.suffixes)
        assert self.path is not None
        file = Path(self.path).expanduser()
        return _read(str(file), file.stat().st_mtime_ns)

    def load(self) -> Source:
        """All windows of all parts, and the tokenizer."""
        if self.test_fraction is None:
            raise ConfigError(
                Setting("data.test_fraction", None), "a text has no test part of its own", "give a share such as 0.1"
            )
        cut = _cut(self.documents(), self.val_fraction, self.test_fraction, self.tokenizer, self.vocab_size)
        self.vocabulary = cut.vocabulary
        self.characters = None if cut.characters is None else torch.from_numpy(cut.characters)
        for part, tokens in zip(PARTS, cut.parts, strict=True):
            self._check_length(part, len(tokens))
        windows = [
            _windows(tokens, self.context_length, whole=part == "training")
            for part, tokens in zip(PARTS, cut.parts, strict=True)
        ]
        self._windows = tuple(len(inputs) for inputs, _ in windows)
        inputs, targets = (torch.cat(pieces) for pieces in zip(*windows, strict=True))
        return Source(inputs, targets, classes=self.vocabulary.get_vocab_size(), sequence=True)

    def _check_length(self, part: str, tokens: int) -> None:
        needed = self.context_length + 1 if part == "training" else 2
        if tokens < needed and (tokens or part == "training"):
            raise ConfigError(
                Setting("data.context_length", self.context_length),
                f"the {part} part of {self.name} has {tokens} tokens, and {needed} are needed",
                "give more text, or lower it",
            )

    def draw(self, source: Source, split_seed: int) -> Rows:
        """Training windows in random order, those of validation and test as they follow one another."""
        train, val, _ = self._windows
        order = np.random.default_rng(mix(split_seed, "split")).permutation(train)
        if self.train_size is not None and self.train_size > train:
            raise ConfigError(
                Setting("data.train_size", self.train_size),
                f"the training part of {self.name} has {train} windows of {self.context_length} tokens",
                "at most that, or null for all",
            )
        rest = np.arange(train, len(source.targets))
        return Rows(order[: self.train_size], rest[:val], rest[val:])

    @property
    def evaluation_rows(self) -> int:
        """Windows of a batch of evaluation: each has a logit for every token at every place."""
        return max(1, _LOGITS // (self.context_length * self.outputs))

    def files(self) -> dict[str, str]:
        """The tokenizer that text has to be read with again."""
        return {"tokenizer.json": self.vocabulary.to_str(pretty=True)}


class _Cut(NamedTuple):
    """The tokens of each part, int64, with the tokenizer and what its tokens stand for."""

    parts: tuple[np.ndarray, ...]
    vocabulary: Tokenizer
    characters: np.ndarray | None


@lru_cache(maxsize=4)  # read and made into tokens once in a sweep
def _cut(documents: tuple[str, ...], val: float, test: float, kind: str, vocab_size: int) -> _Cut:
    pieces = cut_up(documents, val, test)
    if kind in tokenizers.KINDS:
        vocabulary = tokenizers.trained([text for text, _ in pieces[0]], kind, vocab_size)
    else:
        vocabulary = tokenizers.read(kind, "data.tokenizer")
    parts = tuple(_numbered(part, vocabulary) for part in pieces)
    return _Cut(parts, vocabulary, tokenizers.characters_per_token(vocabulary))


def cut_up(documents: Sequence[str], val: float, test: float) -> tuple[list[tuple[str, bool]], ...]:
    """Training, validation and test: pieces of documents in their order, each with whether its document ends there.

    Args:
        documents: texts.
        val: share of all characters for validation.
        test: share of all characters for the test, which are the last ones.
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


def _numbered(pieces: Sequence[tuple[str, bool]], vocabulary: Tokenizer) -> np.ndarray:
    end = [tokenizers.end_of(vocabulary)]
    encoded = vocabulary.encode_batch_fast([text for text, _ in pieces], add_special_tokens=False)
    numbers = [piece.ids + end * over for piece, (_, over) in zip(encoded, pieces, strict=True)]
    return np.array([number for some in numbers for number in some], dtype=np.int64)


def _windows(tokens: np.ndarray, length: int, *, whole: bool) -> tuple[Tensor, Tensor]:
    """Inputs and targets (windows, length) that follow one another; the last is filled up, or left out if `whole`."""
    predicted = max(len(tokens) - 1, 0)
    count = predicted // length if whole else -(-predicted // length)
    inputs = np.zeros(count * length, dtype=np.int64)
    targets = np.full(count * length, IGNORED, dtype=np.int64)
    kept = min(predicted, count * length)
    inputs[:kept], targets[:kept] = tokens[:kept], tokens[1 : kept + 1]
    return torch.from_numpy(inputs).reshape(count, length), torch.from_numpy(targets).reshape(count, length)


@lru_cache(maxsize=2)
def _read(path: str, _changed: int) -> tuple[str, ...]:
    try:
        return (Path(path).read_text(encoding="utf-8-sig"),)
    except UnicodeDecodeError as error:
        raise ConfigError(
            Setting("data.path", path), f"is no text in UTF-8 (byte {error.start})", "convert it (iconv)"
        ) from error
