"""Layers of a model that draw random numbers in training."""

from torch import nn
from torch.nn.modules.dropout import _DropoutNd


def random_layers(model: nn.Module) -> list[str]:
    """Names of the modules that make two training passes differ, as far as modules tell.

    Dropout of all kinds with p above 0, by name those of other packages too (DropPath, StochasticDepth), and what
    holds a probability called `dropout` (attention, recurrent layers). What a forward method draws itself is not seen.
    """
    return [name for name, module in model.named_modules() if _draws(module)]


def _draws(module: nn.Module) -> bool:
    if isinstance(module, nn.RReLU):
        return True
    kind = type(module).__name__.lower()
    if isinstance(module, _DropoutNd) or "drop" in kind or "stochastic" in kind:
        p = getattr(module, "p", getattr(module, "drop_prob", None))
        return p is None or p > 0
    p = getattr(module, "dropout", None)
    return isinstance(p, float) and p > 0
