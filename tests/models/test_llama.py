"""Decoder, compared with an independent implementation from the papers."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from reglab.models.llama import Llama

SIZES = {"hidden_size": 48, "layers": 3, "heads": 6, "key_value_heads": 2, "intermediate_size": 80}


def decoder(**options: object) -> LlamaForCausalLM:
    torch.manual_seed(0)
    model = Llama((16,), 40, **{**SIZES, **options})  # type: ignore[arg-type]
    with torch.no_grad():
        for weight in model.parameters():  # gains other than 1 reveal missing ones
            weight.add_(0.3 * torch.randn_like(weight))
    return model.eval()


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * gain


def rotated(x: Tensor, base: float = 10000.0) -> Tensor:
    """Rotate each pair (i, i + d/2), as a complex number, by position · base^(-2i/d)."""
    length, half = x.shape[-2], x.shape[-1] // 2
    angles = torch.arange(length)[:, None] * base ** (-torch.arange(half) / half)
    turned = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], -1)


def plain_llama(w: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """Return the logits of tokens (rows, length), computed from the weights."""
    x = w["model.embed_tokens.weight"][tokens]
    rows, length, width = x.shape
    heads, groups, size = SIZES["heads"], SIZES["key_value_heads"], width // SIZES["heads"]
    future = torch.full((length, length), -math.inf).triu(1)
    for i in range(SIZES["layers"]):
        at = f"model.layers.{i}"
        h = rms_norm(x, w[f"{at}.input_layernorm.weight"])
        q, k, v = (
            (h @ w[f"{at}.self_attn.{n}_proj.weight"].T).unflatten(-1, (-1, size)).transpose(1, 2) for n in "qkv"
        )
        out = torch.empty(rows, heads, length, size)
        for head in range(heads):
            group = head // (heads // groups)
            scores = rotated(q[:, head]) @ rotated(k[:, group]).transpose(1, 2) / math.sqrt(size) + future
            out[:, head] = scores.softmax(-1) @ v[:, group]
        x = x + out.transpose(1, 2).flatten(2) @ w[f"{at}.self_attn.o_proj.weight"].T
        h = rms_norm(x, w[f"{at}.post_attention_layernorm.weight"])
        gate, up = (h @ w[f"{at}.mlp.{n}_proj.weight"].T for n in ("gate", "up"))
        x = x + (F.silu(gate) * up) @ w[f"{at}.mlp.down_proj.weight"].T
    return rms_norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_those_of_an_independent_implementation(tied: bool) -> None:
    model = decoder(tie_embeddings=tied)
    tokens = torch.randint(40, (3, 16), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(model(tokens), plain_llama(model.state_dict(), tokens), atol=1e-5)


def test_it_is_a_llama_of_transformers_and_returns_logits() -> None:
    model = decoder()
    assert type(model) is LlamaForCausalLM
    assert model.config.num_key_value_heads == 2
    tokens = torch.zeros(2, 5, dtype=torch.int64)
    assert model(tokens).shape == (2, 5, 40)
    assert torch.equal(model(input_ids=tokens).logits, model(tokens))


def test_logits_do_not_depend_on_later_tokens() -> None:
    model = decoder()
    tokens = torch.randint(40, (1, 16), generator=torch.Generator().manual_seed(1))
    changed = tokens.clone()
    changed[0, 10:] = 0
    with torch.no_grad():
        assert torch.equal(model(tokens)[:, :10], model(changed)[:, :10])


def test_sizes_are_those_of_the_config() -> None:
    tiny = Llama((128,), 105)
    small = Llama((128,), 105, hidden_size=320, layers=8, heads=10, key_value_heads=5, intermediate_size=864)
    assert sum(w.numel() for w in tiny.parameters()) == pytest.approx(0.75e6, rel=0.05)
    assert sum(w.numel() for w in small.parameters()) == pytest.approx(10e6, rel=0.1)
