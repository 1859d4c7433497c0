"""Warnings of methods that lose their effect after the first step of `Regularize`."""

from collections.abc import Iterator

import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from reglab.regularizers import L2, Dropout, Regularizer
from reglab.regularizers._hooks import attach
from reglab.training.regularize_monitor import Monitor


class Net(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))


X = torch.zeros(1, 2)


def started(net: Net, *methods: Regularizer) -> Monitor:
    for method in methods:
        attach(method, net)
    monitor = Monitor(methods, net, lambda: {id(p) for p in net.parameters()})
    monitor.start(net)
    return monitor


@pytest.fixture
def net() -> Net:
    return Net().train()


@pytest.fixture
def dropout(net: Net) -> Iterator[Monitor]:
    monitor = started(net, Dropout(p=0.5))
    monitor.start_batch()
    yield monitor
    monitor.stop()


def test_a_batch_in_training_mode_gives_no_warning(
    net: Net, dropout: Monitor, recwarn: pytest.WarningsRecorder
) -> None:
    net.body(X)
    dropout.check_training_batch("batch 1", has_loss=True)
    assert not recwarn.list


def test_a_batch_in_eval_mode_gives_one_warning(net: Net, dropout: Monitor, recwarn: pytest.WarningsRecorder) -> None:
    net.eval().body(X)
    for _ in range(2):
        dropout.check_training_batch("batch 1", has_loss=True)
    (warning,) = recwarn.list
    assert "dropout: no effect in batch 1" in str(warning.message)
    assert "eval mode" in str(warning.message)


def test_modules_that_are_not_called_give_a_warning_if_there_is_a_loss(dropout: Monitor) -> None:
    dropout.check_training_batch("batch 1", has_loss=False)
    with pytest.warns(UserWarning, match=r"dropout: .* body.1 in batch 2: .* not called"):
        dropout.check_training_batch("batch 2", has_loss=True)


def test_replaced_modules_give_a_warning(net: Net, dropout: Monitor) -> None:
    net.body[1] = nn.ReLU()
    net.body(X)
    with pytest.warns(UserWarning, match=r"dropout: no effect on body.1 .* replaced"):
        dropout.check_training_batch("batch 1", has_loss=True)


def test_validation_in_training_mode_gives_a_warning(net: Net, dropout: Monitor) -> None:
    net.body(X)
    with pytest.warns(UserWarning, match=r"dropout: .* validation batch 0, .*training"):
        dropout.check_validation_batch("validation batch 0")


def test_weights_created_after_the_start_give_a_warning(net: Net, recwarn: pytest.WarningsRecorder) -> None:
    known = {id(parameter) for parameter in net.parameters()}
    monitor = Monitor([L2(0.1)], net, lambda: known)
    monitor.check_weights("batch 1")
    assert not recwarn.list
    net.body[2] = nn.Linear(2, 1)
    for _ in range(2):
        monitor.check_weights("batch 2")
    (warning,) = recwarn.list
    assert "l2: no effect on body.2.weight in batch 2" in str(warning.message)


def test_stop_removes_the_hooks(net: Net) -> None:
    monitor = started(net, Dropout(p=0.5))
    before = len(net.body[1]._forward_pre_hooks)
    monitor.stop()
    assert len(net.body[1]._forward_pre_hooks) == before - 1
