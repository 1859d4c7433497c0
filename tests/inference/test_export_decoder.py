"""Decoders of tracked runs as MLflow models: a prompt in, text out, adapters folded in."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
import torch
from mlflow.models import get_model_info
from transformers import AutoModelForCausalLM

from reglab.config.compose import compose
from reglab.inference.export import export
from reglab.inference.generation import Choice, encoded, generated, text_of
from reglab.inference.trained import decoder
from reglab.tracking.store import Store, open_store
from reglab.training.run import run
from tests.conftest import fresh_store
from tests.models.decoders import save_decoder

LINE = [
    *("data=python_docs", "data.train_size=64", "data.context_length=32", "data.val_fraction=0.02"),
    *("data.test_fraction=0.02", "trainer.max_epochs=1", "trainer.progress=false"),
]
SIZES = ("hidden_size=32", "layers=1", "heads=2", "key_value_heads=1", "intermediate_size=48")
PROMPT = "The statement"


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(fresh_store(empty_database, tmp_path), "reglab")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def exported(store: Store, *overrides: str) -> tuple[str, Path]:
    """The id of a run, and the folder of its model."""
    line = [*LINE, *overrides, f"tracking.uri={store.uri}"]
    run_id = run(compose(line), line).run_id
    uri = export(compose([f"tracking.uri={store.uri}"], "export"))
    return run_id, Path(store.client.get_logged_model(uri.removeprefix("models:/")).artifact_location)


@pytest.mark.parametrize("tokenizer", ["characters", "bpe"])
def test_it_writes_what_the_run_writes(store: Store, tokenizer: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [f"model.{size}" for size in SIZES]
    kind = [f"data.tokenizer={tokenizer}", *(["data.vocab_size=300"] if tokenizer == "bpe" else [])]
    run_id, folder = exported(store, "model=llama", "optimizer.lr=0.01", "regularizer=residual_dropout", *sizes, *kind)
    said = capsys.readouterr()
    assert said.out.startswith("best by best/val/bits_per_character: ")
    assert "Writing" not in said.err
    found = decoder(store.uri, run_id)
    prompt = encoded(found.vocabulary, PROMPT)
    text = PROMPT + text_of(found.vocabulary, generated(found.model, prompt, Choice(12), found.end)[0].tolist())  # type: ignore[arg-type]
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.predict([PROMPT], params={"max_new_tokens": 12}) == [text.strip()]
    assert len(model.predict([PROMPT, "It"], params={"max_new_tokens": 4})) == 2
    told = get_model_info(str(folder))
    assert told.metadata["context_length"] == 32
    assert [column.type.name for column in told.signature.inputs.inputs] == ["string"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".yaml", ".txt", ".safetensors"}
    assert "reglab" not in (folder / "requirements.txt").read_text()


def test_adapters_are_folded_into_the_weights(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "decoder"
    other.mkdir()
    save_decoder(other)
    adapted = ["model=hf_causal_lm", f"model.path={other}", f"data.tokenizer={other}", "model.lora={r:2}"]
    run_id, folder = exported(store, *adapted, "optimizer.lr=0.1")
    tokens = torch.arange(20).reshape(2, 10)
    plain: Any = AutoModelForCausalLM.from_pretrained(folder / "model")
    untrained: Any = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        said = plain(tokens).logits
        torch.testing.assert_close(said, decoder(store.uri, run_id).model.eval()(tokens), atol=1e-5, rtol=1e-5)
        assert not torch.allclose(said, untrained(tokens).logits, atol=1e-2)
    assert not [name for name in plain.state_dict() if "lora" in name]
    kept = "".join(path.read_text() for path in folder.rglob("*") if path.suffix == ".json" or path.name == "MLmodel")
    assert str(other) not in kept
