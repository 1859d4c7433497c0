"""LoRA dropout: inputs of low-rank adapters are set to zero at random."""

from typing import ClassVar

from torch import Tensor, nn

from reglab.regularizers._activation_noise import DecoderNoise
from reglab.regularizers.dropout import dropped
from reglab.schema.strength import probability
from reglab.schema.task_kinds import TOKENS


class LoraDropout(DecoderNoise):
    """Dropout with probability p on the inputs of low-rank adapters.

    Acts on the ``lora_dropout`` modules of peft's layers, which are identities for ``lora_dropout=0``.
    Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models".

    Args:
        p: at least 0 and below 1; 0 is off.
    """

    p = probability(0.1, 0.02, 0.3, effect="noisy adapters")
    requires_task: ClassVar = (TOKENS,)
    requires: ClassVar = "adapters"
    requirement: ClassVar = "it needs low-rank adapters, as in model=hf_causal_lm with model.lora={r:8}"

    def parts(self, model: nn.Module) -> dict[str, nn.Module]:
        return {name: module for name, module in model.named_modules() if name.split(".")[-2:-1] == ["lora_dropout"]}

    def noisy(self, values: Tensor) -> Tensor:
        return dropped(values, self.p)
