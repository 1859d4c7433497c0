"""A tracked classifier or regression evaluated again, with dropout on: what `pipelines/evaluate.py` does."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mlflow.entities import Metric
from omegaconf import DictConfig
from torch import Tensor, nn

from reglab.config.trusted import Typed
from reglab.data.base import TensorData
from reglab.data.batches import Batches
from reglab.inference import mc_dropout
from reglab.inference.chosen import only
from reglab.inference.rebuilt import finished, rebuilt
from reglab.regularizers._activation_noise import ActivationNoise
from reglab.regularizers._decoder_noise import DecoderNoise
from reglab.regularizers.attention_dropout import AttentionDropout
from reglab.schema.errors import ConfigError
from reglab.seeding import mix
from reglab.streams import write_line
from reglab.tasks import LanguageModeling
from reglab.tracking import artifacts
from reglab.tracking.view import run_link
from reglab.training import build
from reglab.training.modes import in_mode
from reglab.training.origin import Origin
from reglab.wording import csv_text

Figures = dict[str, float]
TABLE = "mc_dropout.csv"


@dataclass(frozen=True)
class Evaluated:
    """A run's test part, in inference and with dropout on.

    Attributes:
        origin: the run.
        passes: with dropout on.
        seed: of the masks.
        plain: figures in evaluation mode: those that were tracked, and what `mc_dropout` says of one such pass.
        drawn: the same of Monte-Carlo dropout, where the mean of the passes predicts.
        rows: of each test row its number in the data set, target, prediction and uncertainty, by column.
    """

    origin: Origin
    passes: int
    seed: int
    plain: Figures
    drawn: Figures
    rows: dict[str, list[Any]]


def evaluate(
    uri: str | None, run_id: str, passes: int, seed: int, typed: Typed | None = None, experiment: str | None = None
) -> Evaluated:
    """Evaluates the test part of a run again.

    Args:
        uri: of the store.
        run_id: of a finished run with weights.
        passes: with dropout on.
        seed: of the masks.
        typed: see `Origin`.
        experiment: the experiment of the run; None: any.

    Raises:
        ConfigError: no such run, one without weights or test rows, of a language model, or with nothing that drops.
    """
    made, key = finished(uri, run_id, typed, experiment), f"run_id={run_id}"
    if (kind := made.record.tags.get("task")) == LanguageModeling.kind:
        raise ConfigError(key, f"is {kind}", "make generate shows its passes with dropout on (train_mode=true)")
    found = rebuilt(made, uri)
    cfg, data, model = found.cfg, found.data, found.model
    if not data.test_rows:
        raise ConfigError(key, f"has no test rows (data.test_fraction={cfg.data.test_fraction})", "give another run")
    places = _places(cfg, model, data)
    known = data.val_dataloader()[0] if data.val_rows else data.train_eval_dataloader()
    with in_mode(model, training=False):
        (one, targets), one_known = _said(model, data.test_dataloader(), None, 0), _said(model, known, None, 0)
    with mc_dropout.dropout_on(model, places) as named:
        if not named:
            strategy = made.record.tags.get("strategy")
            raise ConfigError(
                key,
                f"the strategy {strategy} does not drop, and its model has no layer that does (F.dropout in a "
                "forward cannot be switched on: make it nn.Dropout)",
                "give a run with dropout",
            )
        (each, _), each_known = _said(model, data.test_dataloader(), passes, seed), _said(model, known, passes, seed)
    if bool((each == each[0]).all()):
        raise ConfigError(
            key, f"all {passes} passes say the same, so that nothing was dropped", "give a run whose dropout is above 0"
        )
    plain, drawn = _figures(data, one, targets, one_known), _figures(data, each, targets, each_known)
    if data.kind == "classification":
        rows = mc_dropout.rows_of_classes(each)
    else:
        noise = drawn["noise"] / data.target_scale
        rows = mc_dropout.rows_of_numbers(each, noise, data.target_mean, data.target_scale)
    return Evaluated(made, passes, seed, plain, drawn, _table(data, targets, rows))


def _figures(data: TensorData, said: Tensor, targets: Tensor, known: tuple[Tensor, Tensor]) -> Figures:
    """The task's own figures of what the passes predict together, and how sure they are of it.

    Args:
        data: of the run.
        said: (passes, rows, ...) of the test part.
        targets: of it, (rows,).
        known: both of validation, or of training where there is none.
    """
    if data.kind == "classification":
        mean, own = mc_dropout.log_mean(said), mc_dropout.of_classes(said)
    else:
        mean = said.double().mean(0)
        own = mc_dropout.of_numbers(said, targets, mc_dropout.noise_of(*known), data.target_scale)
    if len(said) == 1:
        mean = said[0]  # as it was tested, to the last bit
    scores = build.build_task(data).figures(mean, targets, full=True)
    return {name: float(value) for name, value in scores.items()} | own


def _table(data: TensorData, targets: Tensor, rows: Mapping[str, Tensor]) -> dict[str, list[Any]]:
    """Columns of the rows in the words of the data: classes by their names, numbers in their own units."""
    columns = {"target": targets.double() * data.target_scale + data.target_mean, **rows}
    told: dict[str, list[Any]] = {name: values.tolist() for name, values in columns.items()}
    if data.kind == "classification":
        names: Sequence[Any] = data.class_names or range(data.outputs)
        told |= {name: [names[int(number)] for number in told[name]] for name in ("target", "predicted")}
    return {"row": data.parts.test.tolist(), **told}


def _places(cfg: DictConfig, model: nn.Module, data: TensorData) -> list[str]:
    """Where regularizers drop activations, attention or inputs; others act on training alone, and are left out."""
    some = only(cfg, lambda method: issubclass(method, ActivationNoise | DecoderNoise | AttentionDropout))
    methods = build.build_regularizers(some, model, data.kind, data.input_shape)
    return [place for method in methods for place in method.attach(model)]


def _said(model: nn.Module, batches: Batches, passes: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """What the model says of a part, (passes, rows, ...), one pass without `passes`; and the targets (rows,)."""
    pairs = list(batches)
    seeds = [mix(seed, "mc_dropout", number) for number in range(len(pairs))]
    said = [mc_dropout.drawn(model, inputs, passes or 1, own) for own, (inputs, _) in zip(seeds, pairs, strict=True)]
    return torch.cat(said, 1), torch.cat([targets for _, targets in pairs])


def track(found: Evaluated) -> None:
    """Keeps figures and rows on the run: metrics ``mc_dropout/...`` (of the last evaluation) and `TABLE`."""
    store, run_id = found.origin.store, found.origin.record.run_id
    artifacts.of(store, run_id).write_text(csv_text(list(found.rows), zip(*found.rows.values(), strict=True)), TABLE)
    now = int(time.time() * 1000)
    told = {**found.drawn, "passes": float(found.passes), "seed": float(found.seed)}
    # A number that is not finite breaks the page of a run.
    metrics = [Metric(f"mc_dropout/{name}", value, now, 0) for name, value in told.items() if math.isfinite(value)]
    store.client.log_batch(run_id, metrics=metrics)


def show(found: Evaluated) -> None:
    """Both side by side, on standard output, and where the rows are."""
    write_line(f"{'test':<20}{'inference':>12}{f'{found.passes} passes':>14}")
    for name in found.drawn:
        cells = (f"{figures[name]:.4f}" if name in figures else "" for figures in (found.plain, found.drawn))
        write_line(f"{name:<20}{next(cells):>12}{next(cells):>14}")
    run_id = found.origin.record.run_id
    write_line(f"row by row: {TABLE} of run {run_id}\n{run_link(found.origin.store, run_id)}")
