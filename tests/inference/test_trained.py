"""Tracked decoders found again, and the command that lets them write."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reglab.config.compose import compose
from reglab.inference.best_run import best_decoder, best_run
from reglab.inference.generation import DecodingSettings, dropout_passes, encode, generate, print_generated, text_of
from reglab.inference.loading import load_decoder
from reglab.paths import PROJECT
from reglab.schema.errors import ConfigError
from reglab.tracking import artifacts
from reglab.tracking.store import Store, open_store
from reglab.training.run import run
from tests.conftest import fresh_store
from tests.errors import config_error

SIZES = ("hidden_size=32", "layers=1", "heads=2", "key_value_heads=1", "intermediate_size=48")
LINE = [
    *("data=python_docs", "data.train_size=64", "data.context_length=32", "data.val_fraction=0.02"),
    *("data.test_fraction=0.02", "model=llama", *(f"model.{size}" for size in SIZES)),
    *("trainer.max_epochs=1", "trainer.progress=false", "tracking.experiment=mine"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Store:
    return open_store(fresh_store(empty_database, tmp_path_factory.mktemp("decoders")), "mine")


def trained(store: Store, *overrides: str) -> str:
    line = [*LINE, *overrides, f"tracking.uri={store.uri}"]
    return run(compose(line), line).run_id


@pytest.fixture(scope="module")
def noisy(store: Store) -> str:
    return trained(store, "regularizer=[residual_dropout,l2]", "regularizer.residual_dropout.p=0.5")


@pytest.fixture(scope="module")
def plain(store: Store) -> str:
    return trained(store, "model.tie_embeddings=true")


@pytest.mark.slow
def test_a_run_comes_back_with_its_weights_and_tokenizer(store: Store, noisy: str) -> None:
    found = load_decoder(store.uri, noisy)
    with artifacts.of_run(store, noisy).file("weights/best.safetensors") as file:
        assert file is not None
        weights = load_file(file)
    assert set(weights) == set(found.model.state_dict())
    assert all(torch.equal(value, weights[name]) for name, value in found.model.state_dict().items())
    assert (found.context_length, found.end) == (32, 0)
    assert not any(module.training for module in found.model.modules())
    assert not any(module._forward_hooks for name, module in found.model.named_modules() if name)  # no regularizer


@pytest.mark.slow
def test_tied_embeddings_come_back_tied(store: Store, plain: str) -> None:
    model: Any = load_decoder(store.uri, plain).model
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_without_a_name_the_best_run_is_taken(store: Store, noisy: str, plain: str) -> None:
    runs = {run_id: store.client.get_run(run_id).data.metrics for run_id in (noisy, plain)}
    found = best_decoder(store)
    assert found.record.run_id == min(runs, key=lambda run_id: runs[run_id]["best/val/bits_per_character"])
    assert (found.metric, found.others, found.note) == ("best/val/bits_per_character", (), "")
    with config_error("run_id=null: other ... no finished language model"):
        best_decoder(open_store(store.uri, "other"))


@pytest.mark.slow
def test_the_best_is_of_the_text_trained_last(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poem, news = tmp_path / "poem.txt", tmp_path / "news.txt"
    poem.write_text("abcd" * 2000)  # the easier one, whose runs have fewer bits
    news.write_text("".join(chr(97 + (7 * i * i + i // 3) % 26) for i in range(8000)))
    short = ("data.val_fraction=0.1", "tracking.experiment=texts", "optimizer.lr=0.01")
    of_poem, of_news = (("data=text", f"data.path={file}", *short) for file in (poem, news))
    texts = open_store(store.uri, "texts")

    def bits(run_id: str) -> float:
        return texts.client.get_run(run_id).data.metrics["best/val/bits_per_character"]

    easy = trained(store, *of_poem)
    assert best_decoder(texts).note == ""
    hard = [trained(store, *of_news, f"seed={seed}") for seed in (0, 1)]
    assert bits(easy) < min(map(bits, hard))
    found = best_decoder(texts)
    assert found.record.run_id == min(hard, key=bits)
    assert "the text of the latest run" in found.note
    assert found.note.endswith(": poem)")

    # Tokenizer, context and training rows are settings of a method for the same text; the split is not.
    means = [
        trained(store, *of_news, "data.tokenizer=bpe", "data.vocab_size=40", "data.context_length=16"),
        trained(store, *of_news, "data.train_size=16"),
    ]
    assert best_decoder(texts).record.run_id == min([*hard, *means], key=bits)
    other_cut = trained(store, *of_news, "data.val_fraction=0.3")
    found = best_decoder(texts)
    assert found.record.run_id == other_cut
    assert found.others == ("news with other data.val_fraction", "poem")
    trained(store, *of_poem, "data.val_fraction=0", "seed=1")  # nothing tells how good it is
    assert best_decoder(texts).record.run_id == other_cut

    poem.write_text("abcdefgh" * 1000)  # under its old name
    again = trained(store, *of_poem)
    found = best_decoder(texts)
    assert found.record.run_id == again
    assert "poem with other data.path" in found.others
    assert best_run(texts, data="poem").record.run_id == again  # what export takes
    with config_error("run_id=null: texts ... news, poem"):
        best_run(texts)

    where = [f"tracking.uri={store.uri}", "tracking.experiment=texts", "max_new_tokens=2"]
    print_generated(compose(where, "generate"), "ab")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"run {again}: ")]
    assert line.startswith(f"run {again}: none on poem llama, ")
    assert line.endswith(found.note)
    print_generated(compose([*where, f"run_id={easy}"], "generate"), "ab")
    assert "trained last" not in capsys.readouterr().err


@pytest.mark.slow
def test_by_tokens_only_runs_of_one_tokenizer_are_compared(store: Store, tmp_path: Path) -> None:
    """A loss is nats a token: fewer of them, where the tokens are shorter."""
    (tmp_path / "lines.txt").write_text("the cat sat on the mat, and the dog lay on the log; " * 200)
    line = ("data=text", f"data.path={tmp_path / 'lines.txt'}", "data.val_fraction=0.1", "tracking.experiment=tokens")
    by_characters = trained(store, *line)
    by_pairs = trained(store, *line, "data.tokenizer=bpe", "data.vocab_size=60")
    tokens = open_store(store.uri, "tokens")
    loss = {run_id: tokens.client.get_run(run_id).data.metrics["best/val/loss"] for run_id in (by_characters, by_pairs)}
    assert loss[by_characters] < loss[by_pairs]
    found = best_run(tokens, metric="test/loss")
    assert found.record.run_id == by_pairs
    (other,) = found.others
    assert other.endswith(" data.tokenizer, data.vocab_size")


@pytest.mark.slow
def test_passes_with_dropout_spread_and_without_there_are_none(store: Store, noisy: str, plain: str) -> None:
    found = load_decoder(store.uri, noisy)
    prompt = encode(found.vocabulary, "The statement")
    choice = DecodingSettings(10)
    text = text_of(found.vocabulary, generate(found.model, prompt, choice, 0)[0].tolist())  # type: ignore[arg-type]
    passes = dropout_passes(found, prompt, choice, 6)
    assert passes.plain == text
    assert len(passes.texts) == 6
    assert len(set(passes.texts)) > 1
    first = passes.spread[0]
    assert first.low < first.mean < first.high
    assert first.sd > 0
    assert [row.plain for row in passes.spread] == sorted((row.plain for row in passes.spread), reverse=True)
    assert text_of(found.vocabulary, generate(found.model, prompt, choice, 0)[0].tolist()) == text  # type: ignore[arg-type]
    still = load_decoder(store.uri, plain)
    with pytest.raises(ConfigError, match=r"^train_mode=true: the strategy none .*random"):
        dropout_passes(still, prompt, choice, 2)


@pytest.mark.slow
def test_what_is_no_decoder_is_refused(store: Store) -> None:
    other = ["data=wine", "model=linear", "trainer.max_epochs=1", "trainer.progress=false", "tracking.experiment=mine"]
    other.append(f"tracking.uri={store.uri}")
    wine = run(compose(other), other).run_id
    with pytest.raises(ConfigError, match=rf"^run_id={wine}: is classification.*language model"):
        load_decoder(store.uri, wine)
    bare = trained(store, "tracking.weights=none")
    with pytest.raises(ConfigError, match=rf"^run_id={bare}: .*no weights \(tracking.weights=none\)"):
        load_decoder(store.uri, bare)


@pytest.mark.slow
def test_a_tokenizer_of_another_run_is_refused(store: Store) -> None:
    first, second = trained(store, "seed=1"), trained(store, "seed=2", "data.tokenizer=bpe", "data.vocab_size=300")
    folders = [artifacts.of_run(store, run_id).dir for run_id in (first, second)]
    assert folders[0] is not None
    assert folders[1] is not None
    shutil.copy(folders[1] / "tokenizer.json", folders[0] / "tokenizer.json")
    with config_error(f"run_id={first}: weights ... llama ... 300 tokens"):
        load_decoder(store.uri, first)
    (folders[0] / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match=rf"^run_id={first}: tokenizer.json is not a tokenizer"):
        load_decoder(store.uri, first)
    (folders[0] / "tokenizer.json").unlink()
    with pytest.raises(ConfigError, match=rf"^run_id={first}: has no tokenizer.json"):
        load_decoder(store.uri, first)


@pytest.mark.slow
def test_make_generate_takes_any_prompt_as_it_is(store: Store) -> None:
    run_id = trained(store, "seed=3", "data.tokenizer=bpe", "data.vocab_size=300")
    prompt = """Call me Ishmael, he said, it's "so": {a, [b]} = $5 $HOME (50%) \\ #1; `x` & <y> | ~ ! * ? ^ @ é"""
    prompt += " ${HOME} ${x} $(shell exit 3) ??? ${"
    arguments = f"ARGS=tracking.uri={store.uri} run_id='{run_id}' max_new_tokens=40"
    made = subprocess.run(
        ["make", "--no-print-directory", "generate", f"PROMPT={prompt}", arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(prompt)
    assert len(made.stdout) > len(prompt) + 20
    assert f"run {run_id}: none on python_docs llama, " in made.stderr
