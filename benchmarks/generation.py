"""Compare the speed of reglab's streamed generation with that of `generate` of the transformers library."""

import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.utils import logging

from benchmarks.steps import DECODER, TOKENS
from reglab.inference.generation import DecodingSettings, generate

NEW = 200  # tokens
END = TOKENS - 1


def measure(rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Return seconds per round for `NEW` tokens after a prompt of 20: greedy decoding with a key-value cache."""
    logging.set_verbosity_error()  # the text is longer than the model's context, for both
    model: Any = DECODER.model().to(device).eval()
    with torch.no_grad():
        model.lm_head.weight[END] = 0  # never the most probable token, so that both generate all `NEW` tokens
    prompt = torch.randint(0, END, (1, 20), generator=torch.Generator().manual_seed(0)).to(device)
    settings = GenerationConfig(max_new_tokens=NEW, do_sample=False, eos_token_id=END, pad_token_id=END, use_cache=True)
    streamed: list[int] = []

    def library() -> torch.Tensor:
        tokens: torch.Tensor = model.generate(
            inputs=prompt, attention_mask=torch.ones_like(prompt), generation_config=settings
        )
        return tokens[:, 20:]

    def ours() -> torch.Tensor:
        return generate(model, prompt, DecodingSettings(max_new_tokens=NEW), END, on_token=streamed.append)

    if not torch.equal(library(), ours()) or len(streamed) != NEW:  # also warms up both
        raise RuntimeError("reglab and the library generate different tokens")
    times: dict[str, list[float]] = {"library": [], "reglab": []}
    both = {"library": library, "reglab": ours}
    for i in range(rounds):
        for name in list(both) if i % 2 == 0 else list(both)[::-1]:
            times[name].append(_seconds(both[name], device))
    return times


def _seconds(work: Callable[[], torch.Tensor], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
