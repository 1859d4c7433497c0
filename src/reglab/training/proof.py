"""Hashes that prove a pairing: for one seed they are the same under every strategy."""

import hashlib

import torch
from torch import nn


def init_hash(model: nn.Module) -> str:
    """SHA-256 over the initial parameters and buffers, by name: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(plain.view(torch.uint8).numpy().tobytes())  # as bytes: NumPy has no bfloat16
    return digest.hexdigest()[:16]
