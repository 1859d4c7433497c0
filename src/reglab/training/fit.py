"""Model that is trained, with its task and regularizers, from a batch to a loss."""

from collections.abc import Iterable

from torch import Tensor, nn

from reglab.regularizers._dispatch import overrides
from reglab.regularizers.base import Regularizer, Step
from reglab.tasks import Task


class Fit(nn.Module):
    """Model with its task and regularizers, which returns the regularized loss of a batch.

    Several of them with stacked parameters run under ``torch.func.vmap``.

    Args:
        model: network whose parameters are trained.
        task: task with its loss.
        regularizers: in the order in which they act; already attached to the model.
    """

    def __init__(self, model: nn.Module, task: Task, regularizers: Iterable[Regularizer] = ()) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.regularizers = nn.ModuleList(regularizers)
        # Hooks that a regularizer does not override are not called, so that they take no time.
        self._transform_indices = self._indices_overriding("transform_batch")
        self._loss_indices = self._indices_overriding("loss")

    def _indices_overriding(self, hook: str) -> list[int]:
        """Return the indices of the regularizers that override a hook."""
        return [i for i, r in enumerate(self.regularizers) if overrides(r, hook)]

    def forward(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss to minimize of a batch (inputs, targets), a scalar."""
        return self.losses(batch)[0]

    def losses(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the loss to minimize of a batch (inputs, targets), and the task's loss without penalties; scalars."""
        step = Step(self.model, self.task, batch)
        # By index, because functional_call replaces the modules.
        for i in self._transform_indices:
            step.batch = self.regularizers[i].transform_batch(step.batch, step)  # type: ignore[operator]
        loss = task_loss = self.task.criterion(step.forward(), step.batch[1])
        for i in self._loss_indices:
            loss = self.regularizers[i].loss(loss, step)  # type: ignore[operator]
            step.acted.append(self.regularizers[i])
        return loss, task_loss
