"""Checks of a model on its data, before training."""

import copy
from contextlib import suppress

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from reglab.data import tokenizer
from reglab.data.base import TensorData
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import NUMBER_TARGETS, TOKENS, features_of
from reglab.schema.text import pluralize
from reglab.seeding import restored_generators, seeded
from reglab.training.build import is_user_network, reads_checked
from reglab.training.repeatability import check_repeatable
from reglab.training.snapshot import Snapshot
from reglab.training.train_eval_mode import in_mode
from reglab.training.trainer import max_steps_and_evaluations
from reglab.user_code.importing import describe_error
from reglab.wording import shorten


def check_fit(cfg: DictConfig, model: nn.Module, data: TensorData) -> None:
    """Check the outputs, gradients, repeatability and tokenizer of a model on its data, and `trainer.min_steps`.

    Raises:
        ConfigError: the model cannot read the examples, returns another shape, has no gradients, is not repeatable or
            uses another tokenizer; or `trainer.min_steps` exceeds the steps of its epochs.
    """
    where = Setting("model", cfg.model.name)
    with reads_checked(cfg):
        if "target" in cfg.model:
            _check_outputs(where, model, data)
        if is_user_network(cfg):
            _check_trainable(where, model, data)
            inference = cfg.trainer.get("inference_mode") is not False
            check_repeatable(where, model, data.train.inputs[:8], inference=inference)
    _check_tokenizer(cfg, data)
    _check_last_batch(model, data)
    check_steps(cfg, data)


@torch.no_grad()
def _check_outputs(where: Setting, model: nn.Module, data: TensorData) -> None:
    """Check the outputs of a pass over two rows in eval mode against the shape that the task needs."""
    inputs = data.train.inputs[:2]
    single_output: object = None
    try:
        with Snapshot([model]), in_mode(model, training=False), restored_generators():
            outputs: object = model(inputs)
            in_training = [name or "the network" for name, part in model.named_modules() if part.training]
            with suppress(Exception):  # all batches may have two rows or more
                single_output = model(inputs[:1])
    except (Exception, SystemExit) as error:
        reason = shorten(describe_error(error), 200)
        raise ConfigError(
            where,
            f"cannot read examples of the shape {data.input_shape} ({reason})",
            "correct its forward, or choose other data",
        ) from error
    if in_training:
        raise ConfigError(
            where,
            f"after eval() {', '.join(in_training[:3])} is in training mode, so that regularizers would act in "
            "validation and test",
            "pass the mode on (def train(self, mode=True): return super().train(mode)), and do not call "
            "train() in forward",
        )
    features = features_of(data.kind)
    positions = data.input_shape if TOKENS in features else ()
    expected_shape = (len(inputs), *positions, *((data.outputs,) if NUMBER_TARGETS not in features else ()))
    actual = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    if not isinstance(outputs, Tensor) or actual != expected_shape:
        remedy = "; end it with squeeze(-1)" if actual == (*expected_shape, 1) else ""
        returned = f"shape {actual}" if isinstance(outputs, Tensor) else actual
        raise ConfigError(
            where, f"returned {returned} for {len(inputs)} examples", f"expected shape {expected_shape}{remedy}"
        )
    if outputs.is_complex():
        raise ConfigError(where, "returned complex numbers", "end it with .real or .abs()")
    if isinstance(single_output, Tensor) and single_output.shape != outputs[:1].shape:
        raise ConfigError(
            where,
            f"returned shape {tuple(single_output.shape)} for a batch of 1 example; expected shape "
            f"{tuple(outputs[:1].shape)}",
            "squeeze the last dimension alone (squeeze(-1))",
        )
    if data.padded and outputs.isnan().any():
        raise ConfigError(
            where,
            f"returned NaN: {data.name} has sequences of different lengths, with NaN after their end",
            "begin its forward with reglab.models.padding.unpadded, or use model=gru",
        )


@torch.enable_grad()
def _check_trainable(where: Setting, model: nn.Module, data: TensorData) -> None:
    """Check that a user's network has a gradient for some weight; other checks report exceptions of the pass."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        with Snapshot([model]) as snapshot, in_mode(model, training=True), seeded(0, "trial"):
            snapshot.restore()  # no gradients
            outputs: object = model(data.train.inputs[:2].clone())
            if not isinstance(outputs, Tensor):
                return
            if trainable and outputs.requires_grad:
                outputs.sum().backward()
            has_gradient = any(parameter.grad is not None for parameter in trainable)
    except (Exception, SystemExit):
        return
    if not has_gradient:
        raise ConfigError(
            where,
            "its output does not depend on any trainable weight, so nothing would be trained",
            "set requires_grad=True for some parameters, and use neither detach() nor torch.no_grad() on "
            "the way to the output",
        )


def _check_tokenizer(cfg: DictConfig, data: TensorData) -> None:
    """Check that the data has the token ids of a pretrained model, on which its embeddings depend."""
    path, vocabulary = cfg.model.get("path"), getattr(data, "vocabulary", None)
    if path and vocabulary is not None and not tokenizer.matches_model(vocabulary, str(path)):
        raise ConfigError(
            Setting("data.tokenizer", cfg.data.tokenizer),
            f"has other token ids than model.path={path}",
            f"use the model's tokenizer: data.tokenizer={path}",
        )


def _check_last_batch(model: nn.Module, data: TensorData) -> None:
    """Check that the model can train on a last batch of one row, which batch normalization of units cannot."""
    size = data.batch_size or data.train_rows
    if (data.train_rows % size or size) != 1:
        return
    try:
        copy.deepcopy(model).train()(data.train.inputs[:1])
    except ValueError as error:
        raise ConfigError(
            Setting("data.batch_size", data.batch_size),
            f"the last batch of the {data.train_rows} training rows has one row, and this model cannot "
            "train on a single row (batch normalization)",
            "choose another batch size",
        ) from error


def check_steps(cfg: DictConfig, data: TensorData) -> None:
    """Check `trainer.min_steps` against the end of training: Lightning stops at `max_epochs` in any case.

    Raises:
        ConfigError: training has fewer steps.
    """
    min_steps = cfg.trainer.get("min_steps")
    if min_steps is None:
        return
    steps, _ = max_steps_and_evaluations(cfg, len(data.train_dataloader()))
    if min_steps > steps:
        raise ConfigError(
            Setting("trainer.min_steps", min_steps),
            f"training ends after {pluralize(steps, 'step')} with trainer.max_epochs={cfg.trainer.max_epochs}",
            "raise trainer.max_epochs or lower trainer.min_steps",
        )
