"""Dropout methods for decoders, tested on models of the transformers library."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from reglab.regularizers import (
    AttentionDropout,
    EmbeddingDropout,
    FeedForwardDropout,
    Neftune,
    Regularizer,
    ResidualDropout,
    TokenDropout,
)
from reglab.regularizers.neftune import with_uniform_noise
from reglab.regularizers.token_dropout import thinned_tokens

TOKENS = torch.randint(20, (3, 7), generator=torch.Generator().manual_seed(0))
NO_ENDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
LLAMA = {
    "vocab_size": 20,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    **NO_ENDS,
}


def llama(**options: Any) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{**LLAMA, **options}))


def gpt2() -> GPT2LMHeadModel:
    sizes = {"vocab_size": 20, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 8}
    return GPT2LMHeadModel(GPT2Config(**sizes, embd_pdrop=0.0, attn_pdrop=0.0, resid_pdrop=0.0, **NO_ENDS))


def neox() -> GPTNeoXForCausalLM:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=20, **sizes, **NO_ENDS))


BLOCKS = {
    "llama": (llama, "model.layers.{}", ("self_attn", "mlp", "mlp.down_proj"), "model.embed_tokens", 2),
    "gpt2": (gpt2, "transformer.h.{}", ("attn", "mlp", "mlp.c_proj"), "transformer.wte", 2),
    "neox": (neox, "gpt_neox.layers.{}", ("attention", "mlp", "mlp.dense_4h_to_h"), "gpt_neox.embed_in", 1),
}
every = pytest.mark.parametrize("kind", BLOCKS)


@every
def test_modules_are_found_by_rule(kind: str) -> None:
    make, at, (attention, mlp, last), embedding, count = BLOCKS[kind]
    named = {part: [f"{at.format(i)}.{part}" for i in range(count)] for part in (attention, mlp, last)}
    assert ResidualDropout(0.1).attach(make()) == named[attention] + named[mlp]
    assert FeedForwardDropout(0.1).attach(make()) == named[last]
    assert AttentionDropout(0.1).attach(make()) == named[attention]
    for method in (EmbeddingDropout(0.1), TokenDropout(0.1), Neftune(5.0)):
        assert method.attach(make()) == [embedding]


@every
@pytest.mark.parametrize(
    "method",
    [
        lambda: ResidualDropout(0.3),
        lambda: AttentionDropout(0.3),
        lambda: FeedForwardDropout(0.3),
        lambda: EmbeddingDropout(0.3),
        lambda: TokenDropout(0.3),
        lambda: Neftune(5.0),
    ],
    ids=["residual", "attention", "feed_forward", "embedding", "token", "neftune"],
)
def test_it_acts_in_training_only(kind: str, method: Any) -> None:
    model = BLOCKS[kind][0]()
    plain = model.eval()(TOKENS).logits
    regularizer: Regularizer = method()
    regularizer.attach(model)
    regularizer.attach(model)  # a second call has no effect
    torch.manual_seed(1)
    first, second = model.train()(TOKENS).logits, model(TOKENS).logits
    assert not torch.equal(first, second)
    assert torch.equal(model.eval()(TOKENS).logits, plain)


class RecordIO:
    """Record the inputs and outputs of a module."""

    def __init__(self, module: nn.Module) -> None:
        self.inputs: list[Tensor] = []
        self.outputs: list[Tensor] = []
        module.register_forward_hook(self._look)

    def _look(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.inputs += [value.detach() for value in inputs]
        self.outputs.append((output[0] if isinstance(output, tuple) else output).detach())


def assert_share_and_scale(dropped: Tensor, clean: Tensor, p: float) -> None:
    """Assert that a share p is zero, within five standard deviations, and the rest is divided by 1 - p."""
    zero = dropped == 0
    assert abs(zero.float().mean() - p) < 5 * (p * (1 - p) / zero.numel()) ** 0.5
    torch.testing.assert_close(dropped[~zero], clean[~zero] / (1 - p))


def test_residual_dropout_acts_on_outputs_of_attention_and_mlp() -> None:
    model = llama(hidden_size=64)
    layer = model.model.layers[0]
    clean = {name: RecordIO(getattr(layer, name)) for name in ("self_attn", "mlp")}
    ResidualDropout(0.25).attach(model)
    thinned = {name: RecordIO(getattr(layer, name)) for name in clean}
    model.train()(TOKENS.repeat(9, 1))
    for name, record in thinned.items():
        assert_share_and_scale(record.outputs[0], clean[name].outputs[0], 0.25)


def test_feed_forward_dropout_acts_on_inputs_of_the_last_matrix() -> None:
    model = llama(intermediate_size=96)
    FeedForwardDropout(0.4).attach(model)
    mlp = model.model.layers[0].mlp
    mlp_record, down_record = RecordIO(mlp), RecordIO(mlp.down_proj)
    model.train()(TOKENS.repeat(9, 1))
    (x,) = mlp_record.inputs
    assert_share_and_scale(down_record.inputs[0], (mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x)).detach(), 0.4)


def test_embedding_dropout_acts_on_elements_of_embeddings() -> None:
    model = llama(hidden_size=64)
    embedding = model.model.embed_tokens
    clean = RecordIO(embedding)
    EmbeddingDropout(0.35).attach(model)
    thinned = RecordIO(embedding)
    model.train()(TOKENS.repeat(9, 1))
    assert_share_and_scale(thinned.outputs[0], clean.outputs[0], 0.35)


def test_token_dropout_drops_all_elements_of_a_token() -> None:
    embedded, draws = torch.randn(2, 3, 4), torch.tensor([[0.1, 0.5, 0.9], [0.3, 0.2, 0.299]])
    thinned = thinned_tokens(embedded, draws, torch.tensor(0.3))
    kept = torch.tensor([[0, 1, 1], [1, 0, 0]]).bool()
    assert torch.equal(thinned[~kept], torch.zeros(3, 4))
    torch.testing.assert_close(thinned[kept], embedded[kept] / 0.7)


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
def test_attention_dropout_equals_that_of_the_model(kernel: str) -> None:
    attached, configured = llama(attn_implementation=kernel), llama(attn_implementation=kernel, attention_dropout=0.3)
    AttentionDropout(0.3).attach(attached)
    outputs = []
    for model in (attached, configured):
        torch.manual_seed(2)
        outputs.append(model.train()(TOKENS).logits)
    assert torch.equal(*outputs)


def test_attention_dropout_has_its_strength_or_at_zero_that_of_the_model() -> None:
    model, method = llama(attention_dropout=0.2), AttentionDropout(0.3)
    method.attach(model)
    for strength, expected in ((0.3, 0.3), (0.1, 0.1), (0.0, 0.2)):
        method.p.fill_(strength)
        model.train()(TOKENS)
        assert model.model.layers[0].self_attn.attention_dropout == pytest.approx(expected)


def test_neftune_adds_the_noise_of_the_paper() -> None:
    embedded, alpha = torch.zeros(400, 5, 8), torch.tensor(3.0)
    noise = with_uniform_noise(embedded, torch.rand(embedded.shape), alpha)
    assert noise.abs().max() <= 3 / 40**0.5
    assert noise.square().sum((1, 2)).mean().sqrt().item() == pytest.approx(3 / 3**0.5, rel=0.02)
    assert torch.equal(with_uniform_noise(embedded + 1, torch.rand(embedded.shape), torch.tensor(0.0)), embedded + 1)


def test_a_model_without_such_parts_matches_nothing() -> None:
    plain = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    for method in (ResidualDropout(0.1), AttentionDropout(0.1), FeedForwardDropout(0.1), TokenDropout(0.1)):
        assert method.attach(plain) == []
