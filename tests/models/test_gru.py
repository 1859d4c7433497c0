"""Recurrent network, compared with a multi-layer GRU of PyTorch."""

import pytest
import torch
from torch import nn

from reglab.models import GRU
from reglab.regularizers import Dropout
from reglab.schema.errors import ConfigError
from tests.errors import config_error


def test_the_layers_equal_one_multi_layer_gru() -> None:
    net, reference = GRU((3, 9), 4, hidden_sizes=[5, 5]), nn.GRU(3, 5, num_layers=2, batch_first=True)
    reference.load_state_dict(
        {
            f"{name[:-1]}{i}": weight
            for i, layer in enumerate(net.recurrent)
            for name, weight in layer.state_dict().items()
        }
    )
    signals = torch.randn(6, 3, 9)
    last = reference(signals.transpose(1, 2))[0][:, -1]
    torch.testing.assert_close(net(signals), net.head(last))


def test_dropout_acts_on_the_outputs_of_each_layer() -> None:
    net = GRU((3, 9), 4)
    assert Dropout(p=0.5).attach(net) == ["recurrent.0", "recurrent.1"]
    signals = torch.randn(6, 3, 9)
    assert not torch.equal(net.train()(signals), net(signals))
    assert torch.equal(net.eval()(signals), net(signals))


def test_inputs_that_are_not_sequences_are_refused() -> None:
    with config_error("model=gru: sequences ... (10,) ... model=mlp"):
        GRU((10,), 2)
    with pytest.raises(ConfigError, match=r"model.hidden_sizes=\[\]: name the units"):
        GRU((3, 9), 2, hidden_sizes=[])
