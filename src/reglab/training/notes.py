"""What a reader of the results ought to know of a strategy: an effect asked for twice, or not at all."""

from collections import defaultdict
from collections.abc import Collection, Iterable

from omegaconf import DictConfig
from torch import nn

from reglab.regularizers._random_layers import random_layers
from reglab.regularizers.base import Regularizer


def double_counting(cfg: DictConfig, regularizers: Iterable[Regularizer], model: nn.Module) -> list[str]:
    """One sentence for each effect that more than one setting asks for; strengths at their off value do not count.

    An optimizer's ``weight_decay`` is L2 for SGD and Adam and decoupled decay for AdamW; both shrink weights as the
    regularizers `l2` and `weight_decay` do, so these count as one effect. So does a dropout layer of the model's own
    beside one of the regularizers that make activations noisy.
    """
    asked: dict[str, list[str]] = defaultdict(list)
    for regularizer in regularizers:
        for strength, effect in regularizer.effects.items():
            if not _is_off(regularizer, strength):
                asked[effect].append(f"{regularizer.name}.{strength}")
    if cfg.optimizer.get("weight_decay"):
        asked["shrunken weights"].append("optimizer.weight_decay")
    if cfg.trainer.get("gradient_clip_val"):
        asked["gradient clipping"].append("trainer.gradient_clip_val")
    if random_layers(model):
        asked["noisy activations"].append("the model's own dropout")
    return [f"{effect}: asked for by {' and '.join(by)}" for effect, by in asked.items() if len(by) > 1]


def no_effect(regularizers: Iterable[Regularizer], scheduled: Collection[tuple[Regularizer, str]]) -> list[str]:
    """One sentence for each regularizer whose strengths are all at their off value, and stay there."""
    return [
        f"{regularizer.name}: no effect, for {' and '.join(f'{k}={v:g}' for k, v in regularizer.off.items())} is off"
        for regularizer in regularizers
        if regularizer.off
        and all(_is_off(regularizer, strength) for strength in regularizer.off)
        and not any(owner is regularizer for owner, _ in scheduled)
    ]


def _is_off(regularizer: Regularizer, strength: str) -> bool:
    return float(getattr(regularizer, strength)) == regularizer.off[strength]
