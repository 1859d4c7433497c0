"""A tracked classifier or regression evaluated again, with dropout on: what `pipelines/evaluate.py` does."""

import sys

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from reglab.data.base import TensorData
from reglab.data.batches import Batches
from reglab.errors import ConfigError
from reglab.inference import mc_dropout
from reglab.inference.chosen import only
from reglab.inference.rebuilt import finished, rebuilt
from reglab.regularizers._activation_noise import ActivationNoise
from reglab.tasks import LanguageModeling
from reglab.training import build
from reglab.training.modes import in_mode

Figures = dict[str, float]


def evaluate(uri: str | None, run_id: str, passes: int, seed: int) -> tuple[Figures, Figures]:
    """Figures of the test part in evaluation mode, and those of Monte-Carlo dropout; see `mc_dropout`.

    Args:
        uri: of the store.
        run_id: of a finished run with weights.
        passes: with dropout on.
        seed: of the masks.

    Raises:
        ConfigError: no such run, one without weights or test rows, of a language model, or with nothing that drops.
    """
    made, key = finished(uri, run_id), f"run_id={run_id}"
    if (kind := made.record.tags.get("task")) == LanguageModeling.kind:
        raise ConfigError(f"{key}: is {kind}; make generate shows its passes with dropout on (train_mode=true)")
    found = rebuilt(made, uri)
    cfg, data, model = found.cfg, found.data, found.model
    if not data.test_rows:
        raise ConfigError(f"{key}: has no test rows (data.test_fraction={cfg.data.test_fraction}); give another run")
    places = _places(cfg, model, data)
    with in_mode(model, training=False):
        plain, targets = _said(model, data.test_dataloader(), None, 0)
    figures = build.build_task(data).figures(plain[0], targets, full=True)
    with mc_dropout.dropout_on(model, places) as named:
        if not named:
            strategy = made.record.tags.get("strategy")
            raise ConfigError(f"{key}: nothing in the strategy {strategy} and its model drops; give a run with dropout")
        drawn, _ = _said(model, data.test_dataloader(), passes, seed)
        known = _said(model, data.val_dataloader()[0] if data.val_rows else data.train_eval_dataloader(), passes, seed)
    told = {name: float(value) for name, value in figures.items()}
    if data.kind == "classification":
        return told, mc_dropout.of_classes(drawn, targets)
    return told, mc_dropout.of_numbers(drawn, targets, mc_dropout.noise_of(*known), data.target_scale)


def _places(cfg: DictConfig, model: nn.Module, data: TensorData) -> list[str]:
    """Where regularizers drop activations or inputs; others act on training alone, and are left out."""
    some = only(cfg, lambda method: issubclass(method, ActivationNoise))
    methods = build.build_regularizers(some, model, data.kind, data.input_shape)
    return [place for method in methods for place in method.attach(model)]


def _said(model: nn.Module, batches: Batches, passes: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """What the model says of a part, (passes, rows, ...), one pass without `passes`; and the targets (rows,)."""
    pairs = list(batches)
    said = [mc_dropout.drawn(model, inputs, passes or 1, seed + number) for number, (inputs, _) in enumerate(pairs)]
    return torch.cat(said, 1), torch.cat([targets for _, targets in pairs])


def show(plain: Figures, drawn: Figures, passes: int) -> None:
    """Both side by side, on standard output."""
    sys.stdout.write(f"{'test':<20}{'inference':>12}{f'{passes} passes':>14}\n")
    for name in dict.fromkeys((*plain, *drawn)):
        cells = (f"{figures[name]:.4f}" if name in figures else "" for figures in (plain, drawn))
        sys.stdout.write(f"{name:<20}{next(cells):>12}{next(cells):>14}\n")
