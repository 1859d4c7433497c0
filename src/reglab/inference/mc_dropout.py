"""Monte-Carlo dropout: passes with dropout on, taken as draws of what the network may think.

Gal and Ghahramani 2016, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning".
"""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from reglab.compat.torch import DropoutNd
from reglab.training.modes import in_mode


@contextmanager
def dropout_on(model: nn.Module, places: Iterable[str]) -> Iterator[list[str]]:
    """Evaluation mode, but for layers that drop and modules at which a regularizer does: those are in training mode.

    Layers that drop are dropout layers, and torch's attention and recurrent layers where their ``dropout`` is above 0:
    training mode means nothing else to them. Batch normalization keeps its running statistics. Yields the names of the
    modules in training mode.

    Args:
        model: with its regularizers attached.
        places: names of modules; ``inputs`` is the model itself.
    """
    own = {name: module for name, module in model.named_modules() if _drops(module)}
    named = {name: model if name == "inputs" else model.get_submodule(name) for name in places}
    with in_mode(model, training=False), _each_layer_called():
        for module in (*own.values(), *named.values()):
            module.training = True
        yield [*own, *named]


def _drops(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return bool(module.dropout)
    return isinstance(module, DropoutNd)


@contextmanager
def _each_layer_called() -> Iterator[None]:
    """An encoder layer of torch in evaluation mode is one fused kernel, which passes by its dropout layers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@torch.no_grad()
def drawn(model: nn.Module, inputs: Tensor, passes: int, seed: int) -> Tensor:
    """What the model says in several passes in the modes that its modules are in: (passes, rows, ...)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.stack([model(inputs) for _ in range(passes)])


def of_classes(logits: Tensor) -> dict[str, float]:
    """What passes say of their own uncertainty, in nats, as the mean over rows.

    ``entropy`` of their mean probabilities (total uncertainty) and, of several, ``mutual_information``: that entropy
    minus the mean entropy of the passes, which is what they disagree on (Houlsby et al. 2011, "Bayesian Active Learning
    for Classification and Preference Learning").

    Args:
        logits: (passes, rows, classes).
    """
    rows = rows_of_classes(logits)
    told = ("entropy", "mutual_information") if len(logits) > 1 else ("entropy",)
    return {name: float(rows[name].mean()) for name in told}


def log_mean(logits: Tensor) -> Tensor:
    """Logarithms of the passes' mean probabilities, (rows, classes) of (passes, rows, classes): logits of that mean."""
    return logits.double().log_softmax(-1).logsumexp(0) - math.log(len(logits))


def _entropy(log_p: Tensor) -> Tensor:
    return torch.special.entr(log_p.exp()).sum(-1)  # 0 of a probability of 0


def of_numbers(values: Tensor, targets: Tensor, noise: float, scale: float = 1.0) -> dict[str, float]:
    """How sure the passes of a regression are, and how rightly, in the target's own units.

    ``noise`` (standard deviation of what no pass explains), ``coverage_90`` (share of the targets inside the central
    90 % of 1/S Σ N(pass, noise²); .9 where that is calibrated), ``log_likelihood`` (the mean over rows of
    log 1/S Σ N(target; pass, noise²), in nats) and, of several passes, ``spread`` (root of their mean variance).

    Args:
        values: (passes, rows).
        targets: (rows,).
        noise: standard deviation, above 0, see `noise_of`.
        scale: by which targets were divided for the training.
    """
    values, targets = values.double(), targets.double()
    figures = {
        "noise": noise * scale,
        "coverage_90": float((_distribution(values, targets, noise) - 0.5).abs().le(0.45).double().mean()),
        "log_likelihood": _log_likelihood(values, targets, noise) - math.log(scale),
    }
    return figures | ({"spread": float(values.var(0).mean().sqrt()) * scale} if len(values) > 1 else {})


def noise_of(values: Tensor, targets: Tensor) -> float:
    """The standard deviation under which `targets` are the likeliest given the passes, both as in `of_numbers`.

    To be found on validation rows. The search is between a thousandth and thrice the error of the mean.
    """
    values, targets = values.double(), targets.double()
    error = float((values.mean(0) - targets).square().mean().sqrt()) or 1.0
    ends = (math.log(1e-3 * error), math.log(3 * error))
    found = minimize_scalar(lambda log: -_log_likelihood(values, targets, math.exp(log)), bounds=ends, method="bounded")
    return math.exp(float(found.x))


def _distribution(values: Tensor, targets: Tensor, noise: float) -> Tensor:
    """The probability of a smaller value than each target, (rows,): uniform where passes and noise are right."""
    return torch.special.ndtr((targets - values) / noise).mean(0)


def rows_of_classes(logits: Tensor) -> dict[str, Tensor]:
    """Row by row: the likeliest class of the mean, its probability, entropy and mutual information; see `of_classes`.

    Args:
        logits: (passes, rows, classes).
    """
    mean = log_mean(logits)
    probability, predicted = mean.exp().max(-1)
    entropy = _entropy(mean)
    within = _entropy(logits.double().log_softmax(-1)).mean(0)
    return {
        "predicted": predicted,
        "probability": probability,
        "entropy": entropy,
        "mutual_information": (entropy - within).clamp_min(0),  # which it is but for rounding
    }


def rows_of_numbers(values: Tensor, noise: float, mean: float, scale: float) -> dict[str, Tensor]:
    """Row by row: the mean of the passes, their spread and the deviation of both with the noise, in the target's units.

    Args:
        values: (passes, rows).
        noise: see `of_numbers`.
        mean: that was subtracted from targets for the training.
        scale: by which they were divided.
    """
    values = values.double()
    variance = values.var(0)
    deviation = (variance + noise**2).sqrt()
    return {
        "predicted": values.mean(0) * scale + mean,
        "spread": variance.sqrt() * scale,
        "deviation": deviation * scale,
    }


def _log_likelihood(values: Tensor, targets: Tensor, noise: float) -> float:
    each = -((targets - values) / noise).square() / 2 - math.log(noise) - math.log(2 * math.pi) / 2
    return float((each.logsumexp(0) - math.log(len(values))).mean())
