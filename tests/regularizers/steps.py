"""Training steps of `reglab.training.Module` without a Trainer."""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from reglab.models import CNN, MLP, ResidualCNN
from reglab.regularizers import Regularizer, in_order
from reglab.seeding import mix
from reglab.tasks import Classification, LanguageModeling, Regression, Task
from reglab.training.fit import Fit
from reglab.training.module import Module
from tests.regularizers.decoder import LENGTH, TOKENS, TinyDecoder

Batch = tuple[Tensor, Tensor]
CLASSES = 3
FEATURES = 6
LANGUAGE = "language modeling"


def batch_of(kind: str, rows: int = 24, seed: int = 0, shape: tuple[int, ...] = (FEATURES,)) -> Batch:
    """Return random inputs (rows, *shape) and targets that depend on them, for tokens the next tokens."""
    generator = torch.Generator().manual_seed(seed)
    if kind == LANGUAGE:
        tokens = torch.randint(TOKENS, (rows, LENGTH + 1), generator=generator)
        return tokens[:, :-1], tokens[:, 1:]
    inputs = torch.randn(rows, *shape, generator=generator)
    scores = inputs.flatten(1) @ torch.randn(math.prod(shape), CLASSES, generator=generator)
    return inputs, scores.argmax(1) if kind == "classification" else scores[:, 0]


def task_of(kind: str) -> Task:
    if kind == LANGUAGE:
        return LanguageModeling()
    return Classification(CLASSES) if kind == "classification" else Regression()


def network(
    kind: str = "classification",
    seed: int = 0,
    shape: tuple[int, ...] = (FEATURES,),
    residual: bool = False,
    dropout: bool = False,
    **options: Any,
) -> MLP | CNN | ResidualCNN | TinyDecoder:
    """Return a small MLP for tables, or a CNN for images and signals, a residual one with `residual`.

    For language modeling it is a decoder, and `shape` is ignored. `dropout` adds a dropout layer before the last layer.
    """
    torch.manual_seed(seed)
    if kind == LANGUAGE:
        return TinyDecoder(options.get("activation", "relu"), dropout=dropout)
    outputs = CLASSES if kind == "classification" else 1
    model: MLP | CNN | ResidualCNN
    if len(shape) == 1:
        model = MLP(shape, outputs, **{"hidden_sizes": [8, 7], **options})
    elif residual:
        model = ResidualCNN(shape, outputs, **{"channels": [4, 5], "norm": "none", **options})
    else:
        model = CNN(shape, outputs, **{"channels": [4, 5], **options})
    if dropout:
        model.output = nn.Sequential(OrderedDict(dropout=nn.Dropout(0.3), linear=model.output))
    return model


def fit_of(model: nn.Module, task: Task, regularizers: Iterable[Regularizer] = ()) -> Fit:
    ordered = in_order(regularizers)
    for regularizer in ordered:
        assert regularizer.attach(model)
    return Fit(model, task, ordered)


def train(
    fit: Fit,
    batches: list[Batch],
    steps: int,
    optimizer: Callable[[Any], torch.optim.Optimizer] | None = None,
) -> Fit:
    """Train for a number of steps, by default of SGD with lr 0.1, and seed the global generator from each step."""
    fit.train()
    make = optimizer or (lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    module = Module(fit, optimizer=make)
    stepper = module.wrapped(make(fit.model.parameters()))
    callbacks = [callback for regularizer in fit.regularizers for callback in regularizer.callbacks()]
    trainer: Any = SimpleNamespace(
        global_step=0,
        optimizers=[stepper],
        estimated_stepping_batches=steps,
        train_dataloader=batches,
        num_training_batches=len(batches),
        precision_plugin=SimpleNamespace(forward_context=nullcontext, convert_input=lambda batch: batch),
        strategy=SimpleNamespace(batch_to_device=lambda batch: batch),
    )
    for callback in callbacks:
        callback.on_train_start(trainer, module)
    for step in range(steps):

        def closure(step: int = step) -> Tensor:
            torch.default_generator.manual_seed(mix(0, step))
            stepper.zero_grad()
            loss = fit(batches[step % len(batches)])
            loss.backward()
            return loss

        module.optimizer_step(0, step, stepper, closure)
        trainer.global_step = step + 1
        for callback in callbacks:
            callback.on_train_batch_end(trainer, module, None, None, step)
    for callback in callbacks:
        callback.on_train_end(trainer, module)
    return fit


def same_state(first: nn.Module, second: nn.Module) -> bool:
    """Return whether two models have equal tensors under equal names, bit for bit."""
    state, other_state = first.state_dict(), second.state_dict()
    return list(state) == list(other_state) and all(torch.equal(state[name], other_state[name]) for name in state)
