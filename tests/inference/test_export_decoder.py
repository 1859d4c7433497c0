"""Decoders of tracked runs as MLflow models: a prompt in, the text that follows out, adapters merged."""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.pytorch
import mlflow.transformers
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import get_model_info
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer

from reglab.config.compose import compose
from reglab.config.trusted import Typed
from reglab.data.tokenizer import END, end_token
from reglab.inference.export import export
from reglab.inference.generation import DecodingSettings, encode, generate, text_of
from reglab.inference.loading import load_decoder
from reglab.tracking.store import Store, open_store
from reglab.training.run import run
from tests.conftest import fresh_store
from tests.inference.contents import members, pickles, traces
from tests.inference.serving import output_of, printed, served, stranger
from tests.models.decoders import save_decoder

LINE = [
    *("data=python_docs", "data.train_size=64", "data.context_length=32", "data.val_fraction=0.02"),
    *("data.test_fraction=0.02", "trainer.max_epochs=1", "trainer.progress=false"),
]
# Enough for a text that is not one letter over and over.
LONGER = ("data.train_size=1024", "optimizer.lr=0.02", "trainer.max_epochs=4")
SIZES = ("hidden_size=32", "layers=1", "heads=2", "key_value_heads=1", "intermediate_size=48")
PROMPTS = ["The statement", "It ", ""]
SHORT = {"max_new_tokens": 12}


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(fresh_store(empty_database, tmp_path), "reglab")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def exported(store: Store, *overrides: str) -> tuple[str, Path]:
    """The id of a run, and the folder of its model."""
    line = [*LINE, *overrides, f"tracking.uri={store.uri}"]
    run_id = run(compose(line), line).run_id
    own = [override for override in overrides if override.startswith("model.path=")]
    uri = export(compose([f"tracking.uri={store.uri}", *own], "export"))
    return run_id, Path(store.client.get_logged_model(uri.removeprefix("models:/")).artifact_location)


def llama(tokenizer: str) -> list[str]:
    sizes = [f"model.{size}" for size in SIZES]
    kind = [f"data.tokenizer={tokenizer}", *(["data.vocab_size=300"] if tokenizer == "bpe" else [])]
    return ["model=llama", "regularizer=residual_dropout", *LONGER, *sizes, *kind]


def written(store: Store, run_id: str, prompt: str, typed: Typed | None = None) -> str:
    """What the run itself goes on with, greedily, for a dozen tokens."""
    found = load_decoder(store.uri, run_id, typed)
    new = generate(found.model, encode(found.vocabulary, prompt), DecodingSettings(12), found.end)  # type: ignore[arg-type]
    return text_of(found.vocabulary, new[0].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["characters", "bpe"])
