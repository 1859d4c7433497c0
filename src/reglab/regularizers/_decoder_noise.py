"""What methods that make parts of a Transformer noisy have in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from reglab.regularizers._decoders import embeddings
from reglab.regularizers._hooks import moved, values_of, with_values
from reglab.regularizers._order import DROPOUT
from reglab.regularizers.base import Regularizer
from reglab.schema.strength import Strength
from reglab.schema.task_kinds import TOKENS


class DecoderNoise(Regularizer):
    """Changes what parts of a Transformer say in training, anew at each pass; in evaluation they stay as they are."""

    order: ClassVar = DROPOUT
    stochastic: ClassVar = True
    p: ClassVar[Strength]
    _handles: Sequence[Any] = ()

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        """The parts whose outputs are changed, by name."""
        raise NotImplementedError

    def noisy(self, values: Tensor) -> Tensor:
        """What a part's output (rows, length, units) becomes."""
        raise NotImplementedError

    def attach(self, model: nn.Module) -> list[str]:
        parts = self.parts(model)
        self._handles = moved(self._handles, parts.values(), self._in_training)
        return list(parts)

    def _in_training(self, part: nn.Module, inputs: Any, output: Any) -> Any:
        return with_values(output, self.noisy(values_of(output, type(part).__name__))) if part.training else output


class EmbeddingNoise(DecoderNoise):
    """The same for what the embedding says of the tokens."""

    requires_task: ClassVar = (TOKENS,)
    requires: ClassVar = "embeddings"
    requirement: ClassVar = "it needs an embedding of tokens, as model=llama has it"

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        return embeddings(model)
