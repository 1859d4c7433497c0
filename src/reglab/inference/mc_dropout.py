"""Monte-Carlo dropout: passes with dropout on as samples of the predictive distribution.

Gal and Ghahramani 2016, "Dropout as a Bayesian Approximation: Representing Model Uncertainty in Deep Learning".
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from reglab.compat.torch import DropoutNd
from reglab.data.base import TensorData
from reglab.schema.task_kinds import CLASSIFICATION, MULTILABEL, REGRESSION
from reglab.training.train_eval_mode import in_mode


@contextmanager
def dropout_on(model: nn.Module, dropout_modules: Iterable[str]) -> Iterator[list[str]]:
    """Set evaluation mode, and training mode for dropout layers and modules at which a regularizer drops.

    Dropout layers include torch's attention and recurrent layers if their ``dropout`` is above 0: training mode has no
    other effect on them. Batch normalization uses its running statistics. Yields the names of the modules in training
    mode.

    Args:
        model: model with its regularizers attached.
        dropout_modules: names of modules; ``inputs`` is the model itself.
    """
    dropout_layers = {name: module for name, module in model.named_modules() if _is_dropout(module)}
    regularized = {name: model if name == "inputs" else model.get_submodule(name) for name in dropout_modules}
    with in_mode(model, training=False), _without_fast_path():
        for module in (*dropout_layers.values(), *regularized.values()):
            module.training = True
        yield [*dropout_layers, *regularized]


def _is_dropout(module: nn.Module) -> bool:
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return bool(module.dropout)
    return isinstance(module, DropoutNd)


@contextmanager
def _without_fast_path() -> Iterator[None]:
    """Disable the fused kernel of torch's encoder layers in evaluation mode, which skips their dropout layers."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@torch.no_grad()
def sample(model: nn.Module, inputs: Tensor, passes: int, seed: int) -> Tensor:
    """Return the outputs of several passes in the present modes of the modules: (passes, rows, ...)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.stack([model(inputs) for _ in range(passes)])


def class_uncertainty(logits: Tensor) -> dict[str, float]:
    """Return the uncertainty of the passes in nats, as the mean over rows.

    ``entropy`` of the mean probabilities (total uncertainty) and, for several passes, ``mutual_information``: that
    entropy minus the mean entropy of the passes, the part due to disagreement between them (Houlsby et al. 2011,
    "Bayesian Active Learning for Classification and Preference Learning").

    Args:
        logits: (passes, rows, classes).
    """
    rows = class_rows(logits)
    names = ("entropy", "mutual_information") if len(logits) > 1 else ("entropy",)
    return {name: float(rows[name].mean()) for name in names}


def log_mean(logits: Tensor) -> Tensor:
    """Return the logarithms of the passes' mean probabilities: (passes, rows, classes) to (rows, classes)."""
    return logits.double().log_softmax(-1).logsumexp(0) - math.log(len(logits))


def _entropy(log_p: Tensor) -> Tensor:
    return torch.special.entr(log_p.exp()).sum(-1)  # exactly 0 for a probability of 0


def regression_uncertainty(values: Tensor, targets: Tensor, noise: float, scale: float = 1.0) -> dict[str, float]:
    """Return uncertainty and calibration of the passes of a regression, in the target's own units.

    ``noise`` (standard deviation of the residuals), ``coverage_90`` (share of the targets inside the central 90 % of
    1/S Σ N(pass, noise²); .9 if that is calibrated), ``log_likelihood`` (the mean over rows of
    log 1/S Σ N(target; pass, noise²), in nats) and, of several passes, ``spread`` (root of their mean variance).

    Args:
        values: (passes, rows).
        targets: (rows,).
        noise: standard deviation, above 0, see `fit_noise`.
        scale: divisor of the targets in training.
    """
    values, targets = values.double(), targets.double()
    metrics = {
        "noise": noise * scale,
        "coverage_90": float((_distribution(values, targets, noise) - 0.5).abs().le(0.45).double().mean()),
        "log_likelihood": _log_likelihood(values, targets, noise) - math.log(scale),
    }
    return metrics | ({"spread": float(values.var(0).mean().sqrt()) * scale} if len(values) > 1 else {})


def fit_noise(values: Tensor, targets: Tensor) -> float:
    """Return the maximum-likelihood standard deviation of the noise, for validation rows.

    The search is between a thousandth and three times the root mean squared error of the mean.

    Args:
        values: (passes, rows).
        targets: (rows,).
    """
    values, targets = values.double(), targets.double()
    rmse = float((values.mean(0) - targets).square().mean().sqrt()) or 1.0
    ends = (math.log(1e-3 * rmse), math.log(3 * rmse))
    optimum = minimize_scalar(
        lambda log: -_log_likelihood(values, targets, math.exp(log)), bounds=ends, method="bounded"
    )
    return math.exp(float(optimum.x))


def _distribution(values: Tensor, targets: Tensor, noise: float) -> Tensor:
    """Return the predictive distribution function at each target, (rows,): uniform if it is calibrated."""
    return torch.special.ndtr((targets - values) / noise).mean(0)


