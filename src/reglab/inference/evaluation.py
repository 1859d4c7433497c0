"""Evaluate a tracked run again, with Monte-Carlo dropout."""

import math
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
from reglab.inference.loading import finished_run, keep_regularizers, rebuild
from reglab.regularizers._activation_noise import ActivationNoise, DecoderNoise
from reglab.regularizers.attention_dropout import AttentionDropout
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.text import join_options
from reglab.seeding import mix
from reglab.streams import write_line
from reglab.tasks import LanguageModeling, Task
from reglab.tracking import artifacts
from reglab.tracking.values import now_ms
from reglab.tracking.view import run_link
from reglab.training import build
from reglab.training.original_run import OriginalRun
from reglab.training.train_eval_mode import in_mode
from reglab.wording import csv_text

Metrics = dict[str, float]
TABLE = "mc_dropout.csv"


@dataclass(frozen=True)
class Evaluation:
    """Metrics and predictions on a run's test part, in evaluation mode and with dropout on.

    Attributes:
        origin: the run.
        passes: number of passes with dropout on.
        seed: seed of the masks.
        plain: metrics in evaluation mode: the tracked ones, and the uncertainty of a single pass.
        sampled: the same metrics with Monte-Carlo dropout, whose prediction is the mean of the passes.
        rows: index in the data set, target, prediction and uncertainty of each test row, by column.
    """

    origin: OriginalRun
    passes: int
    seed: int
    plain: Metrics
    sampled: Metrics
    rows: dict[str, list[Any]]


def evaluate(
    uri: str | None, run_id: str, passes: int, seed: int, typed: Typed | None = None, experiment: str | None = None
) -> Evaluation:
    """Evaluate the test part of a run again.

    Args:
        uri: URI of the store.
        run_id: id of a finished run with weights.
        passes: number of passes with dropout on.
        seed: seed of the masks.
        typed: see `OriginalRun`.
        experiment: the experiment of the run; None: any.

    Raises:
        ConfigError: no such run; a run without weights or test rows, of a language model, or without dropout.
    """
    run, key = finished_run(uri, run_id, typed, experiment), Setting("run_id", run_id)
    if (kind := run.record.tags.get("task")) == LanguageModeling.kind:
        raise ConfigError(key, f"is a {kind} run", "use make generate with train_mode=true")
    if kind not in mc_dropout.SUMMARIES:
        raise ConfigError(key, f"is a {kind} run", f"give a run of {join_options(list(mc_dropout.SUMMARIES))}")
    summary = mc_dropout.SUMMARIES[kind]
    rebuilt = rebuild(run, uri)
    cfg, data, model = rebuilt.cfg, rebuilt.data, rebuilt.model
    if not data.test_rows:
        raise ConfigError(key, f"has no test rows (data.test_fraction={cfg.data.test_fraction})", "give another run")
    dropout_modules = _attach_dropout(cfg, model, data)
    reference_batches = data.val_dataloader()[0] if data.val_rows else data.train_eval_dataloader()
    with in_mode(model, training=False):
        plain_outputs, targets = _predict(model, data.test_dataloader(), None, 0)
        plain_reference = _predict(model, reference_batches, None, 0)
    with mc_dropout.dropout_on(model, dropout_modules) as active_modules:
        if not active_modules:
            strategy = run.record.tags.get("strategy")
            raise ConfigError(
                key,
                f"the strategy {strategy} has no dropout, and neither does its model (F.dropout in forward "
                "cannot be switched on; use nn.Dropout)",
                "give a run with dropout",
            )
        sampled_outputs, _ = _predict(model, data.test_dataloader(), passes, seed)
        sampled_reference = _predict(model, reference_batches, passes, seed)
    if bool((sampled_outputs == sampled_outputs[0]).all()):
        raise ConfigError(
            key, f"all {passes} passes are equal, so nothing was dropped", "give a run whose dropout is above 0"
        )
    task = build.build_task(cfg, data)
    plain = _metrics_of(task, summary, data, plain_outputs, targets, plain_reference)
    sampled = _metrics_of(task, summary, data, sampled_outputs, targets, sampled_reference)
    rows = {"row": data.parts.test.tolist(), **summary.table(sampled_outputs, targets, sampled_reference, data)}
    return Evaluation(run, passes, seed, plain, sampled, rows)


