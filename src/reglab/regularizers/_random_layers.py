"""Layers of a model that draw random numbers in training."""

from torch import nn

from reglab.compat.torch import DropoutNd


def random_layers(model: nn.Module) -> dict[str, str]:
    """Return the modules that draw random numbers in training: name to ``p=0.1``.

    Dropout of all kinds with p above 0, also of other packages by class name (DropPath, StochasticDepth), and modules
    with a probability in an attribute whose name contains "drop" (attention, recurrent layers, decoder blocks). Draws
    in a forward method are not detected.
    """
    found = {name: _drawn(module) for name, module in model.named_modules()}
    return {name: drawn for name, drawn in found.items() if drawn}


def _drawn(module: nn.Module) -> str:
    if isinstance(module, nn.RReLU):
        return "random slopes"
    kind = type(module).__name__.lower()
    if isinstance(module, DropoutNd) or "drop" in kind or "stochastic" in kind:
        p = getattr(module, "p", getattr(module, "drop_prob", None))
        if p is not None:
            return f"p={p:g}" if p > 0 else ""
        if next(module.parameters(), None) is None:  # a network may be named NoDropout
            return "unknown p"
    own = {key: value for key, value in vars(module).items() if "drop" in key.lower() and isinstance(value, float)}
    return ", ".join(f"{key}={value:g}" for key, value in own.items() if value > 0)
