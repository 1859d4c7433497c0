"""Tokenizers decode what they encode."""

import numpy as np
import pytest

from reglab.data.tokenizer import END, KINDS, UNKNOWN, characters_per_token, parse_tokenizer, train_tokenizer
from tests.errors import config_error

TEXT = "Call me Ishmael.\r\n\tSome years ago — never mind how long…\n  naïve 日本 \U0001f600 it's\x00 over"


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_is_decoded_as_encoded(kind: str) -> None:
    tokenizer = train_tokenizer([TEXT], kind, 300)
    numbers = tokenizer.encode(TEXT).ids
    assert tokenizer.decode(numbers, skip_special_tokens=False) == TEXT
    counts = characters_per_token(tokenizer)
    assert counts is not None
    assert counts.dtype == np.int64
    assert counts[numbers].sum() == len(TEXT)
    assert counts[0] == 0
    assert tokenizer.encode(f"a{END}").ids[-1] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_tokenizer_is_saved_as_text(kind: str) -> None:
    tokenizer = train_tokenizer([TEXT], kind, 300)
    again = parse_tokenizer(tokenizer.to_str(), "tokenizer.json")
    assert again.encode(TEXT).ids == tokenizer.encode(TEXT).ids
    assert again.get_vocab() == tokenizer.get_vocab()


def test_characters_are_tokens_in_their_order_and_others_are_unknown() -> None:
    tokenizer = train_tokenizer(["ba", "ca"], "characters", 0)
    assert [tokenizer.id_to_token(i) for i in range(tokenizer.get_vocab_size())] == [END, UNKNOWN, "a", "b", "c"]
    assert tokenizer.encode("abxa").ids == [2, 3, 1, 2]


def test_byte_pairs_encode_any_text_with_the_vocabulary_size() -> None:
    tokenizer = train_tokenizer(["low lower lowest " * 50], "bpe", 262)
    assert tokenizer.get_vocab_size() == 262
    assert tokenizer.decode(tokenizer.encode(TEXT).ids) == TEXT
    assert len(tokenizer.encode("low").ids) == 1  # the most frequent pairs are merged first


def test_a_text_that_is_not_a_tokenizer_is_refused() -> None:
    with config_error("run_id=7: tokenizer.json is not a tokenizer ("):
        parse_tokenizer("{}", "run_id=7", "tokenizer.json")
