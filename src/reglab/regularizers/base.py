"""What every regularizer is, and what it sees of a training step."""

import inspect
import math
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from reglab.compat.torch import NormBase, parameter_dict
from reglab.schema.constraints import Constraints
from reglab.schema.strength import Strength

_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD

Batch = tuple[Tensor, Tensor]
Weights = dict[str, Tensor]

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

    A subclass declares each strength as a class variable (`reglab.schema.strength.Strength`) and sets those of the
    variables below that apply; `order` is required. On an object a strength is a 0-dim buffer. Hooks compute with
    tensors alone (no branch on a value, no ``.item()``), so that a stack of runs with different strengths trains under
    ``torch.func.vmap``.

    Args:
        values: strengths in the order of their declaration.
        strengths: strengths by name; one that is not given has its declared default.

    Raises:
        ConfigError: a strength is not a number, lies outside its bounds, or is not whole where it has to be.

    Example:
        >>> from reglab.regularizers import L1
        >>> L1(1e-3).strength
        tensor(0.0010)
    """

    order: ClassVar[float]
    """Place in the order in which regularizers act, a constant of `reglab.regularizers._order`."""
    stackable: ClassVar[bool | str] = True
    """Whether it runs under vmap, or the reason why not."""
    requires_task: ClassVar[tuple[str, ...]] = ()
    """Features that the kind of task must have, constants of `reglab.schema.task_kinds`."""
    requires: ClassVar[str] = ""
    """What the model must provide, a word of `reglab.models`; empty: layers with weights, or nothing."""
    requirement: ClassVar[str] = "it needs a layer with trainable weights (nn.Linear, nn.Conv2d, ...)"
    """What the model must have, in words, for the error if `attach` matches nothing."""
    required_activation: ClassVar[str] = ""
    """The only ``model.activation`` that it can act on; empty: any."""
    input_dims: ClassVar[tuple[int, ...]] = ()
    """Dimensions of one example that it can act on: (3,) for images, (2,) for signals of channels; empty: any."""
    supports_padding: ClassVar[bool] = True
    """Whether it can act on sequences of different lengths. One that adds up or moves positions cannot."""
    supports_accumulation: ClassVar[bool] = True
    """Whether a step may be made of several batches, whose gradients are accumulated."""
    conflicts: ClassVar[dict[str, str]] = {}
    """Name of a regularizer that it cannot be combined with to the reason; one of the two declares it."""
    changes_cross_entropy: ClassVar[bool] = False
    """Whether it replaces a part of the unweighted cross entropy, so that it cannot be combined with class weights."""
    stochastic: ClassVar[bool] = False
    """Whether it makes two training passes over one batch differ."""
    compares_passes: ClassVar[bool] = False
    """Whether it compares two passes, and so needs the model or another regularizer to make them differ."""
    monitors_validation: ClassVar[bool] = False
    """Whether it acts on a validation metric: it needs validation rows, and its callbacks find `monitor` in the
    Trainer's metrics."""
    monitor: str = "val/loss"
    """Tracked name of the validation metric that it acts on."""
    constraints: ClassVar[Constraints] = {}
    """Constraints on the keys of its config that are no strengths; null is the default of each."""
    passes: ClassVar[float] = 1.0
    """Theoretical cost of a step, at the default strengths, in forward and backward passes of the plain model; `flops`,
    `draws` and `memory_traffic` are added to it."""
    draws: ClassVar[str] = ""
    """What each step draws one random number for: ``activations`` or ``weights``, after ``normal`` if the numbers are
    normal; empty: fewer, or none."""
    memory_traffic: ClassVar[float] = 0.0
    """Numbers that it reads or writes for each weight, beside the passes; activations are far fewer."""

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__()
        self.hooks: list[Any] = []
        """Forward hooks that attaching it added, see `reglab.regularizers._hooks.attached`."""
        declared = self.strengths()
        given = inspect.signature(type(self)).bind_partial(*values, **strengths).arguments
        for name, strength in declared.items():
            self.register_buffer(name, self._tensor(strength, given.get(name, strength.default)), persistent=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what help() and editors show
            [
                inspect.Parameter(name, _POSITIONAL, default=strength.default, annotation=float)
                for name, strength in cls.strengths().items()
            ]
            + [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in cls.constraints]
        )

    @classmethod
    def strengths(cls) -> dict[str, Strength]:
        """Return the declared strengths by name, in the order of their declaration."""
        bases = reversed(cls.__mro__)
        names = dict.fromkeys(name for base in bases for name, v in vars(base).items() if isinstance(v, Strength))
        return {name: found for name in names if isinstance(found := getattr(cls, name), Strength)}

    @classmethod
    def disabled_by(cls) -> dict[str, Strength]:
        """Return the strengths that disable the method: each alone if they declare `disables`, else all together."""
        able = {name: strength for name, strength in cls.strengths().items() if strength.off is not None}
        alone = {name: strength for name, strength in able.items() if strength.disables}
        return alone or able

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

    def _tensor(self, strength: Strength, value: float) -> Tensor:
        try:
            number = value if isinstance(value, int | float) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        strength.check(f"regularizer.{self.name}.{strength.name}", number)
        return torch.tensor(float(number))


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
