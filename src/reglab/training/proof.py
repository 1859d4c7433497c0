"""Hashes that prove a pairing: for one seed they are the same under every strategy."""

import hashlib

from torch import nn


def init_hash(model: nn.Module) -> str:
    """SHA-256 over the initial parameters and buffers, by name: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
