"""L2-SP: half the squared distance of the weights from the starting point is added to the loss."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._autograd import half_squares
from reglab.regularizers._order import PENALTY
from reglab.regularizers.base import Regularizer, Step, Weights, penalized
from reglab.schema.strength import coefficient


def l2_sp_penalty(weights: Weights, starts: Weights, strength: Tensor) -> Tensor:
    """Return strength / 2 · Σ (w - start)², a scalar; its gradient is strength · (w - start).

    Args:
        weights: weights by name.
        starts: starting points by name, of the same shapes; 0 for a weight without one (a new head).
        strength: 0-dim.
    """
    moved = {name: weight - starts[name] if name in starts else weight for name, weight in weights.items()}
    return strength * half_squares(moved)


class L2SP(Regularizer):
    """Add strength / 2 · Σ (w - start)² to the mean loss, where start is the weight when attached.

    Li, Grandvalet and Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks".

    The starts are buffers that are not in state dicts or checkpoints. A resumed run has the same starts, because it
    builds the model from its seed and attaches the method before it loads the weights of the checkpoint.

    Args:
        strength: at least 0; 0 is off.
    """

    strength = coefficient(0.001, 1e-6, 0.1, effect="attraction to the initial weights")
    memory_traffic: ClassVar = 6.0  # w and start in for its value; both and the gradient in, gradient out
    order: ClassVar = PENALTY

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._names: list[str] = []

    def attach(self, model: nn.Module) -> list[str]:
        weights = penalized(model, frozen=True)  # including weights that are unfrozen later
        self._names = list(weights)
        for i, weight in enumerate(weights.values()):
            # A copy, as the optimizer and the loading of a checkpoint change the weight in place.
            self.register_buffer(f"start_{i}", weight.detach().clone(), persistent=False)
        return list(self.weights(model))

    def starts(self) -> Weights:
        """Return the starting point of each weight, by its name in the model."""
        return {name: self.get_buffer(f"start_{i}") for i, name in enumerate(self._names)}

    def penalty(self, weights: Weights) -> Tensor:
        return l2_sp_penalty(weights, self.starts(), self.strength)

    def loss(self, loss: Tensor, step: Step) -> Tensor:
        return loss + self.penalty(step.weights)
