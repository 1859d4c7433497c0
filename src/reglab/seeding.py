"""Independent random seeds derived from one seed, and seeding of the global generators."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

_BITS = 63  # torch.Generator.manual_seed takes signed 64-bit integers


def mix(*parts: int | str) -> int:
    """Return a seed in [0, 2**63) from all parts by BLAKE2b, as in ``mix(seed, "order", epoch)``.

    Streams of different parts are independent for all practical purposes: more draws from one do not change others.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Start the global generators of torch, NumPy and Python from ``mix(*parts)``; restore them after the block.

    Args:
        parts: see `mix`. Generators of GPUs are seeded if CUDA is initialized.
    """
    import torch

    seed = mix(*parts)
    cuda = torch.cuda.default_generators if torch.cuda.is_available() and torch.cuda.is_initialized() else ()
    with restored_generators():
        for generator in (torch.default_generator, *cuda):
            generator.manual_seed(seed)
        seed_outside_torch(seed)
        yield


@contextmanager
def restored_generators() -> Iterator[None]:
    """Restore the global generators of torch, NumPy and Python after the block."""
    import numpy as np
    import torch

    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() and torch.cuda.is_initialized() else ()
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def seed_outside_torch(seed: int) -> None:
    """Seed the global generators of NumPy (by its lower 32 bits) and Python."""
    import numpy as np

    np.random.seed(seed % 2**32)
    random.seed(seed)


def state_outside_torch() -> int:
    """Return a hash of the states of the global generators of NumPy and Python; it changes with every draw."""
    import numpy as np

    state = np.random.get_state(legacy=False)["state"]
    return hash((state["key"].tobytes(), state["pos"], random.getstate()))
