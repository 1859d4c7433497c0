"""Wrong labels, drawn once."""

import numpy as np


def flip(labels: np.ndarray, classes: int, noise: float, seed: int) -> np.ndarray:
    """Labels with ``round(noise * n)`` of them replaced by another class, drawn uniformly.

    Args:
        labels: (n,) from 0 to ``classes - 1``.
        noise: share of labels that become wrong, 0 to 1.

    Returns:
        A new array (n,).
    """
    generator = np.random.default_rng(seed)
    wrong = generator.permutation(len(labels))[: round(noise * len(labels))]
    flipped = labels.copy()
    flipped[wrong] = (labels[wrong] + generator.integers(1, classes, size=len(wrong))) % classes
    return flipped
