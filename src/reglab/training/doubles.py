"""The same effect asked for twice, such as L2 and an optimizer's weight decay."""

from collections import defaultdict
from collections.abc import Iterable

from omegaconf import DictConfig

from reglab.regularizers.base import Regularizer


def double_counting(cfg: DictConfig, regularizers: Iterable[Regularizer]) -> list[str]:
    """One sentence for each effect that more than one setting asks for; strengths at their off value do not count.

    An optimizer's ``weight_decay`` is L2 for SGD and Adam and decoupled decay for AdamW; both shrink weights as the
    regularizers `l2` and `weight_decay` do, so these count as one effect.
    """
    asked: dict[str, list[str]] = defaultdict(list)
    for regularizer in regularizers:
        for strength, effect in regularizer.effects.items():
            if float(getattr(regularizer, strength)) != regularizer.off[strength]:
                asked[_SAME.get(effect, effect)].append(f"{regularizer.name}.{strength}")
    if cfg.optimizer.get("weight_decay"):
        asked["l2"].append("optimizer.weight_decay")
    if cfg.trainer.get("gradient_clip_val"):
        asked["gradient clipping"].append("trainer.gradient_clip_val")
    return [f"{effect} is asked for by {' and '.join(by)}" for effect, by in asked.items() if len(by) > 1]


_SAME = {"weight decay": "l2"}
