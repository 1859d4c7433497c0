"""Causal language model loaded from disk, with adapters, and used to generate text."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from reglab.config.compose import compose
from reglab.config.identity import config_hash
from reglab.config.trusted import Typed
from reglab.inference.loading import load_decoder
from reglab.models.hf_causal_lm import HFCausalLM
from reglab.regularizers import LoraDropout
from reglab.schema.errors import ConfigError
from reglab.tracking import artifacts
from reglab.tracking.store import open_store
from reglab.training.run import run
from tests.errors import config_error
from tests.models.decoders import TOKENS, save_decoder

SMALL = ["data.context_length=16", "data.train_size=32", "data.val_fraction=0.01", "data.test_fraction=0.01"]
QUIET = ["trainer.max_epochs=1", "trainer.progress=false"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    save_decoder(folder)
    return folder


def test_it_has_the_saved_weights_and_returns_logits(saved: Path) -> None:
    model: Any = HFCausalLM((16,), TOKENS, path=str(saved))
    weights = load_file(saved / "model.safetensors")
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items() if name in weights)
    assert model(torch.zeros(2, 5, dtype=torch.int64)).shape == (2, 5, TOKENS)
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_adapters_are_trained(saved: Path, dtype: str) -> None:
    model: Any = HFCausalLM((16,), TOKENS, path=str(saved), lora={"r": 2}, dtype=dtype)
    free = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    assert free
    assert all("lora_" in name for name in free)
    assert {weight.dtype for weight in free.values()} == {torch.float32}
    assert model.lm_head.weight.dtype == getattr(torch, dtype)


def test_lora_dropout_acts_on_the_inputs_of_adapters_in_training_only(saved: Path) -> None:
    model: Any = HFCausalLM((16,), TOKENS, path=str(saved), lora={"r": 2, "target_modules": ["q_proj"]})
    query = model.model.layers[0].self_attn.q_proj
    with torch.no_grad():
        query.lora_B["default"].weight.normal_()
    method = LoraDropout(0.4)
    assert method.attach(model) == [f"model.layers.{i}.self_attn.q_proj.lora_dropout.default" for i in range(2)]
    adapter_inputs: list[torch.Tensor] = []
    query.lora_A["default"].register_forward_pre_hook(lambda _layer, inputs: adapter_inputs.append(inputs[0].detach()))
    x = torch.randn(50, 16)
    undropped = query.eval()(x)
    assert torch.equal(adapter_inputs.pop(), x)
    thinned = query.train()(x)
    (dropped,) = adapter_inputs
    assert abs((dropped == 0).float().mean() - 0.4) < 5 * (0.24 / dropped.numel()) ** 0.5
    torch.testing.assert_close(dropped[dropped != 0], x[dropped != 0] / 0.6)
    low_rank = query.lora_B["default"](query.lora_A["default"](dropped)) * query.scaling["default"]
    torch.testing.assert_close(thinned, query.base_layer(x) + low_rank)
    assert not torch.equal(thinned, undropped)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"path": "/nowhere"}, "model.path=/nowhere: folder ... Hugging Face"),
        ({"path": None}, "model.path=null: give a folder with a model"),
        (
            {"outputs": TOKENS + 1},
            "model.path={path}: 300 tokens ... 301",
        ),
        (
            {"input_shape": (33,)},
            "data.context_length=33: 32 ... model.path=",
        ),
        ({"lora": {"rank": 2}}, "model.lora: keyword argument 'rank'"),
        ({"lora": {"r": 2, "target_modules": ["nope"]}}, "model.lora: {{'nope'}} not found"),
        ({"dtype": "bfloat16"}, "model.dtype=bfloat16: small updates"),
    ],
    ids=["missing", "null", "tokens", "context", "argument", "modules", "dtype"],
)
def test_invalid_models_are_refused_in_one_line(saved: Path, options: dict[str, Any], problem: str) -> None:
    with config_error(problem.format(path=saved)):
        HFCausalLM(**{"input_shape": (16,), "outputs": TOKENS, "path": str(saved), **options})


@pytest.mark.slow
def test_a_run_saves_the_adapters_only_and_can_be_rebuilt(saved: Path, store_uri: str) -> None:
    overrides = [
        *SMALL,
        *QUIET,
        "data=python_docs",
        f"data.tokenizer={saved}",
        "model=hf_causal_lm",
        f"model.path={saved}",
    ]
    overrides += ["model.lora={r:2}", "regularizer=lora_dropout", f"tracking.uri={store_uri}"]
    run_id = run(compose(overrides), overrides).run_id
    with artifacts.of_run(open_store(store_uri, "reglab"), run_id).file("weights/best.safetensors") as file:
        assert file is not None
        saved_weights = load_file(file)
    assert saved_weights
    assert all("lora_" in name for name in saved_weights)
    with pytest.raises(ConfigError, match=r"model.path=.*: .* only in the tracking store"):
        load_decoder(store_uri, run_id)
    typed = Typed({"model.path": str(saved)})
    model = load_decoder(store_uri, run_id, typed).model.state_dict()
    assert all(torch.equal(model[name], weight) for name, weight in saved_weights.items())
    weights = load_file(saved / "model.safetensors")
    assert torch.equal(model["model.embed_tokens.weight"], weights["model.embed_tokens.weight"])
    before = config_hash(compose(overrides))
    (saved / "generation_config.json").write_text("{}")
    assert config_hash(compose(overrides)) != before  # the content of the model, not its path, identifies a run
    with pytest.raises(ConfigError, match=r"model.path=.*: content has changed"):
        load_decoder(store_uri, run_id, typed)


@pytest.mark.slow
def test_text_with_another_tokenizer_than_the_model_is_refused(saved: Path, store_uri: str) -> None:
    overrides = ["data=python_docs", "model=hf_causal_lm", f"model.path={saved}", *SMALL, *QUIET]
    overrides += [f"tracking.uri={store_uri}", "data.tokenizer=bpe", "data.vocab_size=280"]
    with config_error("data.tokenizer=bpe: token ids ... model.path="):
        run(compose(overrides), overrides)
