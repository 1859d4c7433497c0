"""`Snapshot` restores the state of modules after passes outside of training."""

import random
from collections import deque
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reglab.training.snapshot import Snapshot


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(2, 2), nn.BatchNorm1d(2)
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)
        self.count = 3
        self.seen: list[int] = [1]
        self.last: deque[int] = deque([1])
        self.by_name: dict[str, int] = {"a": 1}
        self.names: set[str] = {"a"}
        self.mean = torch.zeros(2)
        self.torch_draws = torch.Generator().manual_seed(0)
        self.numpy_draws = np.random.default_rng(0)
        self.legacy_draws = np.random.RandomState(0)
        self.python_draws = random.Random(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.layer(x))

    def change(self) -> None:
        self.count += 1
        self.seen.append(2)
        self.last.append(2)
        self.by_name["b"] = 2
        self.names.add("b")
        self.mean += 1
        self.added = 1

    def draw(self) -> list[Any]:
        return [
            torch.rand(1, generator=self.torch_draws).item(),
            self.numpy_draws.random(),
            self.legacy_draws.rand(),
            self.python_draws.random(),
        ]


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net()


def test_weights_buffers_gradients_and_modes_are_restored(net: Net) -> None:
    net(torch.randn(4, 2)).sum().backward()
    gradient, state = net.layer.weight.grad, {k: v.clone() for k, v in net.state_dict().items()}
    with Snapshot([net]) as snapshot:
        net.eval()
        net.layer.weight.grad = torch.ones(2, 2)
        with torch.no_grad():
            for tensor in net.state_dict().values():
                tensor += 1
        net.frozen.data -= 1
        snapshot.restore()
        assert net.layer.weight.grad is None
        assert net.training
    assert net.layer.weight.grad is gradient
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_attributes_and_contents_are_restored(net: Net) -> None:
    seen = net.seen
    with Snapshot([net]):
        net.change()
    assert net.seen is seen
    assert (net.count, net.seen, list(net.last), net.by_name, net.names) == (3, [1], [1], {"a": 1}, {"a"})
    assert torch.equal(net.mean, torch.zeros(2))
    assert not hasattr(net, "added")


def test_random_generators_are_restored(net: Net) -> None:
    with Snapshot([net]):
        first = net.draw()
    assert net.draw() == first


def test_the_state_is_restored_after_an_error(net: Net) -> None:

    def fail() -> None:
        net.change()
        raise KeyError

    with pytest.raises(KeyError), Snapshot([net]):
        fail()
    assert net.count == 3
