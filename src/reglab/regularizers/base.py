"""Base class of regularizers, and the training step that their hooks receive."""

import inspect
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
    """Weights by name, and the model whose layers determine their layouts."""

    def __init__(self, weights: Weights, model: nn.Module) -> None:
        super().__init__(weights)
        self.model = model


def weights_of(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, Tensor]]:
    """Yield layer name, layer, parameter name and parameter for every candidate of `penalized`.

    A weight that several layers share is yielded once for each of them.
    """
    for prefix, module in model.named_modules():
        if isinstance(module, NORMALIZATIONS):
            continue
        for name, weight in parameter_dict(module).items():
            if weight is not None and weight.ndim > 1 and "bias" not in name:
                yield prefix, module, name, weight


def penalized(model: nn.Module, *, frozen: bool = False) -> Weights:
    """Return the weights on which penalties and constraints act, by their names in the state dict.

    Trainable parameters of two or more dimensions (Linear, Conv, Embedding, ...), without biases and without gains of
    normalizations. Shared weights are included once, under their first name.

    Args:
        model: any module.
        frozen: include weights that are not trainable.
    """
    weights: Weights = {}
    seen: set[int] = set()
    for prefix, _, name, weight in weights_of(model):
        # functional_call replaces parameters by plain tensors, which have no requires_grad under vmap.
        if id(weight) in seen or (isinstance(weight, nn.Parameter) and not (weight.requires_grad or frozen)):
            continue
        seen.add(id(weight))
        weights[f"{prefix}.{name}" if prefix else name] = weight
    return Penalized(weights, model)


