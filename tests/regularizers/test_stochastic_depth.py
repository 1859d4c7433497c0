"""Stochastic depth, tested on a block with a known branch."""

import pytest
import torch
from torch import nn

from reglab.models import CNN, ResidualCNN
from reglab.regularizers import StochasticDepth
from reglab.regularizers.stochastic_depth import dropped_branch
from reglab.schema.errors import ConfigError


def test_branches_are_dropped_per_example_with_an_unchanged_mean(double: None) -> None:
    torch.manual_seed(0)
    p, branch = torch.tensor(0.3), torch.randn(20_000, 2, 3)
    out = dropped_branch(branch, p)
    dropped = (out == 0).flatten(1)
    assert (dropped.all(1) | ~dropped.any(1)).all()
    torch.testing.assert_close(out[~dropped.any(1)], branch[~dropped.any(1)] / (1 - p))
    assert dropped.all(1).double().mean().item() == pytest.approx(0.3, abs=0.015)
    assert torch.equal(dropped_branch(branch, torch.tensor(0.0)), branch)


def test_deeper_blocks_are_dropped_more_often() -> None:
    torch.manual_seed(0)
    model = ResidualCNN((1, 8), 2, channels=[3], blocks=4, norm="none")
    method = StochasticDepth(p=0.8)
    assert method.attach(model) == ["block_0_0", "block_0_1", "block_0_2", "block_0_3"]
    seen: list[torch.Tensor] = []
    for module in list(model.children())[:4]:
        module.branch.register_forward_hook(lambda branch, inputs, out: seen.append(out.detach()))
    model(torch.randn(5_000, 1, 8))
    shares = [(out == 0).flatten(1).all(1).float().mean().item() for out in seen]
    assert shares == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.03)
    seen.clear()
    model.eval()(torch.randn(5_000, 1, 8))
    assert all((out != 0).flatten(1).any(1).all() for out in seen)


def test_attached_twice_it_drops_once() -> None:
    model = ResidualCNN((1, 8), 2, channels=[3], blocks=1)
    method = StochasticDepth(p=0.5)
    method.attach(model)
    method.attach(model)
    assert len(model.block_0_0.branch._forward_hooks) == 1


def test_a_net_without_branches_matches_nothing() -> None:
    assert StochasticDepth(p=0.5).attach(CNN((1, 8), 2, channels=[3])) == []


@pytest.mark.parametrize("first", [True, False])
def test_a_branch_without_a_known_batch_axis_is_refused_by_name(first: bool) -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch = nn.Sequential(nn.Linear(4, 4), nn.TransformerEncoderLayer(4, 2, 8, batch_first=first))

    model = nn.Sequential(Block())
    if first:
        assert StochasticDepth(0.5).attach(model) == ["0"]
    else:
        with pytest.raises(ConfigError, match=r"0\.branch has batch_first=False"):
            StochasticDepth(0.5).attach(model)
