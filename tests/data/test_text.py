"""Windows of a text: inputs, targets and parts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reglab.data import PythonDocs, Text
from reglab.data.source import IGNORED
from reglab.data.text import split_documents
from reglab.schema.errors import ConfigError
from tests.errors import check_error

DIGITS = "".join(str(i % 10) for i in range(100))


def text(folder: Path, content: str = DIGITS, **options: Any) -> Text:
    path = folder / "some.txt"
    path.write_text(content, encoding="utf-8")
    data = Text(path=str(path), **{"seed": 0, "split_seed": 0, "context_length": 8, "batch_size": 4, **options})
    data.setup()
    return data


def decode(data: Text, numbers: torch.Tensor) -> str:
    return data.vocabulary.decode(numbers[numbers >= 0].tolist(), skip_special_tokens=False)


def test_the_target_of_every_token_is_the_next_one(tmp_path: Path) -> None:
    data = text(tmp_path)
    assert (data.name, data.kind, data.input_shape, data.outputs) == ("some", "language modeling", (8,), 12)
    for part, begin, characters in ((data.val, 80, 10), (data.test, 90, 10)):
        inputs, targets = part.inputs.flatten(), part.targets.flatten()
        end = "" if part is data.val else "<|endoftext|>"  # the document ends with the last part
        assert decode(data, targets) == DIGITS[begin + 1 : begin + characters] + end
        predicted = int((targets != IGNORED).sum())
        assert torch.equal(inputs[1:predicted], targets[: predicted - 1])
        assert decode(data, inputs[:1]) == DIGITS[begin]
    assert (data.train_rows, data.val_rows, data.test_rows) == (9, 2, 2)  # 7 of 80 tokens are not used
    for row, inputs, targets in zip(data.parts.train, data.train.inputs, data.train.targets, strict=True):
        assert decode(data, inputs) == DIGITS[8 * row : 8 * row + 8]
        assert decode(data, targets) == DIGITS[8 * row + 1 : 8 * row + 9]


def test_each_token_except_the_first_of_a_part_is_predicted_once(tmp_path: Path) -> None:
    data = text(tmp_path, DIGITS * 3, context_length=7, val_fraction=0.21, test_fraction=0.3)
    assert [int((part.targets >= 0).sum()) for part in (data.val, data.test)] == [62, 90]  # 63 - 1; 90 + end - 1


def test_the_tokenizer_is_trained_on_the_training_part_only(tmp_path: Path) -> None:
    data = text(tmp_path, "ab" * 40 + "xy" * 10)
    assert "x" not in data.vocabulary.get_vocab()
    assert set(data.val.targets[data.val.targets >= 0].tolist()) == {data.vocabulary.token_to_id("<unk>")}
    assert data.files() == {"tokenizer.json": data.vocabulary.to_str(pretty=True)}


def test_validation_and_test_are_the_same_for_every_seed_and_size(tmp_path: Path) -> None:
    full, few, of_other_seed = (
        text(tmp_path),
        text(tmp_path, train_size=3),
        text(tmp_path, train_size=3, split_seed=1, seed=1),
    )
    for part in ("val", "test"):
        assert torch.equal(getattr(full, part).targets, getattr(few, part).targets)
        assert torch.equal(getattr(full, part).targets, getattr(of_other_seed, part).targets)
    assert len(few.train) == 3
    assert np.array_equal(few.parts.train, full.parts.train[:3])
    assert full.split_hash != few.split_hash != of_other_seed.split_hash
    assert full.vocabulary.to_str() == few.vocabulary.to_str()


def test_documents_are_split_by_characters_and_end_with_a_token() -> None:
    train, val, test = split_documents(["abcde", "fghij", "k"], 2 / 11, 3 / 11)
    assert train == [("abcde", True), ("f", False)]
    assert val == [("gh", False)]
    assert test == [("ij", True), ("k", True)]
    assert split_documents(["abc"], 0, 0) == ([("abc", True)], [], [])


def test_an_evaluation_batch_has_a_bounded_number_of_logits(tmp_path: Path) -> None:
    data = text(tmp_path, DIGITS * 30)
    assert data.evaluation_rows == 2**23 // (8 * 12)
    (loader, _) = data.val_dataloader()
    assert torch.equal(torch.cat([targets for _, targets in loader]), data.val.targets)


def test_python_docs_are_bundled() -> None:
    data = PythonDocs(name="python_docs", seed=0, split_seed=0, tokenizer="bpe", vocab_size=500)
    data.setup()
    assert data.outputs == 500
    assert data.train_rows > 500
    ends = int(sum((part.targets == 0).sum() for part in (data.train, data.val, data.test)))
    assert 60 < ends <= len(data.documents())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (
            {"context_length": 200},
            "data.context_length=200: 80 tokens ... 201",
        ),
        (
            {"train_size": 10},
            "data.train_size=10: 9 windows of 8 tokens",
        ),
        ({"label_noise": 0.1}, "data.label_noise=0.1: language modeling"),
        ({"test_fraction": None}, "data.test_fraction=null: no predefined test"),
        (
            {"val_fraction": 0.01},
            "data.context_length=8: validation ... 1 tokens",
        ),
    ],
)
def test_unusable_texts_are_refused(tmp_path: Path, given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        text(tmp_path, **given)
    check_error(refused.value, problem)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"ab\xff\xfe")
    with pytest.raises(ConfigError, match=r"binary\.txt: is not UTF-8 text \(byte 2\)"):
        Text(path=str(tmp_path / "binary.txt"), seed=0, split_seed=0).setup()
