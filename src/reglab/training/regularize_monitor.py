"""Warnings during the training of `Regularize`: regularizers that lose their effect after the first step."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from reglab.compat import lightning
from reglab.regularizers._hooks import is_compiled
from reglab.regularizers.base import Regularizer, penalized


class Monitor:
    """Monitor of the calls and modes of modules with hooks, and of the weights of a model.

    Each warning is given once for a regularizer.

    Args:
        regularizers: attached to the model.
        model: model that they act on.
        owned: returns the identities of the parameters of the optimizer.
    """

    def __init__(self, regularizers: Sequence[Regularizer], model: nn.Module, owned: Callable[[], set[int]]) -> None:
        self._regularizers = regularizers
        self._model = model
        self._owned = owned
        known = owned()
        # Weights that the optimizer does not have at the start of fit, by identity: they are not reported.
        self._excluded: dict[int, Tensor] = {
            id(weight): weight for weight in penalized(model, frozen=True).values() if id(weight) not in known
        }
        self._handles: list[RemovableHandle] = []
        self._modules: dict[str, nn.Module] = {}  # modules with hooks, by name
        self._in_training: dict[str, bool] = {}  # called modules by name: whether a call was in training mode
        self._warned_in_training: set[str] = set()  # names of regularizers
        self._warned_in_validation: set[str] = set()

    def start(self, module: pl.LightningModule) -> None:
        """Record calls of modules with hooks from now on: ``eval()`` may be called after the first batch.

        A compiled module is not monitored, because the hooks would be compiled with it.
        """
        if is_compiled(module) or lightning.is_compiled(module):
            return

        def recorder(name: str) -> Callable[[nn.Module, Any], None]:
            def record(part: nn.Module, inputs: Any) -> None:
                self._in_training[name] = part.training or self._in_training.get(name, False)

            return record

        for name in dict.fromkeys(hook.layer for regularizer in self._regularizers for hook in regularizer.hooks):
            part = self._model.get_submodule(name)
            if part.training:
                self._handles.append(part.register_forward_pre_hook(recorder(name)))
                self._modules[name] = part

    def stop(self) -> None:
        """Remove the hooks of the monitor."""
        while self._handles:
            self._handles.pop().remove()
        self._modules.clear()
        self._excluded.clear()

    def start_batch(self) -> None:
        """Discard the calls before a batch."""
        self._in_training.clear()

    def check_training_batch(self, batch: str, *, has_loss: bool) -> None:
        """Warn of modules that ran in eval mode, were not called or were replaced in a batch of training.

        Args:
            batch: description of the batch.
            has_loss: ``training_step`` returned a loss.
        """
        if self._handles:
            self._check_modes(batch)
            if has_loss:
                self._check_calls(batch)

    def check_validation_batch(self, batch: str) -> None:
        """Warn of regularizers that act in a batch of validation, because their modules run in training mode."""
        if not (self._handles and any(self._in_training.values())):
            return
        for regularizer in self._regularizers:
            names = dict.fromkeys(hook.layer for hook in regularizer.hooks if self._in_training.get(hook.layer))
            if names and regularizer.name not in self._warned_in_validation:
                self._warned_in_validation.add(regularizer.name)
                rank_zero_warn(
                    f"Regularize: {regularizer.name}: acts in {batch}, which runs {_first_names(names)} in "
                    "training mode; let train(mode) of the module set the given mode, and do not call train() in "
                    "validation steps"
                )

    def check_weights(self, batch: str) -> None:
        """Warn of weights that were created after the start of fit and that the optimizer does not have."""
        known = self._owned() | self._excluded.keys()
        new = {name: weight for name, weight in penalized(self._model).items() if id(weight) not in known}
        without_hooks = [regularizer for regularizer in self._regularizers if not regularizer.hooks]
        names = [r.name for r in without_hooks if not new.keys().isdisjoint(r.weights(self._model))]
        if names:
            self._excluded |= {id(weight): weight for weight in new.values()}
            rank_zero_warn(
                f"Regularize: {', '.join(names)}: no effect on {', '.join(list(new)[:3])} in {batch}: the optimizer "
                "has not been given these weights, which were created after the start of fit; copy_ into the weights "
                "that it has, or add them by optimizer.add_param_group"
            )

    def _check_modes(self, batch: str) -> None:
        """Warn of a regularizer whose modules were called in eval mode only."""
        if all(self._in_training.values()):
            return
        for regularizer in self._regularizers:
            called = {
                hook.layer: self._in_training[hook.layer]
                for hook in regularizer.hooks
                if hook.layer in self._in_training
            }
            if called and not any(called.values()) and regularizer.name not in self._warned_in_training:
                self._warned_in_training.add(regularizer.name)
                rank_zero_warn(
                    f"Regularize: {regularizer.name}: no effect in {batch}, which runs {_first_names(called)} in "
                    "eval mode; do not call eval() in training hooks or in training_step"
                )

    def _check_calls(self, batch: str) -> None:
        """Warn of a regularizer none of whose modules was called in a batch, or one of whose modules was replaced."""
        if len(self._in_training) >= len(self._modules):
            return
        for regularizer in self._regularizers:
            names = dict.fromkeys(hook.layer for hook in regularizer.hooks if hook.layer in self._modules)
            uncalled = [name for name in names if name not in self._in_training]
            replaced = [name for name in uncalled if self._present_module(name) is not self._modules[name]]
            all_uncalled = bool(uncalled) and len(uncalled) == len(names)
            if regularizer.name in self._warned_in_training or not (replaced or all_uncalled):
                continue
            self._warned_in_training.add(regularizer.name)
            reason = "were replaced after the start of fit" if replaced else "were not called"
            rank_zero_warn(
                f"Regularize: {regularizer.name}: no effect on {_first_names(replaced or uncalled)} in {batch}: "
                f"modules that it acts on {reason}; change a module (p of nn.Dropout, weights by copy_) instead of "
                "replacing it, and call it in each batch"
            )

    def _present_module(self, name: str) -> nn.Module | None:
        try:
            return self._model.get_submodule(name)
        except AttributeError:
            return None


def _first_names(names: Iterable[str]) -> str:
    """Return the first three names."""
    return ", ".join(name or "the module" for name in list(names)[:3])