class Step:
    """One training step: model, task, batch and outputs.

    Args:
        model: in training mode.
        task: its ``criterion(outputs, targets)`` is the mean loss of the batch.
        batch: (inputs, targets); `transform_batch` replaces it before the forward pass.

    Attributes:
        outputs: outputs of the model, None before `forward`.
        acted: regularizers whose `loss` has been applied, for methods that apply them to another pass.
    """

    def __init__(self, model: nn.Module, task: Any, batch: Batch) -> None:
        self.model = model
        self.task = task
        self.batch = batch
        self.outputs: Tensor | None = None
        self.acted: list[Any] = []

    @property
    def inputs(self) -> Tensor:
        """Inputs of the batch, (rows, *input shape)."""
        return self.batch[0]

    @property
    def targets(self) -> Tensor:
        """Class indices or numbers (rows,), or class probabilities (rows, classes)."""
        return self.batch[1]

    @property
    def criterion(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Function from (outputs, targets) to the mean loss of the task, a scalar."""
        return self.task.criterion

    @cached_property
    def weights(self) -> Weights:
        """Penalized weights of the model, by name."""
        return penalized(self.model)

    def forward(self) -> Tensor:
        """Return the outputs of the model for the batch, and store them in `outputs`."""
        self.outputs = self.model(self.inputs)
        return self.outputs


class Regularizer(nn.Module):
    """Base class of regularizers: one method with its strengths. Hooks do nothing unless a subclass overrides them.

    A subclass declares each strength as a class variable (`reglab.schema.strength.Strength`) and sets those of the
    variables below that apply; `order` is required. In an instance a strength is a 0-dim buffer. Hooks compute with
    tensors only (no branch on a value, no ``.item()``), so that a stack of runs with different strengths can be trained
    under ``torch.func.vmap``.

    Args:
        values: strengths in the order of their declaration.
        strengths: strengths by name; others have their declared defaults.

    Raises:
        ConfigError: a strength is not a number, is outside its bounds, or is not a whole number as declared.

    Example:
        >>> from reglab.regularizers import L1
        >>> L1(1e-3).strength
        tensor(0.0010)
    """

    order: ClassVar[float]
    """Position in the order in which regularizers act, a constant of `reglab.regularizers._order`."""
    stackable: ClassVar[bool | str] = True
    """Whether it runs under vmap, or the reason why not."""
    requires_task: ClassVar[tuple[str, ...]] = ()
    """Features that the kind of task must have, constants of `reglab.schema.task_kinds`."""
    requires: ClassVar[str] = ""
    """Feature that the model must provide, see `reglab.models`; empty: layers with weights, or nothing."""
    requirement: ClassVar[str] = "it needs a layer with trainable weights (nn.Linear, nn.Conv2d, ...)"
    """Requirement on the model as a sentence, for the error if `attach` matches nothing."""
    required_activation: ClassVar[str] = ""
    """The only supported ``model.activation``; empty: any."""
    input_dims: ClassVar[tuple[int, ...]] = ()
    """Supported numbers of dimensions of one example: (3,) for images, (2,) for signals of channels; empty: any."""
    supports_padding: ClassVar[bool] = True
    """Whether it supports padded sequences. Methods that sum over positions or move them do not."""
    supports_accumulation: ClassVar[bool] = True
    """Whether gradients of several batches may be accumulated in a step."""
    conflicts: ClassVar[dict[str, str]] = {}
    """Names of regularizers with which it cannot be combined, with the reason; one of the two declares the conflict."""
    changes_cross_entropy: ClassVar[bool] = False
    """Whether it changes the unweighted cross entropy, so that it cannot be combined with class weights."""
    stochastic: ClassVar[bool] = False
    """Whether two training passes over the same batch differ."""
    compares_passes: ClassVar[bool] = False
    """Whether it compares two passes, which the model or another regularizer must make differ."""
    monitors_validation: ClassVar[bool] = False
    """Whether it acts on a validation metric: it needs validation rows, and its callbacks read `monitor` from the
    metrics of the Trainer."""
    monitor: str = "val/loss"
    """Tracked name of the validation metric on which it acts."""
    constraints: ClassVar[Constraints] = {}
    """Constraints on the keys of its config that are not strengths; the default of each key is null."""
    passes: ClassVar[float] = 1.0
    """Theoretical cost of a step, at the default strengths, in forward and backward passes of the plain model; `flops`,
    `draws` and `memory_traffic` are added to it."""
    draws: ClassVar[str] = ""
    """Values for which a step draws one random number each: ``activations`` or ``weights``, with the prefix ``normal``
    for normal numbers; empty: fewer numbers, or none."""
    memory_traffic: ClassVar[float] = 0.0
    """Numbers read or written for each weight in a step, in addition to the passes."""

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__()
        self._name = ""
        self.hooks: list[Any] = []
        """Forward hooks that `attach` added, see `reglab.regularizers._hooks.attach`."""
        declared = self.strengths()
        if unknown := [name for name in strengths if name not in declared]:
            raise TypeError(
                f"{type(self).__name__} declares no strength {unknown[0]}; declare it as a class variable, as in "
                f"{unknown[0]} = Strength(default=..., search=Search(low, high))"
            )
        passed = inspect.signature(type(self)).bind_partial(*values, **strengths).arguments
        for name, strength in declared.items():
            self.register_buffer(name, self._to_tensor(strength, passed.get(name, strength.default)), persistent=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # shown by help() and editors
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
        # A subclass may replace a strength by something else.
        return {name: strength for name in names if isinstance(strength := getattr(cls, name), Strength)}

    @classmethod
    def disabled_by(cls) -> dict[str, Strength]:
        """Return the strengths that disable the method: any one of those that declare `disables`, else all together."""
        with_off_value = {name: strength for name, strength in cls.strengths().items() if strength.off is not None}
        disabling = {name: strength for name, strength in with_off_value.items() if strength.disables}
        return disabling or with_off_value

    @property
    def name(self) -> str:
        """Key in configs; until it is set, the class name in snake case."""
        return self._name or snake(type(self).__name__)

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    def attach(self, model: nn.Module) -> list[str]:
        """Prepare for a model before training, and return the names of the layers or weights on which the method acts.

        An empty list is an error.
        """
        return list(self.weights(model))

    def weights(self, model: nn.Module) -> Weights:
        """Return the weights that `penalty`, `before_step` and `after_step` receive."""
        return penalized(model)

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        """Return the batch to train on, from (inputs, targets), on the same device."""
        return batch

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        """Return the loss to minimize, from the scalar loss of the task and earlier regularizers."""
        return loss

    def penalty(self, weights: Weights) -> Tensor | None:
        """Return the penalty on the weights as a scalar, for logging; None if the method has none."""
        return None

    def before_step(self, weights: Weights, lr: float) -> Weights:
        """Return new weights before the update of the optimizer; do not change `weights` in place.

        Args:
            weights: weights by name.
            lr: learning rate.
        """
        return weights

    def after_step(self, weights: Weights, lr: float) -> Weights:
        """Return new weights after the update of the optimizer; do not change `weights` in place.

        Args:
            weights: weights by name.
            lr: step size of the optimizer along a constant unit gradient: the learning rate, and
                lr / (1 - momentum) under SGD with momentum.
        """
        return weights

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimizer, or a wrapper of it."""
        return optimizer

    def callbacks(self) -> list[Any]:
        """Return Lightning callbacks for the Trainer; the effect of a method that has some is not measured."""
        return []

    def acts_within(self, steps: int, evaluations: int) -> bool:
        """Return whether a training of at most these numbers of steps and evaluations is long enough for an effect."""
        return True

    @classmethod
    def flops(cls, rows: int, columns: int) -> float:
        """Return the floating-point operations per step on a weight matrix of this shape, in addition to the passes.

        Only terms that grow faster than the matrix: a few operations per weight are negligible beside the six per
        weight and example of a pass.
        """
        return 0.0

    def _to_tensor(self, strength: Strength, value: float) -> Tensor:
        """Check a value of a strength and return it as a 0-dim tensor."""
        number: Any = value
        if not isinstance(value, int | float) and hasattr(value, "__float__"):  # a tensor, or a number of NumPy
            number = float(value)
        strength.check(f"regularizer.{self.name}.{strength.name}", number)
        return torch.tensor(float(number))


def snake(name: str) -> str:
    """Convert a class name to snake case: ``ElasticNet`` to ``elastic_net``, ``L2SP`` to ``l2_sp``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def regularizer_classes() -> dict[str, type[Regularizer]]:
    """Return the classes of all regularizers imported so far, by name in configs."""
    classes: dict[str, type[Regularizer]] = {}
    bases = [Regularizer]
    while bases:
        for subclass in bases.pop().__subclasses__():
            if not subclass.__module__.rpartition(".")[2].startswith("_"):  # base classes are in private modules
                classes[snake(subclass.__name__)] = subclass
            bases.append(subclass)
    return classes