def test_it_answers_with_what_the_run_goes_on_with(
    store: Store, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, folder = exported(store, *llama(tokenizer))
    output = capsys.readouterr()
    assert output.out.startswith("best by best/val/bits_per_character: ")
    assert "Writing" not in output.err
    texts = [written(store, run_id, prompt) for prompt in PROMPTS]
    assert all(len(set(text)) > 2 for text in texts)
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.predict([PROMPTS[0]], params=SHORT) == [texts[0].strip()]
    assert model.predict(PROMPTS, params=SHORT) == [text.strip() for text in texts]
    whole = model.predict(PROMPTS, params={**SHORT, "return_full_text": True})
    assert whole == [(prompt + text).strip() for prompt, text in zip(PROMPTS, texts, strict=True)]
    own: Any = mlflow.transformers.load_model(str(folder), return_type="pipeline")
    (answer,) = own(PROMPTS[0], max_new_tokens=12, do_sample=False, return_full_text=False)
    assert answer["generated_text"] == texts[0]
    with pytest.raises(MlflowException, match="pytorch"):  # text in and text out: there is no module of tensors
        mlflow.pytorch.load_model(str(folder))
    info = get_model_info(str(folder))
    assert info.metadata["context_length"] == 32
    assert ("unknown" in info.metadata) is (tokenizer == "characters")  # to byte pairs nothing is
    assert [column.type.name for column in info.signature.inputs.inputs] == ["string"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".yaml", ".txt", ".safetensors"}
    found = members(folder)
    assert pickles(found) == []
    assert traces(found) == []
    assert not [file for file, content in found.items() if b"reglab" in content]


@pytest.mark.slow
def test_unknown_characters_are_read_as_the_metadata_describe(store: Store) -> None:
    run_id, folder = exported(store, *llama("characters"))
    output = get_model_info(str(folder)).metadata["unknown"]
    assert "<unk>" in output
    found = load_decoder(store.uri, run_id)
    prompt = f"{PROMPTS[0]}\N{SNOWMAN}"
    numbers = found.vocabulary.encode(prompt).ids
    assert numbers[-1] == found.vocabulary.token_to_id("<unk>")
    new = generate(found.model, torch.tensor([numbers]), DecodingSettings(12), found.end)  # type: ignore[arg-type]
    text = text_of(found.vocabulary, new[0].tolist()).strip()
    assert mlflow.pyfunc.load_model(str(folder)).predict([prompt], params=SHORT) == [text]


@pytest.mark.slow
def test_the_python_that_is_printed_works_where_reglab_is_not(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = exported(store, *llama("bpe"))
    output = output_of(printed(capsys.readouterr().out), tmp_path, stranger(tmp_path))
    assert output == f"{mlflow.pyfunc.load_model(str(folder)).predict(['The '])}\n"


@pytest.mark.slow
def test_it_tells_of_the_whitespace_that_is_lost(store: Store) -> None:
    run_id, folder = exported(store, *llama("bpe"))
    assert written(store, run_id, "The statement")[0] == " "
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.predict(["The statement"], params=SHORT)[0][0] != " "
    assert model.predict(["The statement"], params={**SHORT, "return_full_text": True})[0][:14] == "The statement "
    assert "return_full_text=true" in get_model_info(str(folder)).metadata["whitespace"]


@pytest.mark.slow
def test_a_server_answers_with_the_same(store: Store, tmp_path: Path) -> None:
    run_id, _ = exported(store, *llama("bpe"))
    uri = export(compose([f"tracking.uri={store.uri}", "register=writer"], "export"))
    texts = [written(store, run_id, prompt) for prompt in PROMPTS]
    with served(uri, tmp_path, {**stranger(tmp_path), "MLFLOW_TRACKING_URI": store.uri}) as post:
        assert post({"inputs": PROMPTS, "params": SHORT})["predictions"] == [text.strip() for text in texts]
        assert post({"inputs": [""], "params": SHORT})["predictions"] == [texts[-1].strip()]
        whole = post({"inputs": [PROMPTS[0]], "params": {**SHORT, "return_full_text": True}})
        assert whole["predictions"] == [(PROMPTS[0] + texts[0]).strip()]
        assert len(post({"inputs": [PROMPTS[0]]})["predictions"][0]) > len(texts[0])  # 200 tokens by default


@pytest.mark.slow
def test_a_prompt_gets_no_token_before_it(store: Store, tmp_path: Path) -> None:
    """Tokenizers of others put a token before each text, which the windows of our training do not begin with."""
    other = tmp_path / "decoder"
    other.mkdir()
    save_decoder(other)
    vocabulary = Tokenizer.from_file(str(other / "tokenizer.json"))
    vocabulary.post_processor = TemplateProcessing(single=f"{END} $A", special_tokens=[(END, end_token(vocabulary))])
    vocabulary.save(str(other / "tokenizer.json"))
    theirs = ["model=hf_causal_lm", f"model.path={other}", f"data.tokenizer={other}"]
    run_id, folder = exported(store, *theirs, *LONGER)
    model = mlflow.pyfunc.load_model(str(folder))
    mine = Typed({"model.path": str(other)})
    assert model.predict(PROMPTS, params=SHORT) == [written(store, run_id, prompt, mine).strip() for prompt in PROMPTS]
    reader = AutoTokenizer.from_pretrained(folder / "components" / "tokenizer")
    assert reader(PROMPTS[0]).input_ids == vocabulary.encode(PROMPTS[0], add_special_tokens=False).ids


@pytest.mark.slow
def test_adapters_are_merged_into_the_weights(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "decoder"
    other.mkdir()
    save_decoder(other)
    adapted = ["model=hf_causal_lm", f"model.path={other}", f"data.tokenizer={other}", "model.lora={r:2}"]
    run_id, folder = exported(store, *adapted, "optimizer.lr=0.1")
    mine = Typed({"model.path": str(other)})
    tokens = torch.arange(20).reshape(2, 10)
    plain: Any = AutoModelForCausalLM.from_pretrained(folder / "model")
    untrained: Any = AutoModelForCausalLM.from_pretrained(other)
    with torch.no_grad():
        output = plain(tokens).logits
        torch.testing.assert_close(
            output, load_decoder(store.uri, run_id, mine).model.eval()(tokens), atol=1e-5, rtol=1e-5
        )
        assert not torch.allclose(output, untrained(tokens).logits, atol=1e-2)
    assert not [name for name in plain.state_dict() if "lora" in name]
    kept = "".join(path.read_text() for path in folder.rglob("*") if path.suffix == ".json" or path.name == "MLmodel")
    assert str(other) not in kept
