from itertools import product

import pytest
import torch
from torch import nn

from reglab.models import CNN, MLP, Linear, ResidualCNN
from reglab.models.layers import ACTIVATIONS, NORMS
from reglab.schema.errors import ConfigError
from tests.errors import config_error

SIGNALS = [(1, 40), (1, 8, 8), (3, 28, 20)]


@pytest.mark.parametrize("outputs", [1, 2, 10])
@pytest.mark.parametrize(
    ("model", "shape"), [*product([Linear, MLP, CNN, ResidualCNN], SIGNALS), (Linear, (10,)), (MLP, (10,))]
)
def test_sizes_come_from_the_data(model: type[nn.Module], shape: tuple[int, ...], outputs: int) -> None:
    out = model(shape, outputs)(torch.randn(5, *shape))
    assert out.shape == ((5,) if outputs == 1 else (5, outputs))


def test_the_net_of_the_seed_experiment_is_an_mlp_with_ten_hidden_units() -> None:
    net = MLP((10,), 1, hidden_sizes=[10])
    assert {name: tuple(p.shape) for name, p in net.named_parameters()} == {
        "hidden_0.weight": (10, 10),
        "hidden_0.bias": (10,),
        "output.weight": (1, 10),
        "output.bias": (1,),
    }


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("norm", ["none", *NORMS])
@pytest.mark.parametrize(
    ("model", "shape"), [(MLP, (6,)), (CNN, (1, 8)), (CNN, (2, 8, 8)), (ResidualCNN, (2, 8)), (ResidualCNN, (1, 8, 8))]
)
def test_every_activation_and_norm_trains(model: type[nn.Module], shape: tuple[int, ...], name: str, norm: str) -> None:
    net = model(shape, 3, activation=name, norm=norm)
    net(torch.randn(4, *shape)).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_layer_norm_of_feature_maps_normalizes_each_example() -> None:
    norm = NORMS["layer"][2](4)
    x = torch.randn(2, 4, 5, 5) * 3 + 1
    flat = norm(x).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(1, correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_a_residual_block_adds_its_branch_to_its_shortcut() -> None:
    net = ResidualCNN((1, 8), 2, channels=[3, 5], blocks=2, norm="none")
    x = torch.randn(4, 1, 8)
    for name, block in list(net.named_children())[:2]:
        torch.testing.assert_close(block(x), torch.relu(block.shortcut(x) + block.branch(x)), msg=name)
        x = block(x)
    assert isinstance(net.block_0_1.shortcut, nn.Identity)
    assert tuple(net.block_1_0.shortcut.weight.shape) == (5, 3, 1)


def test_a_convolution_refuses_a_table_and_too_many_blocks() -> None:
    with pytest.raises(ConfigError, match=r"model=cnn: .*\(10,\); use model=mlp"):
        CNN((10,), 2)
    with pytest.raises(ConfigError, match=r"model=residual_cnn: needs images"):
        ResidualCNN((10,), 2)
    with config_error("model.channels=[4,4,4,4]: 4 halvings ... 8"):
        CNN((1, 8, 8), 2, channels=[4, 4, 4, 4])
