"""What a strategy did to the weights: their lengths, their zeros, the sharpness of the minimum."""

import torch
from torch import Tensor, nn

from reglab.regularizers._autograd import euclidean_norm
from reglab.regularizers.base import penalized
from reglab.tasks import Task
from reglab.tasks.base import exact
from reglab.training.modes import in_mode

RHO = 0.05  # the radius that is usual for SAM


def effects(model: nn.Module, task: Task, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Figures of the weights as they are, taken in eval mode; the weights come back bit for bit.

    ``model/parameters``, ``model/zero_fraction`` (share of exact zeros among the penalized weights),
    ``model/norm/<weight>`` (Euclidean length of each penalized weight) and ``model/sharpness`` (see `sharpness`).

    Args:
        model: the plain network, on any device.
        task: its loss.
        batch: clean training rows, in the dtype that training gives them.
    """
    weights = {name: weight.detach() for name, weight in penalized(model).items()}
    entries = sum(weight.numel() for weight in weights.values())
    zeros = sum(int((weight == 0).sum()) for weight in weights.values())
    norms = {f"model/norm/{name}": float(euclidean_norm(weight)) for name, weight in weights.items()}
    return {
        "model/parameters": float(sum(p.numel() for p in model.parameters())),
        "model/zero_fraction": zeros / entries if entries else 0.0,
        "model/sharpness": sharpness(model, task, batch),
        **norms,
    }


def sharpness(model: nn.Module, task: Task, batch: tuple[Tensor, Tensor], rho: float = RHO) -> float:
    """How much the loss rises a distance `rho` up its gradient: L(w + rho g / |g|) - L(w), in eval mode.

    The inner step of Foret, Kleiner, Mobahi and Neyshabur 2021, "Sharpness-Aware Minimization for Efficiently Improving
    Generalization"; a lower bound of the rise within that distance, to first order the largest.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    inputs, targets = (part.to(parameters[0].device) for part in batch)

    def criterion(outputs: Tensor) -> Tensor:  # in float64: the difference of two losses is small beside them
        wanted = exact(targets) if targets.is_floating_point() else targets
        predicted = exact(outputs)
        return task.criterion(predicted, wanted.to(predicted.device))

    with in_mode(model, training=False), torch.enable_grad():
        loss = criterion(model(inputs))
        ups = _gradients(loss, parameters)
        whole = euclidean_norm(torch.stack([euclidean_norm(up) for up in ups]))
        before = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for parameter, up in zip(parameters, ups, strict=True):
                parameter.add_(up * (rho / whole.clamp_min(torch.finfo(whole.dtype).tiny)))
            risen = criterion(model(inputs))
            for parameter, old in zip(parameters, before, strict=True):
                parameter.copy_(old)
    return float(risen - loss.detach())


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """By ``backward``: reentrant activation checkpointing does not allow ``torch.autograd.grad``."""
    kept = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    found = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    for parameter, gradient in zip(parameters, kept, strict=True):
        parameter.grad = gradient
    return found
