"""Training mode and eval mode of a model: temporary changes, and the mode of its submodules in training."""

from collections.abc import Container, Iterator
from contextlib import contextmanager

from torch import nn

from reglab.compat.torch import NormBase


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Set the mode of a model within the block, and restore the mode of each module after it."""
    with restored_modes(model):
        model.train(training)
        yield


@contextmanager
def restored_modes(model: nn.Module) -> Iterator[None]:
    """Restore the mode of each module after the block."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def set_training(model: nn.Module, owned: Container[int] | None = None) -> list[str]:
    """Set training mode as a training loop does, by ``model.train()``, except for modules that are frozen on purpose.

    A pretrained model is in eval mode as a whole (``from_pretrained`` calls ``eval()``), alone or as a part of
    another model, and is set to training mode. These modules stay in eval mode:

    - modules that the model's own ``train()`` keeps there;
    - normalizations in eval mode whose affine parameters are frozen;
    - within a model that is in training mode: a normalization layer or a layer without parameters that is in eval mode,
      and a submodule in eval mode all of whose parameters are frozen.

    Args:
        model: with its original modes.
        owned: identities of the parameters of the optimizer; all others count as frozen. None: all trainable ones.

    Returns:
        Names of the outermost modules that were in eval mode and are now in training mode; the model itself is "".
    """
    modes_before = {module: module.training for module in model.modules()}
    trained = {p for p in model.parameters() if p.requires_grad and (owned is None or id(p) in owned)}
    frozen_parts = list(_frozen_on_purpose(model, trained))
    names_in_eval = [name for name, _ in parts_in_eval(model)]
    model.train()
    for part in frozen_parts:
        for module in part.modules():
            module.training = modes_before[module]
    return [name for name in names_in_eval if model.get_submodule(name).training]


def parts_in_eval(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the outermost modules in eval mode with their names; the model itself is ""."""
    outermost: list[tuple[str, nn.Module]] = []
    for name, module in model.named_modules():
        inside = any(outer == "" or name.startswith(f"{outer}.") for outer, _ in outermost)
        if not module.training and not inside:
            outermost.append((name, module))
    return outermost


def _frozen_on_purpose(model: nn.Module, trained: set[nn.Parameter]) -> Iterator[nn.Module]:
    """Yield modules that `set_training` keeps in eval mode."""
    for name, part in parts_in_eval(model):
        stays_in_eval = isinstance(part, NormBase) or trained.isdisjoint(part.parameters())
        if name and stays_in_eval:  # not the model itself: pretrained ones are in eval mode
            yield part
        else:
            norms = (m for m in part.modules() if isinstance(m, NormBase) and not m.training)
            yield from (norm for norm in norms if norm.weight is not None and trained.isdisjoint(norm.parameters()))
