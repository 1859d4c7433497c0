"""Independent random streams from one seed."""

import hashlib

_BITS = 63  # what torch.Generator.manual_seed takes without sign trouble


def mix(*parts: int | str) -> int:
    """A number in [0, 2**63) that depends on every part: ``mix(seed, "order", epoch)``.

    Streams named by different parts are independent for all practical purposes (BLAKE2b), so that drawing more from
    one moves no other.
    """
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> (64 - _BITS)
