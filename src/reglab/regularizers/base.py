"""What every regularizer is, and what it sees of a training step."""

import math
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.compat.torch import NormBase, parameter_dict
from reglab.schema.errors import ConfigError, Setting

Batch = tuple[Tensor, Tensor]
Weights = dict[str, Tensor]

# Ends of a range that is open there. Literals, for the config's check reads them from the source. The smallest normal
# number and not the next one: torch.set_flush_denormal makes those in between equal to 0.
ABOVE_0 = 2.2250738585072014e-308
BELOW_1 = 0.9999999999999999

NORMALIZATIONS = (
    NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


class Penalized(dict[str, Tensor]):
    """Weights by name, with their model, whose layers determine the layout of each weight."""

    def __init__(self, weights: Weights, model: nn.Module) -> None:
        super().__init__(weights)
        self.model = model


def weights_of(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Yield layer name, layer, parameter name and parameter for every candidate of `penalized`.

    A weight that several layers share comes once for each of them.
    """
    for prefix, module in model.named_modules():
        if isinstance(module, NORMALIZATIONS):
            continue
        for name, weight in parameter_dict(module).items():
            if weight is not None and weight.ndim > 1 and "bias" not in name:
                yield prefix, module, name, weight


def penalized(model: nn.Module, *, frozen: bool = False) -> Weights:
    """The weights that penalties and constraints act on, by their names in the state dict.

    Trainable parameters of two or more dimensions (Linear, Conv, Embedding, ...), without biases and without the
    gains of normalizations. Shared weights come once, under their first name. With `frozen` also those that are not
    trainable now.
    """
    found: Weights = {}
    seen: set[int] = set()
    for prefix, _, name, weight in weights_of(model):
        # Under functional_call plain tensors stand in for the parameters, and under vmap they hide requires_grad.
        if id(weight) in seen or (isinstance(weight, nn.Parameter) and not (weight.requires_grad or frozen)):
            continue
        seen.add(id(weight))
        found[f"{prefix}.{name}" if prefix else name] = weight
    return Penalized(found, model)


class Step:
    """One training batch as a regularizer sees it.

    Args:
        model: in training mode.
        task: its ``criterion(outputs, targets)`` is the mean loss of the batch.
        batch: (inputs, targets); `transform_batch` replaces it before the forward pass.

    Attributes:
        outputs: what the model said, None before `forward`.
        acted: regularizers whose `loss` made the loss so far, for a method that needs the same of another pass.
    """

    def __init__(self, model: nn.Module, task: Any, batch: Batch) -> None:
        self.model = model
        self.task = task
        self.batch = batch
        self.outputs: Tensor | None = None
        self.acted: list[Any] = []

    @property
    def inputs(self) -> Tensor:
        """(rows, *input shape)."""
        return self.batch[0]

    @property
    def targets(self) -> Tensor:
        """Class numbers or numbers (rows,), or shares of classes (rows, classes)."""
        return self.batch[1]

    @property
    def criterion(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The task's mean loss of (outputs, targets), a scalar."""
        return self.task.criterion

    @cached_property
    def weights(self) -> Weights:
        """The penalized weights of the model, by name."""
        return penalized(self.model)

    def forward(self) -> Tensor:
        """The model's outputs for the batch, which are kept."""
        self.outputs = self.model(self.inputs)
        return self.outputs


class Regularizer(nn.Module):
    """One method with its strengths. Every hook does nothing unless a method overrides it.

    Hooks compute with tensors alone (strengths are 0-dim buffers; no branch on a value, no ``.item()``), so that a
    stack of runs with different strengths trains under ``torch.func.vmap``.

    Args:
        strengths: a number for each name in `bounds`.

    Raises:
        ConfigError: a strength is not a number, lies outside its bounds, or is not whole where it has to be.
    """

    off: ClassVar[dict[str, float | None]] = {}
    """Strength to the value at which it is exactly no regularizer; None where there is no such value."""
    switch: ClassVar[tuple[str, ...]] = ()
    """Strengths of which one at its off value is enough for no regularizer, whatever the others are; empty: all have to
    be at theirs."""
    bounds: ClassVar[dict[str, tuple[float, float]]] = {}
    """Strength to (lowest, highest), both allowed; infinity only where it is the off value."""
    acts: ClassVar[float]
    """Place in the order of `reglab.regularizers._order`."""
    stackable: ClassVar[bool | str] = True
    """Whether it runs under vmap, or the reason why not."""
    kinds: ClassVar[tuple[str, ...]] = ("classification", "regression", "language modeling")
    """Task kinds it fits. Tokens are numbers of words: what reckons with inputs does not fit language modeling."""
    whole: ClassVar[tuple[str, ...]] = ()
    """Strengths that are whole numbers."""
    passes: ClassVar[float] = 1.0
    """Theoretical cost of a step, at the default strengths, in forward and backward passes of the plain model; beside
    them stand `flops`, `draws` and `traffic`."""
    draws: ClassVar[str] = ""
    """What it draws a random number for at each step: ``activations`` or ``weights``, with ``normal`` before it where
    these are normal; empty: fewer, or none."""
    traffic: ClassVar[float] = 0.0
    """How many numbers it has to read or write for each weight, beside the passes; activations are far fewer."""
    dims: ClassVar[tuple[int, ...]] = ()
    """Dimensions of one example that it can act on: (3,) for images, (2,) for signals of channels; empty: any."""
    counts_places: ClassVar[bool] = False
    """Whether it takes every place for a real one, adding them up or moving them: then no example may end early."""
    conflicts: ClassVar[dict[str, str]] = {}
    """Name of a regularizer that it cannot be combined with to the reason; one of the two declares it."""
    effects: ClassVar[dict[str, str]] = {}
    """Strength to the effect it asks for; one effect asked for twice is reported."""
    random_forward: ClassVar[bool] = False
    """Whether it makes two training passes over one batch differ."""
    compares_passes: ClassVar[bool] = False
    """Whether it compares passes, and so needs the model or another regularizer to make them differ."""
    acts_on: ClassVar[str] = ""
    """What the model must offer, a word of `reglab.models`; empty: layers with weights, or nothing."""
    or_on_inputs: ClassVar[str] = ""
    """Strength with which it acts on inputs as well: where that is on, any model will do."""
    activation: ClassVar[str] = ""
    """The only ``model.activation`` that it can act on; empty: any."""
    watches: ClassVar[bool] = False
    """Whether it acts on ``val/loss``: it needs validation rows, and its callbacks find figures in the Trainer."""
    accumulates: ClassVar[bool] = True
    """Whether a step may be made of several batches, whose gradients are accumulated."""
    probe: ClassVar[dict[str, float]] = {}
    """Strengths at which its first step differs from one without it, where those of a run need not: a bound that is not
    reached, a step that comes later. `reglab.training.guard` measures at them that the method acts; for a strength not
    named it takes one well within `bounds`."""
    needs: ClassVar[str] = "it needs a layer with trainable weights (nn.Linear, nn.Conv2d, ...)"
    """What the model must have, said where `attach` matches nothing."""

    def __init__(self, **strengths: float) -> None:
        super().__init__()
        self.hooks: list[Any] = []
        """Forward hooks that attaching it added, see `reglab.regularizers._hooks.attached`."""
        for strength, value in strengths.items():
            self.register_buffer(strength, self._checked(strength, value), persistent=False)

    @property
    def name(self) -> str:
        """Its name in configs: the class name in snake case."""
        return snake(type(self).__name__)

    def attach(self, model: nn.Module) -> list[str]:
        """Called once before training; returns the names of what it acts on. Nothing matched is refused."""
        return list(self.weights(model))

    def weights(self, model: nn.Module) -> Weights:
        """The weights that `penalty`, `before_step` and `after_step` are given."""
        return penalized(model)

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        """The batch to train on, made from (inputs, targets) on their device."""
        return batch

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        """The loss to minimize, made from the scalar that the task and earlier regularizers gave."""
        return loss

    def penalty(self, weights: Weights) -> Tensor | None:
        """The penalty on the weights as a scalar, for logging; None where there is none."""
        return None

    def before_step(self, weights: Weights, lr: float) -> Weights:
        """New weights, between the gradient and the optimizer's update. Pure: `weights` stay as they are."""
        return weights

    def after_step(self, weights: Weights, lr: float) -> Weights:
        """New weights after the optimizer's update. Pure: `weights` stay as they are.

        Args:
            weights: by name.
            lr: how far the optimizer moves along a constant unit gradient: the learning rate, and
                lr / (1 - momentum) under SGD with momentum.
        """
        return weights

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """The optimizer to use."""
        return optimizer

    def callbacks(self) -> list[Any]:
        """Lightning callbacks for the Trainer. What has some is trusted to act in them, and not measured in a step."""
        return []

    def acts_within(self, steps: int, evaluations: int) -> bool:
        """Whether a training of at most so many steps and evaluations is long enough for it to act."""
        return True

    @classmethod
    def flops(cls, rows: int, columns: int) -> float:
        """Floating-point operations that a step spends on one weight matrix beside its passes, from its shape.

        For what grows faster than the matrix: a few for each weight are lost beside six for each weight and example.
        """
        return 0.0

    def _checked(self, strength: str, value: float) -> Tensor:
        low, high = self.bounds[strength]
        try:
            tensor = torch.tensor(float(value))
        except (TypeError, ValueError):
            tensor = torch.tensor(math.nan)
        stored = tensor.item()  # a float32 rounds .99999999 to 1
        if not low <= stored <= high or (math.isinf(stored) and stored != self.off.get(strength)):
            raise ConfigError(Setting(f"regularizer.{self.name}.{strength}", value), f"must be {within(low, high)}")
        if strength in self.whole and math.isfinite(stored) and stored % 1:
            raise ConfigError(Setting(f"regularizer.{self.name}.{strength}", value), "must be a whole number")
        return tensor


def within(low: float, high: float) -> str:
    """A range in words: ``at least 0 and below 1``."""
    lower = "above 0" if low == ABOVE_0 else f"at least {low:g}"
    upper = "finite" if high == math.inf else "below 1" if high == BELOW_1 else f"at most {high:g}"
    return f"{lower} and {upper}"


def snake(name: str) -> str:
    """``ElasticNet`` to ``elastic_net``, ``L2SP`` to ``l2_sp``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def known() -> dict[str, type[Regularizer]]:
    """Config name to class, of every regularizer imported so far."""
    found: dict[str, type[Regularizer]] = {}
    todo = [Regularizer]
    while todo:
        for method in todo.pop().__subclasses__():
            if not method.__module__.rpartition(".")[2].startswith("_"):  # what several have in common is none itself
                found[snake(method.__name__)] = method
            todo.append(method)
    return found
