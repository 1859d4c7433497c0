"""L2-SP: weights are pulled back to where training began."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._autograd import half_squares
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Regularizer, Step, Weights, penalized
from reglab.schema.strength import coefficient


def l2_sp_penalty(weights: Weights, starts: Weights, strength: Tensor) -> Tensor:
    """strength / 2 · Σ (w - start)², a scalar; its gradient is strength · (w - start).

    Args:
        weights: by name.
        starts: by name, of the same shapes; a weight without one (a new head) is pulled to 0.
        strength: 0-dim.
    """
    moved = {name: weight - starts[name] if name in starts else weight for name, weight in weights.items()}
    return strength * half_squares(moved)


class L2SP(Regularizer):
    """Adds strength / 2 · Σ (w - start)² to the mean loss; start is what each weight held when it was attached.

    Li, Grandvalet and Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks".

    The starts are buffers here and not in any state dict or checkpoint. A resumed run has them all the same: it builds
    the model anew from its seed and attaches before the checkpoint's weights are loaded over the initial ones.

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.001, 1e-6, 0.1, effect="pull to the start")
    memory_traffic: ClassVar = 6.0  # w and start in for its value; both and the gradient in, gradient out
    order: ClassVar = PENALTY

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._names: list[str] = []

    def attach(self, model: nn.Module) -> list[str]:
        weights = penalized(model, frozen=True)  # what is thawed later began here, too
        self._names = list(weights)
        for i, weight in enumerate(weights.values()):
            # A copy: the optimizer, and the loading of a checkpoint, write into the weight itself.
            self.register_buffer(f"start_{i}", weight.detach().clone(), persistent=False)
        return list(self.weights(model))

    def starts(self) -> Weights:
        """Where each weight began, by its name in the model."""
        return {name: self.get_buffer(f"start_{i}") for i, name in enumerate(self._names)}

    def penalty(self, weights: Weights) -> Tensor:
        return l2_sp_penalty(weights, self.starts(), self.strength)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + self.penalty(step.weights)
