"""The weights that training can change: all of a model's but what is frozen."""

from collections.abc import Mapping

from torch import Tensor, nn


def trained(model: nn.Module) -> dict[str, Tensor]:
    """The model's state without frozen parameters, which beside low-rank adapters are gigabytes.

    Buffers are of it: batch normalization changes its own.
    """
    frozen = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
    if not frozen:
        return model.state_dict()
    own = model.state_dict(keep_vars=True)
    return {name: tensor.detach() for name, tensor in own.items() if id(tensor) not in frozen}


def load_trained(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Puts what `trained` gave back.

    Raises:
        RuntimeError: a weight that is not frozen is missing, one is not the model's, or a shape is another.
    """
    needed = trained(model)
    if set(state) != set(needed):
        different = sorted(set(state) ^ set(needed))
        raise RuntimeError(f"other weights than the model's: {', '.join(different[:3])}")
    model.load_state_dict(state, strict=len(needed) == len(model.state_dict()))
