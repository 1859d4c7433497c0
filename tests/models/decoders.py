"""Small pretrained Llama on disk."""

from pathlib import Path
from pydoc_data.topics import topics

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from reglab.data.tokenizer import train_tokenizer

TOKENS = 300


def save_decoder(folder: Path) -> None:
    """Save a Llama with random weights for 32 tokens, and a tokenizer with `TOKENS` byte pairs."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "max_position_embeddings": 32}
    config = LlamaConfig(vocab_size=TOKENS, num_attention_heads=2, bos_token_id=None, eos_token_id=0, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    train_tokenizer(topics.values(), "bpe", TOKENS).save(str(folder / "tokenizer.json"))
