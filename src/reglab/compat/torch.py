"""Private parts of torch."""

from collections.abc import Callable
from inspect import isfunction, ismethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.dropout import _DropoutNd
from torch.optim import Optimizer

# Base classes of torch's layers. Layers of other packages derive from them directly (apex.parallel.SyncBatchNorm,
# baal.bayesian.dropout), so that a list of torch's public classes would miss some.
NormBase = _NormBase
ConvNd = _ConvNd
ConvTransposeNd = _ConvTransposeNd
DropoutNd = _DropoutNd


def parameter_dict(layer: nn.Module) -> dict[str, Any]:
    """Return the layer's own parameters by name, as the dictionary from which the layer reads them.

    A network may override ``named_parameters`` and ``parameters``. And a plain tensor can be put in place of a
    parameter, for which assignment as an attribute raises TypeError; ``torch.func.functional_call`` does so only for
    the length of a call.
    """
    return layer._parameters


def buffer_dict(layer: nn.Module) -> dict[str, Tensor | None]:
    """Return the layer's own buffers by name; a network may override ``named_buffers``."""
    return layer._buffers


def forward_hooks(module: nn.Module) -> tuple[dict[int, Callable[..., Any]], dict[int, Callable[..., Any]]]:
    """Return the module's forward pre-hooks and forward hooks by key. Public API adds and removes hooks only."""
    return module._forward_pre_hooks, module._forward_hooks


def is_compiled(module: nn.Module) -> bool:
    """Return whether ``torch.compile`` was applied to a module or to one of its methods, apart from submodules."""
    if isinstance(module, torch._dynamo.OptimizedModule) or module._compiled_call_impl is not None:
        return True
    bases = (base for base in type(module).__mro__ if issubclass(base, nn.Module) and base is not nn.Module)
    members = (member for holder in (module, *bases) for member in vars(holder).values())
    methods = (member for member in members if isfunction(member) or ismethod(member))
    return any(hasattr(method, "_torchdynamo_orig_callable") for method in methods)


def after_backward(callback: Callable[[], None]) -> None:
    """Call a function when the backward pass in progress ends, as DistributedDataParallel does.

    ``Tensor.register_hook`` and ``register_multi_grad_hook`` run before the gradients of all parameters are known.

    Raises:
        RuntimeError: no backward pass is in progress.
    """
    engine: Any = torch.autograd.Variable._execution_engine
    engine.queue_callback(callback)


def lerp_(tensors: list[Tensor], ends: list[Tensor], weight: float) -> None:
    """Move each tensor by ``weight * (end - tensor)``, in one kernel on a GPU.

    The public `torch.optim.swa_utils.get_ema_multi_avg_fn` takes ``1 - weight``, which rounds the weight.
    """
    torch._foreach_lerp_(tensors, ends, weight)


def version(tensor: Tensor) -> int:
    """Return autograd's count of changes of a tensor in place; views share it."""
    return tensor._version


def unscales_gradients(optimizer: Optimizer) -> bool:
    """Return whether `torch.amp.GradScaler` leaves unscaling and the check for infinite gradients to the optimizer.

    Fused optimizers declare it by this attribute.
    """
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def is_size_overflow(error: BaseException) -> bool:
    """Return whether an error means that the number of bytes of a tensor exceeds 64 bits.

    torch raises a plain RuntimeError for sizes whose product overflows; only its message identifies it.
    """
    return isinstance(error, OverflowError) or (type(error) is RuntimeError and "overflow" in str(error).lower())
