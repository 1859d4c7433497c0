"""Export of tracked decoders as MLflow models: generated text, tokenizers and merged adapters."""

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
from tests.inference.serving import environment_without_reglab, model_server, output_of, printed_program
from tests.models.decoders import save_decoder

LINE = [
    *("data=python_docs", "data.train_size=64", "data.context_length=32", "data.val_fraction=0.02"),
    *("data.test_fraction=0.02", "trainer.max_epochs=1", "trainer.progress=false"),
]
# Enough training for texts of more than one character.
LONGER = ("data.train_size=1024", "optimizer.lr=0.02", "trainer.max_epochs=4")
SIZES = ("hidden_size=32", "layers=1", "heads=2", "key_value_heads=1", "intermediate_size=48")
PROMPTS = ["The statement", "It ", ""]
SHORT = {"max_new_tokens": 12}


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = open_store(fresh_store(empty_database, tmp_path), "reglab")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return store


def train_and_export(store: Store, *overrides: str) -> tuple[str, Path]:
    """Train and export a decoder; return the run id and the folder of the model."""
    line = [*LINE, *overrides, f"tracking.uri={store.uri}"]
    run_id = run(compose(line), line).run_id
    path_overrides = [override for override in overrides if override.startswith("model.path=")]
    uri = export(compose([f"tracking.uri={store.uri}", *path_overrides], "export"))
    return run_id, Path(store.client.get_logged_model(uri.removeprefix("models:/")).artifact_location)


def llama(tokenizer: str) -> list[str]:
    sizes = [f"model.{size}" for size in SIZES]
    kind = [f"data.tokenizer={tokenizer}", *(["data.vocab_size=300"] if tokenizer == "bpe" else [])]
    return ["model=llama", "regularizer=residual_dropout", *LONGER, *sizes, *kind]