def class_rows(logits: Tensor) -> dict[str, Tensor]:
    """Return for each row the most probable class, its probability, entropy and mutual information.

    Args:
        logits: (passes, rows, classes).
    """
    mean = log_mean(logits)
    probability, predicted = mean.exp().max(-1)
    entropy = _entropy(mean)
    mean_entropy = _entropy(logits.double().log_softmax(-1)).mean(0)
    return {
        "predicted": predicted,
        "probability": probability,
        "entropy": entropy,
        "mutual_information": (entropy - mean_entropy).clamp_min(0),  # rounding can make it negative
    }


def regression_rows(values: Tensor, noise: float, mean: float, scale: float) -> dict[str, Tensor]:
    """Return for each row the mean of the passes, their spread, and their deviation together with the noise.

    All are in the target's own units.

    Args:
        values: (passes, rows).
        noise: see `regression_uncertainty`.
        mean: subtracted from the targets in training.
        scale: divisor of the targets in training.
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
    log_densities = -((targets - values) / noise).square() / 2 - math.log(noise) - math.log(2 * math.pi) / 2
    return float((log_densities.logsumexp(0) - math.log(len(values))).mean())


def label_mean(logits: Tensor) -> Tensor:
    """Return the logits of the passes' mean probabilities: (passes, rows, labels) to (rows, labels)."""
    logits = logits.double()
    return nn.functional.logsigmoid(logits).logsumexp(0) - nn.functional.logsigmoid(-logits).logsumexp(0)


def label_uncertainty(logits: Tensor) -> dict[str, Tensor]:
    """Return the entropy and mutual information of each row, in nats, as `class_rows` does, summed over the labels.

    Args:
        logits: (passes, rows, labels).
    """
    entropy = _label_entropy(label_mean(logits))
    mean_entropy = _label_entropy(logits.double()).mean(0)
    return {"entropy": entropy, "mutual_information": (entropy - mean_entropy).clamp_min(0)}


def _label_entropy(logits: Tensor) -> Tensor:
    return (torch.special.entr(logits.sigmoid()) + torch.special.entr((-logits).sigmoid())).sum(-1)


Reference = tuple[Tensor, Tensor]
"""Outputs (passes, rows, ...) and targets of the validation rows, or of training rows if there are none."""
Columns = Mapping[str, list[Any]]


class Summary(Protocol):
    """Summary of passes (passes, rows, ...) for one kind of task."""

    def mean(self, outputs: Tensor) -> Tensor:
        """Return the outputs of the mean prediction, float64 (rows, ...)."""

    def uncertainty(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> dict[str, float]:
        """Return metrics of the uncertainty by name."""

    def table(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> Columns:
        """Return target, prediction and uncertainty of each row by column, in the target's own units."""


class ClassSummary:
    """Summary for classification, of logits (passes, rows, classes)."""

    def mean(self, outputs: Tensor) -> Tensor:
        return log_mean(outputs)

    def uncertainty(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> dict[str, float]:
        return class_uncertainty(outputs)

    def table(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> Columns:
        columns = {"target": targets, **class_rows(outputs)}
        names: Any = data.class_names or range(data.outputs)
        as_names = {name: [names[int(number)] for number in columns[name]] for name in ("target", "predicted")}
        return {name: values.tolist() for name, values in columns.items()} | as_names


class LabelSummary:
    """Summary for multi-label classification, of logits (passes, rows, labels)."""

    def mean(self, outputs: Tensor) -> Tensor:
        return label_mean(outputs)

    def uncertainty(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> dict[str, float]:
        rows = label_uncertainty(outputs)
        names = ("entropy", "mutual_information") if len(outputs) > 1 else ("entropy",)
        return {name: float(rows[name].mean()) for name in names}

    def table(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> Columns:
        probabilities = label_mean(outputs).sigmoid()
        columns = {f"target/{label}": targets[:, i].long() for i, label in enumerate(data.class_names)}
        columns |= {f"probability/{label}": probabilities[:, i] for i, label in enumerate(data.class_names)}
        return {name: values.tolist() for name, values in (columns | label_uncertainty(outputs)).items()}


class NumberSummary:
    """Summary for regression, of standardized outputs (passes, rows)."""

    def mean(self, outputs: Tensor) -> Tensor:
        return outputs.double().mean(0)

    def uncertainty(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> dict[str, float]:
        return regression_uncertainty(outputs, targets, fit_noise(*reference), data.target_scale)

    def table(self, outputs: Tensor, targets: Tensor, reference: Reference, data: TensorData) -> Columns:
        rows = regression_rows(outputs, fit_noise(*reference), data.target_mean, data.target_scale)
        columns = {"target": targets.double() * data.target_scale + data.target_mean, **rows}
        return {name: values.tolist() for name, values in columns.items()}


SUMMARIES: dict[str, Summary] = {
    CLASSIFICATION.name: ClassSummary(),
    MULTILABEL.name: LabelSummary(),
    REGRESSION.name: NumberSummary(),
}
"""By kind of task. A kind without one cannot be evaluated again, which is reported."""
