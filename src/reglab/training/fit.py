"""What is trained: a model with its task and its regularizers, from a batch to a loss."""

from collections.abc import Iterable

from torch import Tensor, nn

from reglab.regularizers._dispatch import overrides
from reglab.regularizers.base import Regularizer, Step
from reglab.tasks import Task


class Fit(nn.Module):
    """Batch in, regularized loss out; a stack of them runs under ``torch.func.vmap``.

    Args:
        model: the plain network; its parameters are what is trained.
        task: the loss.
        regularizers: in the order in which they act; already attached to the model.
    """

    def __init__(self, model: nn.Module, task: Task, regularizers: Iterable[Regularizer] = ()) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.regularizers = nn.ModuleList(regularizers)
        # Only what overrides a hook is called: a strategy without it pays nothing.
        self._transforms = self._with("transform_batch")
        self._losses = self._with("loss")

    def _with(self, hook: str) -> list[int]:
        return [i for i, r in enumerate(self.regularizers) if overrides(r, hook)]

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The loss to minimize of a batch (inputs, targets), a scalar."""
        return self.losses(batch)[0]

    def losses(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The loss to minimize of a batch (inputs, targets), and the task's own loss that it was made from; scalars."""
        step = Step(self.model, self.task, batch)
        # By index, for under functional_call the modules are looked up anew.
        for i in self._transforms:
            step.batch = self.regularizers[i].transform_batch(step.batch, step)  # type: ignore[operator]
        loss = own = self.task.criterion(step.forward(), step.batch[1])
        for i in self._losses:
            loss = self.regularizers[i].loss(loss, step)  # type: ignore[operator]
            step.acted.append(self.regularizers[i])
        return loss, own
