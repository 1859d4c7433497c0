"""Low-rank adapters folded into the weights beside which they were trained."""

from torch import nn

from reglab.schema.errors import ConfigError


def merge_adapters(model: nn.Module, key: str) -> None:
    """Replaces each adapted layer by a plain one that says the same (up to rounding); none: nothing changes.

    Args:
        model: changed in place.
        key: what names the run, for messages.

    Raises:
        ConfigError: adapters of a kind that cannot be folded in.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in list(model.named_modules()):
        if isinstance(module, AuxiliaryTrainingWrapper):
            raise ConfigError(
                key,
                f"its adapters also train {name} as a whole, which cannot be folded into the weights",
                "give a run without modules_to_save in model.lora",
            )
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())
