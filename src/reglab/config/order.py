"""The order in which regularizers act, known without importing them."""

from typing import Any

from omegaconf import DictConfig

from reglab.config.selection import selected
from reglab.config.source import Unknown, declared


def acts(target: str) -> float:
    """The place that a regularizer's class declares; a class of another package is imported to be asked."""
    try:
        return float(declared(target, "acts"))
    except Unknown:
        from hydra.utils import get_class

        owner: Any = get_class(target)
        return float(owner.acts)


def strategy(cfg: DictConfig) -> str:
    """``none``, ``dropout``, ``dropout+max_norm``: a config's regularizers, joined in the order in which they act."""
    ordered = sorted((acts(cfg.regularizer[name]._target_), name) for name in selected(cfg))
    return "+".join(name for _, name in ordered) or "none"