def generated_text(store: Store, run_id: str, prompt: str, typed: Typed | None = None) -> str:
    """Return twelve tokens that the tracked decoder generates greedily, as text."""
    decoder = load_decoder(store.uri, run_id, typed)
    new = generate(decoder.model, encode(decoder.vocabulary, prompt), DecodingSettings(12), decoder.end)  # type: ignore[arg-type]
    return text_of(decoder.vocabulary, new[0].tolist())


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["characters", "bpe"])
def test_generated_text_equals_that_of_the_run(
    store: Store, tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id, folder = train_and_export(store, *llama(tokenizer))
    output = capsys.readouterr()
    assert output.out.startswith("best by best/val/bits_per_character: ")
    assert "Writing" not in output.err
    texts = [generated_text(store, run_id, prompt) for prompt in PROMPTS]
    assert all(len(set(text)) > 2 for text in texts)
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.predict([PROMPTS[0]], params=SHORT) == [texts[0].strip()]
    assert model.predict(PROMPTS, params=SHORT) == [text.strip() for text in texts]
    full_texts = model.predict(PROMPTS, params={**SHORT, "return_full_text": True})
    assert full_texts == [(prompt + text).strip() for prompt, text in zip(PROMPTS, texts, strict=True)]
    pipeline: Any = mlflow.transformers.load_model(str(folder), return_type="pipeline")
    (answer,) = pipeline(PROMPTS[0], max_new_tokens=12, do_sample=False, return_full_text=False)
    assert answer["generated_text"] == texts[0]
    with pytest.raises(MlflowException, match="pytorch"):  # a text pipeline has no PyTorch flavor
        mlflow.pytorch.load_model(str(folder))
    info = get_model_info(str(folder))
    assert info.metadata["context_length"] == 32
    assert ("unknown" in info.metadata) is (tokenizer == "characters")  # byte pairs encode any text
    assert [column.type.name for column in info.signature.inputs.inputs] == ["string"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".yaml", ".txt", ".safetensors"}
    contents = members(folder)
    assert pickles(contents) == []
    assert traces(contents) == []
    assert not [file for file, content in contents.items() if b"reglab" in content]


@pytest.mark.slow
def test_unknown_characters_are_encoded_as_the_metadata_describe(store: Store) -> None:
    run_id, folder = train_and_export(store, *llama("characters"))
    output = get_model_info(str(folder)).metadata["unknown"]
    assert "<unk>" in output
    decoder = load_decoder(store.uri, run_id)
    prompt = f"{PROMPTS[0]}\N{SNOWMAN}"
    token_ids = decoder.vocabulary.encode(prompt).ids
    assert token_ids[-1] == decoder.vocabulary.token_to_id("<unk>")
    new = generate(decoder.model, torch.tensor([token_ids]), DecodingSettings(12), decoder.end)  # type: ignore[arg-type]
    text = text_of(decoder.vocabulary, new[0].tolist()).strip()
    assert mlflow.pyfunc.load_model(str(folder)).predict([prompt], params=SHORT) == [text]


@pytest.mark.slow
def test_the_printed_program_works_without_reglab(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = train_and_export(store, *llama("bpe"))
    output = output_of(printed_program(capsys.readouterr().out), tmp_path, environment_without_reglab(tmp_path))
    assert output == f"{mlflow.pyfunc.load_model(str(folder)).predict(['The '])}\n"


@pytest.mark.slow
def test_metadata_describe_stripped_whitespace(store: Store) -> None:
    run_id, folder = train_and_export(store, *llama("bpe"))
    assert generated_text(store, run_id, "The statement")[0] == " "
    model = mlflow.pyfunc.load_model(str(folder))
    assert model.predict(["The statement"], params=SHORT)[0][0] != " "
    assert model.predict(["The statement"], params={**SHORT, "return_full_text": True})[0][:14] == "The statement "
    assert "return_full_text=true" in get_model_info(str(folder)).metadata["whitespace"]


@pytest.mark.slow
def test_a_server_generates_the_same_text(store: Store, tmp_path: Path) -> None:
    run_id, _ = train_and_export(store, *llama("bpe"))
    uri = export(compose([f"tracking.uri={store.uri}", "register=writer"], "export"))
    texts = [generated_text(store, run_id, prompt) for prompt in PROMPTS]
    with model_server(
        uri, tmp_path, {**environment_without_reglab(tmp_path), "MLFLOW_TRACKING_URI": store.uri}
    ) as post:
        assert post({"inputs": PROMPTS, "params": SHORT})["predictions"] == [text.strip() for text in texts]
        assert post({"inputs": [""], "params": SHORT})["predictions"] == [texts[-1].strip()]
        full_text = post({"inputs": [PROMPTS[0]], "params": {**SHORT, "return_full_text": True}})
        assert full_text["predictions"] == [(PROMPTS[0] + texts[0]).strip()]
        assert len(post({"inputs": [PROMPTS[0]]})["predictions"][0]) > len(texts[0])  # default: 200 tokens


@pytest.mark.slow
def test_no_token_is_prepended_to_a_prompt(store: Store, tmp_path: Path) -> None:
    """Some tokenizers prepend a token to each text; training windows do not begin with it."""
    decoder_folder = tmp_path / "decoder"
    decoder_folder.mkdir()
    save_decoder(decoder_folder)
    vocabulary = Tokenizer.from_file(str(decoder_folder / "tokenizer.json"))
    vocabulary.post_processor = TemplateProcessing(single=f"{END} $A", special_tokens=[(END, end_token(vocabulary))])
    vocabulary.save(str(decoder_folder / "tokenizer.json"))
    overrides = ["model=hf_causal_lm", f"model.path={decoder_folder}", f"data.tokenizer={decoder_folder}"]
    run_id, folder = train_and_export(store, *overrides, *LONGER)
    model = mlflow.pyfunc.load_model(str(folder))
    typed = Typed({"model.path": str(decoder_folder)})
    assert model.predict(PROMPTS, params=SHORT) == [
        generated_text(store, run_id, prompt, typed).strip() for prompt in PROMPTS
    ]
    reader = AutoTokenizer.from_pretrained(folder / "components" / "tokenizer")
    assert reader(PROMPTS[0]).input_ids == vocabulary.encode(PROMPTS[0], add_special_tokens=False).ids


@pytest.mark.slow
def test_adapters_are_merged_into_the_weights(store: Store, tmp_path: Path) -> None:
    decoder_folder = tmp_path / "decoder"
    decoder_folder.mkdir()
    save_decoder(decoder_folder)
    adapted = [
        "model=hf_causal_lm",
        f"model.path={decoder_folder}",
        f"data.tokenizer={decoder_folder}",
        "model.lora={r:2}",
    ]
    run_id, folder = train_and_export(store, *adapted, "optimizer.lr=0.1")
    typed = Typed({"model.path": str(decoder_folder)})
    tokens = torch.arange(20).reshape(2, 10)
    plain: Any = AutoModelForCausalLM.from_pretrained(folder / "model")
    untrained: Any = AutoModelForCausalLM.from_pretrained(decoder_folder)
    with torch.no_grad():
        output = plain(tokens).logits
        torch.testing.assert_close(
            output, load_decoder(store.uri, run_id, typed).model.eval()(tokens), atol=1e-5, rtol=1e-5
        )
        assert not torch.allclose(output, untrained(tokens).logits, atol=1e-2)
    assert not [name for name in plain.state_dict() if "lora" in name]
    metadata = "".join(
        path.read_text() for path in folder.rglob("*") if path.suffix == ".json" or path.name == "MLmodel"
    )
    assert str(decoder_folder) not in metadata
