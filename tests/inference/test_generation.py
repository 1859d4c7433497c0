"""Text generation: greedy decoding, sampling, caching, batches, streaming and module modes."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from reglab.data.tokenizer import END, train_tokenizer
from reglab.inference.generation import DecodingSettings, Writer, encode, generate, text_of
from reglab.models.llama import Llama
from reglab.regularizers import ResidualDropout
from reglab.schema.errors import ConfigError

TOKENS = 30
PROMPTS = torch.randint(1, TOKENS, (2, 5), generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    """Decoder with initial weights times ten, whose texts repeat later."""
    torch.manual_seed(1)
    decoder: Any = Llama((16,), TOKENS, hidden_size=32, layers=2, heads=4, intermediate_size=64)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight.mul_(10 if weight.ndim > 1 else 1)
    return decoder  # type: ignore[no-any-return]


def greedy(model: LlamaForCausalLM, prompt: Tensor, new: int) -> list[int]:
    """Return greedily decoded tokens, from the logits of the full text at each step."""
    model.eval()
    text = prompt.tolist()
    for _ in range(new):
        with torch.no_grad():
            text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    return text[len(prompt) :]


def test_greedy_decoding_chooses_the_most_probable_token_with_and_without_cache(model: LlamaForCausalLM) -> None:
    text = greedy(model, PROMPTS[0], 25)
    assert len(set(text)) > 5
    never = next(token for token in range(TOKENS) if token not in text)
    for cache in (True, False):
        assert generate(model, PROMPTS[:1], DecodingSettings(25, cache=cache), never)[0].tolist() == text
        ended = generate(model, PROMPTS[:1], DecodingSettings(25, cache=cache), text[9])[0].tolist()
        assert ended == text[: text.index(text[9]) + 1]


def test_dropout_in_the_training_config_changes_no_text(model: LlamaForCausalLM) -> None:
    plain = generate(model, PROMPTS, DecodingSettings(20), 0)
    copy: Any = Llama((16,), TOKENS, hidden_size=32, layers=2, heads=4, intermediate_size=64)
    copy.load_state_dict(model.state_dict())
    copy.config.attention_dropout = 0.5
    ResidualDropout(0.5).attach(copy)
    assert torch.equal(generate(copy.train(), PROMPTS, DecodingSettings(20), 0), plain)
    assert all(module.training for module in copy.modules())  # the mode is restored
    noisy = [generate(copy.eval(), PROMPTS, DecodingSettings(20, seed=s), 0, training=True) for s in (0, 0, 1)]
    assert torch.equal(noisy[0], noisy[1])
    assert not torch.equal(noisy[0], plain)
    assert not torch.equal(noisy[0][:, :10], noisy[2][:, :10])
    assert not any(module.training for module in copy.modules())


def test_rows_of_a_batch_end_independently(model: LlamaForCausalLM) -> None:
    alone = [greedy(model, prompt, 20) for prompt in PROMPTS]
    end = alone[0][4]
    ends = [text.index(end) if end in text else 20 for text in alone]
    assert ends[0] != ends[1], "the rows end at different places, or this shows nothing"
    together = generate(model, PROMPTS, DecodingSettings(20), end)
    for row, text, stop in zip(together.tolist(), alone, ends, strict=True):
        assert row[:stop] == text[:stop]
        assert set(row[stop:]) <= {end}
    assert together.shape[1] == min(max(ends) + 1, 20)


def test_sampling_depends_on_the_seed_and_keeps_the_global_generator(model: LlamaForCausalLM) -> None:
    state = torch.get_rng_state()
    draws = [
        generate(model, PROMPTS, DecodingSettings(15, temperature=1.0, seed=seed), 0).tolist() for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    assert torch.equal(torch.get_rng_state(), state)
    greedy_tokens = generate(model, PROMPTS, DecodingSettings(15), 0).tolist()
    assert generate(model, PROMPTS, DecodingSettings(15, temperature=1.0, top_k=1), 0).tolist() == greedy_tokens
    assert generate(model, PROMPTS, DecodingSettings(15, temperature=1.0, top_p=1e-6), 0).tolist() == greedy_tokens


def test_tokens_are_drawn_with_their_probabilities(model: LlamaForCausalLM) -> None:
    rows = 4000
    with torch.no_grad():
        logits = model.eval()(PROMPTS[:1])[0, -1]
    for temperature, top_k in ((2.0, None), (3.0, 3)):
        settings = DecodingSettings(1, temperature=temperature, top_k=top_k)
        drawn = generate(model, PROMPTS[:1].expand(rows, -1), settings, 0).flatten().bincount(minlength=TOKENS) / rows
        kept_logits = (
            logits if top_k is None else logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
        )
        expected = (kept_logits / temperature).softmax(-1)
        assert ((drawn - expected).abs() < 5 * (expected * (1 - expected) / rows).sqrt() + 1e-9).all()


def test_text_is_streamed_in_complete_characters() -> None:
    vocabulary = train_tokenizer(["naïve 日本 text"], "bpe", 260)
    token_ids = encode(vocabulary, "naïve 日本 \U0001f600!")[0].tolist()
    pieces: list[str] = []
    writer = Writer(vocabulary, pieces.append)
    for token_id in token_ids:
        writer(token_id)
    assert "".join(pieces) == "naïve 日本 \U0001f600!"
    assert len(pieces) > 8
    assert "�" not in "".join(pieces)
    assert text_of(vocabulary, [*token_ids, 0, 5]) == "naïve 日本 \U0001f600!"


def test_on_token_receives_new_tokens_only(model: LlamaForCausalLM) -> None:
    received: list[int] = []
    new = generate(model, PROMPTS[:1], DecodingSettings(12), 0, on_token=received.append)
    assert received == new[0].tolist()


def test_a_prompt_of_unknown_characters_is_refused() -> None:
    vocabulary = train_tokenizer(["abc "], "characters", 0)
    assert encode(vocabulary, "a b").tolist() == [vocabulary.encode("a b").ids]
    assert encode(vocabulary, "").tolist() == [vocabulary.encode(END).ids]
    with pytest.raises(ConfigError, match=r"^prompt: .*'X', '\$'; .*data.tokenizer=bpe"):
        encode(vocabulary, "aXb$X")
