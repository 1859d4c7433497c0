"""Training and evaluation mode of a model: for a while, and as its own training would set it."""

from collections.abc import Container, Iterator
from contextlib import contextmanager

from torch import nn

from reglab.compat.torch import NormBase


@contextmanager
def in_mode(model: nn.Module, *, training: bool) -> Iterator[None]:
    """The model in that mode within the block; afterwards each of its modules is in the mode that it was in."""
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
    """Set training mode as a training loop does, by ``model.train()``, except for what is frozen on purpose.

    A model that was loaded comes in eval mode as a whole (``from_pretrained`` calls ``eval()``), alone or as a part of
    another, and is set to train. These stay in eval mode:

    - modules that the model's own ``train()`` keeps there;
    - normalizations in eval mode whose affine parameters are frozen;
    - within a model that is in training mode: a normalization or a layer without parameters in eval mode by itself,
      and a part in eval mode all of whose parameters are frozen.

    Args:
        model: with the modes that it came in.
        owned: identities of the parameters that the optimizer has; all others count as frozen, as those of a teacher
            do. None: it has all trainable ones.

    Returns:
        Names of the outermost parts that were in eval mode and are now in training mode, the model itself as "".
    """
    before = {module: module.training for module in model.modules()}
    trained = {p for p in model.parameters() if p.requires_grad and (owned is None or id(p) in owned)}
    kept = list(_frozen_on_purpose(model, trained))
    woken = [name for name, _ in parts_in_eval(model)]
    model.train()
    for part in kept:
        for module in part.modules():
            module.training = before[module]
    return [name for name in woken if model.get_submodule(name).training]


def parts_in_eval(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The outermost modules in eval mode, by name; the model itself is ""."""
    found: list[tuple[str, nn.Module]] = []
    for name, module in model.named_modules():
        inside = any(outer == "" or name.startswith(f"{outer}.") for outer, _ in found)
        if not module.training and not inside:
            found.append((name, module))
    return found


def _frozen_on_purpose(model: nn.Module, trained: set[nn.Parameter]) -> Iterator[nn.Module]:
    for name, part in parts_in_eval(model):
        alone = isinstance(part, NormBase) or trained.isdisjoint(part.parameters())
        if name and alone:  # not the model itself: that is how loaded ones come
            yield part
        else:
            norms = (m for m in part.modules() if isinstance(m, NormBase) and not m.training)
            yield from (norm for norm in norms if norm.weight is not None and trained.isdisjoint(norm.parameters()))
