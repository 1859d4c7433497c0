"""R-Drop: the divergence between two passes with different dropout masks is penalized."""

from typing import Any, ClassVar

from torch import Tensor, nn

from reglab.regularizers._class_probabilities import log_probabilities
from reglab.regularizers._norms import batch_norms, frozen_statistics
from reglab.regularizers._order import CONSISTENCY
from reglab.regularizers.base import Regularizer, Step
from reglab.schema.strength import coefficient
from reglab.schema.task_kinds import SOFTMAX_OUTPUTS


def disagreement(outputs: Tensor, others: Tensor) -> Tensor:
    """Return the mean over rows of ½ (KL(p‖q) + KL(q‖p)) in nats, a scalar of at least 0; exactly 0 if both are equal.

    Computed as ½ Σ (p - q)(log p - log q), whose terms are not negative.

    Args:
        outputs: logits (..., classes), of p.
        others: logits of q, of the same shape.
    """
    log_p, log_q = log_probabilities(outputs), log_probabilities(others)
    return ((log_p.exp() - log_q.exp()) * (log_p - log_q)).sum(-1).mean() / 2


class RDrop(Regularizer):
    """Replace the loss by the mean loss of two passes plus alpha times their `disagreement`.

    Liang et al. 2021, "R-Drop: Regularized Dropout for Neural Networks", who add the two losses, so that their alpha is
    twice this one. Earlier regularizers (label smoothing, focal loss) are applied to both losses. Running statistics of
    batch normalization are updated by the first pass only.

    Args:
        alpha: at least 0; 0 is off and takes one pass.
    """

    alpha = coefficient(1.0, 0.5, 5.0, effect="agreement of passes")
    order: ClassVar = CONSISTENCY
    requires_task: ClassVar = (SOFTMAX_OUTPUTS,)
    passes: ClassVar = 2.0
    compares_passes: ClassVar = True
    stackable: ClassVar = "at alpha = 0 it takes one pass, and runs of a stack take the same number of passes"

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._norms: list[Any] = []

    def attach(self, model: nn.Module) -> list[str]:
        self._norms = batch_norms(model)
        return ["loss"]

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        assert step.outputs is not None, "the loss comes after the forward pass"
        if not self.alpha:
            return loss
        second_step = Step(step.model, step.task, step.batch)
        with frozen_statistics(self._norms):
            second_loss = step.criterion(second_step.forward(), step.targets)
        for regularizer in step.acted:
            second_loss = regularizer.loss(second_loss, second_step)
        assert second_step.outputs is not None
        return (loss + second_loss) / 2 + self.alpha * disagreement(step.outputs, second_step.outputs)
