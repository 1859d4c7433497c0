"""Loading of tracked decoders, and the command that generates text."""

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
def test_a_decoder_is_loaded_with_its_weights_and_tokenizer(store: Store, noisy: str) -> None:
    decoder = load_decoder(store.uri, noisy)
    with artifacts.of_run(store, noisy).file("weights/best.safetensors") as file:
        assert file is not None
        weights = load_file(file)
    assert set(weights) == set(decoder.model.state_dict())
    assert all(torch.equal(value, weights[name]) for name, value in decoder.model.state_dict().items())
    assert (decoder.context_length, decoder.end) == (32, 0)
    assert not any(module.training for module in decoder.model.modules())
    assert not any(
        module._forward_hooks for name, module in decoder.model.named_modules() if name
    )  # no hooks of regularizers


@pytest.mark.slow
def test_tied_embeddings_are_loaded_tied(store: Store, plain: str) -> None:
    model: Any = load_decoder(store.uri, plain).model
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_the_best_run_is_the_default(store: Store, noisy: str, plain: str) -> None:
    runs = {run_id: store.client.get_run(run_id).data.metrics for run_id in (noisy, plain)}
    best = best_decoder(store)
    assert best.record.run_id == min(runs, key=lambda run_id: runs[run_id]["best/val/bits_per_character"])
    assert (best.metric, best.others, best.note) == ("best/val/bits_per_character", (), "")
    with config_error("run_id=null: other ... no finished language model"):
        best_decoder(open_store(store.uri, "other"))


@pytest.mark.slow
def test_the_best_run_is_of_the_text_trained_last(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    poem, news = tmp_path / "poem.txt", tmp_path / "news.txt"
    poem.write_text("abcd" * 2000)  # easier: fewer bits per character
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
    best = best_decoder(texts)
    assert best.record.run_id == min(hard, key=bits)
    assert "the text of the latest run" in best.note
    assert best.note.endswith(": poem)")

    # Runs with other tokenizers, contexts and training sizes are comparable; runs with other splits are not.
    means = [
        trained(store, *of_news, "data.tokenizer=bpe", "data.vocab_size=40", "data.context_length=16"),
        trained(store, *of_news, "data.train_size=16"),
    ]
    assert best_decoder(texts).record.run_id == min([*hard, *means], key=bits)
    other_cut = trained(store, *of_news, "data.val_fraction=0.3")
    best = best_decoder(texts)
    assert best.record.run_id == other_cut
    assert best.others == ("news with other data.val_fraction", "poem")
    trained(store, *of_poem, "data.val_fraction=0", "seed=1")  # no validation metric
    assert best_decoder(texts).record.run_id == other_cut

    poem.write_text("abcdefgh" * 1000)  # same name, other content
    again = trained(store, *of_poem)
    best = best_decoder(texts)
    assert best.record.run_id == again
    assert "poem with other data.path" in best.others
    assert best_run(texts, data="poem").record.run_id == again  # as in export
    with config_error("run_id=null: texts ... news, poem"):
        best_run(texts)

    overrides = [f"tracking.uri={store.uri}", "tracking.experiment=texts", "max_new_tokens=2"]
    print_generated(compose(overrides, "generate"), "ab")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith(f"run {again}: ")]
    assert line.startswith(f"run {again}: none on poem llama, ")
    assert line.endswith(best.note)
    print_generated(compose([*overrides, f"run_id={easy}"], "generate"), "ab")
    assert "trained last" not in capsys.readouterr().err


@pytest.mark.slow
def test_losses_are_compared_within_one_tokenizer(store: Store, tmp_path: Path) -> None:
    """The loss in nats per token is not comparable between tokenizers."""
    (tmp_path / "lines.txt").write_text("the cat sat on the mat, and the dog lay on the log; " * 200)
    line = ("data=text", f"data.path={tmp_path / 'lines.txt'}", "data.val_fraction=0.1", "tracking.experiment=tokens")
    by_characters = trained(store, *line)
    by_pairs = trained(store, *line, "data.tokenizer=bpe", "data.vocab_size=60")
    tokens = open_store(store.uri, "tokens")
    loss = {run_id: tokens.client.get_run(run_id).data.metrics["best/val/loss"] for run_id in (by_characters, by_pairs)}
    assert loss[by_characters] < loss[by_pairs]
    best = best_run(tokens, metric="test/loss")
    assert best.record.run_id == by_pairs
    (other,) = best.others
    assert other.endswith(" data.tokenizer, data.vocab_size")


@pytest.mark.slow
def test_dropout_passes_vary_and_need_dropout(store: Store, noisy: str, plain: str) -> None:
    decoder = load_decoder(store.uri, noisy)
    prompt = encode(decoder.vocabulary, "The statement")
    settings = DecodingSettings(10)
    text = text_of(decoder.vocabulary, generate(decoder.model, prompt, settings, 0)[0].tolist())  # type: ignore[arg-type]
    passes = dropout_passes(decoder, prompt, settings, 6)
    assert passes.plain == text
    assert len(passes.texts) == 6
    assert len(set(passes.texts)) > 1
    first = passes.spread[0]
    assert first.low < first.mean < first.high
    assert first.sd > 0
    assert [row.plain for row in passes.spread] == sorted((row.plain for row in passes.spread), reverse=True)
    assert text_of(decoder.vocabulary, generate(decoder.model, prompt, settings, 0)[0].tolist()) == text  # type: ignore[arg-type]
    without_dropout = load_decoder(store.uri, plain)
    with pytest.raises(ConfigError, match=r"^train_mode=true: the strategy none .*random"):
        dropout_passes(without_dropout, prompt, settings, 2)


@pytest.mark.slow
def test_runs_without_a_trained_decoder_are_refused(store: Store) -> None:
    overrides = [
        "data=wine",
        "model=linear",
        "trainer.max_epochs=1",
        "trainer.progress=false",
        "tracking.experiment=mine",
    ]
    overrides.append(f"tracking.uri={store.uri}")
    wine = run(compose(overrides), overrides).run_id
    with pytest.raises(ConfigError, match=rf"^run_id={wine}: is classification.*language model"):
        load_decoder(store.uri, wine)
    without_weights = trained(store, "tracking.weights=none")
    with pytest.raises(ConfigError, match=rf"^run_id={without_weights}: .*no weights \(tracking.weights=none\)"):
        load_decoder(store.uri, without_weights)


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
def test_make_generate_passes_any_prompt_unchanged(store: Store) -> None:
    run_id = trained(store, "seed=3", "data.tokenizer=bpe", "data.vocab_size=300")
    prompt = """Call me Ishmael, he said, it's "so": {a, [b]} = $5 $HOME (50%) \\ #1; `x` & <y> | ~ ! * ? ^ @ é"""
    prompt += " ${HOME} ${x} $(shell exit 3) ??? ${"
    arguments = f"ARGS=tracking.uri={store.uri} run_id='{run_id}' max_new_tokens=40"
    completed = subprocess.run(
        ["make", "--no-print-directory", "generate", f"PROMPT={prompt}", arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={**os.environ, "MLFLOW_TRACKING_URI": ""},
    )
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.startswith(prompt)
    assert len(completed.stdout) > len(prompt) + 20
    assert f"run {run_id}: none on python_docs llama, " in completed.stderr