def _metrics_of(
    task: Task,
    summary: mc_dropout.Summary,
    data: TensorData,
    outputs: Tensor,
    targets: Tensor,
    reference: mc_dropout.Reference,
) -> Metrics:
    """Return the task's metrics of the mean prediction, and its uncertainty.

    Args:
        task: task of the run.
        summary: summary for its kind of task.
        data: data of the run.
        outputs: (passes, rows, ...) of the test part.
        targets: targets of the test part, (rows, ...).
        reference: see `mc_dropout.Reference`.
    """
    # One pass: equal to the tracked test, to the last bit.
    mean = outputs[0] if len(outputs) == 1 else summary.mean(outputs)
    scores = task.metrics(mean, targets, full=True)
    uncertainty = summary.uncertainty(outputs, targets, reference, data)
    return {name: float(value) for name, value in scores.items()} | uncertainty


def _attach_dropout(cfg: DictConfig, model: nn.Module, data: TensorData) -> list[str]:
    """Attach the regularizers that drop activations, attention or inputs, and return the names of these modules."""
    dropout_cfg = keep_regularizers(
        cfg, lambda method: issubclass(method, ActivationNoise | DecoderNoise | AttentionDropout)
    )
    methods = build.build_regularizers(dropout_cfg, model, data.kind, data.input_shape)
    return [name for method in methods for name in method.attach(model)]


def _predict(model: nn.Module, batches: Batches, passes: int | None, seed: int) -> tuple[Tensor, Tensor]:
    """Return the outputs of a part, (passes, rows, ...), of one pass without `passes`; and the targets (rows,)."""
    all_batches = list(batches)
    seeds = [mix(seed, "mc_dropout", number) for number in range(len(all_batches))]
    outputs = [
        mc_dropout.sample(model, inputs, passes or 1, batch_seed)
        for batch_seed, (inputs, _) in zip(seeds, all_batches, strict=True)
    ]
    return torch.cat(outputs, 1), torch.cat([targets for _, targets in all_batches])


def log(evaluation: Evaluation) -> None:
    """Log metrics ``mc_dropout/...`` (of the latest evaluation) and the rows (`TABLE`) with the run."""
    store, run_id = evaluation.origin.store, evaluation.origin.record.run_id
    artifacts.of_run(store, run_id).write_text(
        csv_text(list(evaluation.rows), zip(*evaluation.rows.values(), strict=True)), TABLE
    )
    now = now_ms()
    values = {**evaluation.sampled, "passes": float(evaluation.passes), "seed": float(evaluation.seed)}
    # A value that is not finite breaks the run's page.
    metrics = [Metric(f"mc_dropout/{name}", value, now, 0) for name, value in values.items() if math.isfinite(value)]
    store.client.log_batch(run_id, metrics=metrics)


def print_table(evaluation: Evaluation) -> None:
    """Print the metrics of both modes side by side, and the path of the rows."""
    write_line(f"{'test':<20}{'inference':>12}{f'{evaluation.passes} passes':>14}")
    for name in evaluation.sampled:
        cells = (
            f"{figures[name]:.4f}" if name in figures else "" for figures in (evaluation.plain, evaluation.sampled)
        )
        write_line(f"{name:<20}{next(cells):>12}{next(cells):>14}")
    run_id = evaluation.origin.record.run_id
    write_line(f"results for each row: artifact {TABLE} of run {run_id}\n{run_link(evaluation.origin.store, run_id)}")
