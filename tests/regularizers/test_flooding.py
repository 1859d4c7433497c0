from typing import Any

import pytest
import torch
from torch.nn import functional as F

from reglab.regularizers import (
    L2,
    ConfidencePenalty,
    Flooding,
    Focal,
    LabelSmoothing,
    LogitPenalty,
    Regularizer,
    in_order,
)
from reglab.regularizers.flooding import flooded
from tests.regularizers.steps import batch_of, fit_of, network, task_of, train

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 0.7, 5.0])
def test_the_gradient_turns_below_the_level(value: float) -> None:
    loss, level = torch.tensor(value, requires_grad=True), torch.tensor(0.3)
    out = flooded(loss, level)
    torch.testing.assert_close(out, (loss - level).abs() + level, rtol=1e-15, atol=0)
    (gradient,) = torch.autograd.grad(out, loss)
    assert gradient == (-1 if value < 0.3 else 1)


@pytest.mark.parametrize("value", [0.1, 0.0, -1e-9])  # rounding can make a sum of terms negative
def test_level_0_returns_the_loss_and_its_gradient(value: float) -> None:
    loss = torch.tensor(value, dtype=torch.float32, requires_grad=True)
    out = flooded(loss, torch.tensor(0.0))
    assert torch.equal(out, loss)
    assert torch.autograd.grad(out, loss)[0] == 1


def test_a_loss_of_nan_stays_nan() -> None:
    assert flooded(torch.tensor(torch.nan), torch.tensor(0.3)).isnan()


def test_it_acts_after_losses_and_before_penalties() -> None:
    methods: list[Regularizer] = [
        L2(0.1),
        LogitPenalty(0.1),
        LabelSmoothing(0.2),
        Flooding(4.0),
        ConfidencePenalty(0.3),
    ]
    names = ["label_smoothing", "flooding", "confidence_penalty", "l2", "logit_penalty"]
    assert [method.name for method in in_order(methods)] == names
    assert [method.name for method in in_order([Flooding(0.1), Focal(1.0)])] == ["focal", "flooding"]

    fit = fit_of(network(), task_of("classification"), [methods[0], methods[2], methods[3]])
    inputs, targets = batch_of("classification")
    weights = sum(p.square().sum() for p in fit.model.parameters() if p.ndim > 1)
    below = F.cross_entropy(fit.model(inputs), targets, label_smoothing=0.2)
    torch.testing.assert_close(fit((inputs, targets)), 8 - below + 0.1 / 2 * weights, rtol=1e-13, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_training_stays_near_the_level(kind: str) -> None:
    batch = batch_of(kind)
    for level in (0.0, 0.3):
        fit = train(fit_of(network(kind), task_of(kind), [Flooding(level)]), [batch], 250, adam)
        loss = fit.task.criterion(fit.model(batch[0]), batch[1]).item()
        assert loss < 0.1 if level == 0 else abs(loss - level) < 0.1


def adam(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.02)
