"""`ActivationRecorder` returns layer outputs of the latest training pass, before operations in place."""

import pytest
import torch
from torch import Tensor, nn

from reglab.regularizers._recorder import ActivationRecorder
from tests.errors import config_error


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 3), nn.Linear(3, 1)
        self.in_place = False
        self.without_graph = False

    def forward(self, x: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.without_graph):
            hidden = self.one(x)
        if self.in_place:
            hidden += 1
        return self.two(hidden)


@pytest.fixture
def net() -> Net:
    return Net().train()


@pytest.fixture
def recorder(net: Net) -> ActivationRecorder:
    activations = ActivationRecorder("activity_l1")
    activations.attach(net, {"one": net.one, "two": net.two})
    return activations


X = torch.tensor([[1.0, 2.0]])


def test_outputs_are_returned_once_in_the_order_of_the_pass(net: Net, recorder: ActivationRecorder) -> None:
    output = net(X)
    one, two = recorder.pop()
    assert (one.name, one.layer, two.name) == ("one", net.one, "two")
    assert torch.equal(two.values, output)
    assert recorder.pop() == []


def test_a_new_pass_discards_the_earlier_one(net: Net, recorder: ActivationRecorder) -> None:
    net(X)
    net(2 * X)
    assert torch.equal(recorder.pop()[0].values, net.one(2 * X))


def test_passes_in_eval_mode_and_without_gradients_are_ignored(net: Net, recorder: ActivationRecorder) -> None:
    with torch.no_grad():
        net(X)
    net.eval()(X)
    assert recorder.pop() == []


def test_attaching_again_records_once(net: Net, recorder: ActivationRecorder) -> None:
    recorder.attach(net, {"one": net.one})
    net(X)
    assert [record.name for record in recorder.pop()] == ["one"]


def test_half_precision_is_promoted(net: Net, recorder: ActivationRecorder) -> None:
    net.to(torch.bfloat16)(X.bfloat16())
    assert {record.values.dtype for record in recorder.pop()} == {torch.float32}


def test_outputs_changed_in_place_are_recorded_unchanged(net: Net, recorder: ActivationRecorder) -> None:
    net.in_place = True
    for _ in range(3):
        net(X)
        assert torch.equal(recorder.pop()[0].values, net.one(X))


def test_a_change_in_place_in_some_passes_only_is_refused(net: Net, recorder: ActivationRecorder) -> None:
    net(X)
    recorder.pop()
    net.in_place = True
    net(X)
    with config_error("model: one ... in place"):
        recorder.pop()


def test_a_layer_without_gradient_in_training_is_refused(net: Net, recorder: ActivationRecorder) -> None:
    net.without_graph = True
    with config_error("regularizer=activity_l1: torch.no_grad()"):
        net(X)
