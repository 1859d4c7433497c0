"""Weights of a model: the state that training can change, and metrics of it (norms, zeros, sharpness)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from reglab.regularizers._autograd import euclidean_norm
from reglab.regularizers.base import penalized
from reglab.tasks import Task
from reglab.tasks.base import to_float64
from reglab.training.train_eval_mode import in_mode


def trainable_state(model: nn.Module) -> dict[str, Tensor]:
    """Return the state of a model without frozen parameters; next to low-rank adapters those take gigabytes.

    Buffers are included, because training changes those of batch normalization.
    """
    frozen = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
    if not frozen:
        return model.state_dict()
    state = model.state_dict(keep_vars=True)
    return {name: tensor.detach() for name, tensor in state.items() if id(tensor) not in frozen}


def load_trainable_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state that `trainable_state` returned.

    Raises:
        RuntimeError: weights are missing or unknown, or a shape differs.
    """
    expected = trainable_state(model)
    if set(state) != set(expected):
        different = sorted(set(state) ^ set(expected))
        raise RuntimeError(f"missing or unknown weights: {', '.join(different[:3])}")
    model.load_state_dict(state, strict=len(expected) == len(model.state_dict()))


RHO = 0.05  # usual radius of sharpness-aware minimization


def weight_metrics(model: nn.Module, task: Task, batch: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Return metrics of the weights in eval mode; the weights are restored bit for bit.

    ``model/parameters``, ``model/zero_fraction`` (share of exact zeros among the penalized weights),
    ``model/norm/<weight>`` (Euclidean norm of each penalized weight) and ``model/sharpness`` (see `sharpness`).

    Args:
        model: the plain network, on any device.
        task: task with its loss.
        batch: (inputs, targets) of clean training rows, in the dtype of training.
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
    """Return the sharpness L(w + rho g / |g|) - L(w), with gradient g of the loss L at the weights w, in eval mode.

    The inner step of Foret, Kleiner, Mobahi and Neyshabur 2021, "Sharpness-Aware Minimization for Efficiently Improving
    Generalization"; a lower bound of the largest increase within that distance, to first order equal to it.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    inputs, targets = (part.to(parameters[0].device) for part in batch)

    def criterion(outputs: Tensor) -> Tensor:  # in float64: the difference of two losses is small compared with them
        exact_targets = to_float64(targets) if targets.is_floating_point() else targets
        exact_outputs = to_float64(outputs)
        return task.criterion(exact_outputs, exact_targets.to(exact_outputs.device))

    with in_mode(model, training=False), torch.enable_grad():
        loss = criterion(model(inputs))
        gradients = _gradients(loss, parameters)
        norm = euclidean_norm(torch.stack([euclidean_norm(gradient) for gradient in gradients]))
        original = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.add_(gradient * (rho / norm.clamp_min(torch.finfo(norm.dtype).tiny)))
            perturbed = criterion(model(inputs))
            for parameter, weight in zip(parameters, original, strict=True):
                parameter.copy_(weight)
    return float(perturbed - loss.detach())


def _gradients(loss: Tensor, parameters: list[nn.Parameter]) -> list[Tensor]:
    """Return gradients by ``backward``: reentrant activation checkpointing does not allow ``torch.autograd.grad``."""
    original = [parameter.grad for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
    loss.backward()
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    for parameter, gradient in zip(parameters, original, strict=True):
        parameter.grad = gradient
    return gradients
