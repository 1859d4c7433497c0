import math
import sys

import pytest
import torch
from torch import nn

from reglab.models import CNN
from reglab.regularizers import (
    L1,
    L2,
    Dropout,
    LabelSmoothing,
    MaxNorm,
    Regularizer,
    Step,
    in_order,
    penalized,
)
from reglab.regularizers.base import snake
from reglab.schema.constraints import ABOVE_0, BELOW_1
from tests.errors import config_error
from tests.regularizers.steps import batch_of, network, task_of


def test_biases_and_normalization_gains_are_not_penalized() -> None:
    for norm in ("none", "batch", "layer"):
        assert list(penalized(network(norm=norm))) == ["hidden_0.weight", "hidden_1.weight", "output.weight"]
    assert list(penalized(CNN((1, 8, 8), 3, norm="layer"))) == ["conv_0.weight", "conv_1.weight", "output.weight"]
    wide = nn.Sequential(nn.LayerNorm((2, 3)), nn.MultiheadAttention(4, 2, add_bias_kv=True))
    assert list(penalized(wide)) == ["1.in_proj_weight", "1.out_proj.weight"]


def test_shared_weights_count_once_and_frozen_ones_not() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[2].weight.requires_grad_(False)
    assert list(penalized(model)) == ["0.weight"]


def test_a_step_shows_what_a_method_needs() -> None:
    model, task, batch = network(), task_of("classification"), batch_of("classification")
    step = Step(model, task, batch)
    assert step.outputs is None
    assert step.inputs is batch[0]
    assert step.targets is batch[1]
    assert step.weights is step.weights
    assert step.forward() is step.outputs
    assert torch.equal(step.criterion(step.outputs, step.targets), task.criterion(model(batch[0]), batch[1]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Dropout(p=1.5), "regularizer.dropout.p=1.5: 0 and below 1"),
        (lambda: Dropout(p=1), "regularizer.dropout.p=1: 0 and below 1"),
        (
            lambda: Dropout(p=0.99999999),
            "regularizer.dropout.p=0.99999999: float32",
        ),
        (
            lambda: Dropout(p=0.5, input_p=-0.1),
            "regularizer.dropout.input_p=-0.1: 0 and below 1",
        ),
        (lambda: L2(-1e-3), "regularizer.l2.strength=-0.001: at least 0"),
        (lambda: L2(math.inf), "regularizer.l2.strength=inf: finite number"),
        (lambda: L1(math.nan), "regularizer.l1.strength=nan: finite number"),
        (lambda: L1("big"), "regularizer.l1.strength=big: finite number"),
        (lambda: L1(None), "regularizer.l1.strength=null: finite number"),
        (lambda: MaxNorm(0), "regularizer.max_norm.max_norm=0: above 0"),
        (
            lambda: LabelSmoothing(1.0),
            "regularizer.label_smoothing.epsilon=1.0: below 1",
        ),
    ],
)
# Runs flush denormals, which must not move bounds.
@pytest.mark.parametrize("flush", [False, True], ids=["denormals", "flushed"])
def test_strengths_out_of_bounds(make, message: str, flush: bool) -> None:
    torch.set_flush_denormal(flush)
    try:
        with config_error(message):
            make()
    finally:
        torch.set_flush_denormal(False)


def test_open_bounds_are_next_to_the_excluded_value() -> None:
    assert sys.float_info.min == ABOVE_0
    assert math.nextafter(1.0, 0.0) == BELOW_1
    assert torch.equal(MaxNorm(math.inf).max_norm, torch.tensor(math.inf))


def test_a_strength_is_a_non_persistent_buffer() -> None:
    method = Dropout(p=0.3, input_p=0.1)
    assert dict(method.named_buffers()) == {"p": torch.tensor(0.3), "input_p": torch.tensor(0.1)}
    assert method.state_dict() == {}


def test_names_are_class_names_in_snake_case_and_order_is_that_of_acting() -> None:
    names = {"L1": "l1", "ElasticNet": "elastic_net", "L2SP": "l2_sp", "RDrop": "r_drop", "SAM": "sam"}
    assert {name: snake(name) for name in names} == names
    assert [r.name for r in in_order([MaxNorm(1), L1(0), Dropout(0)])] == ["dropout", "l1", "max_norm"]


def test_a_regularizer_that_overrides_nothing_does_nothing() -> None:
    class Idle(Regularizer):
        order = 0

    method, model = Idle(), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    step = Step(model, task_of("classification"), batch_of("classification"))
    weights, loss = method.weights(model), step.forward().sum()
    assert method.attach(model) == list(weights)
    assert method.transform_batch(step.batch, step) is step.batch
    assert method.loss(loss, step) is loss
    assert method.before_step(weights, 0.1) is weights
    assert method.after_step(weights, 0.1) is weights
    assert method.penalty(weights) is None
    assert method.wrap_optimizer(optimizer) is optimizer
    assert method.callbacks() == []
    assert method.name == "idle"
