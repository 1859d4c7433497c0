import copy
from typing import Any

import pytest
import torch
from torch import nn

from reglab.models import CNN, MLP
from reglab.regularizers import DropBlock, SpatialDropout
from reglab.regularizers._layers import map_activations
from reglab.regularizers.spatial_dropout import thinned_channels
from reglab.schema.errors import ConfigError
from tests.regularizers.steps import fit_of, task_of


@pytest.mark.parametrize("positions", [(9,), (4, 5)], ids=["signal", "image"])
def test_whole_channels_are_dropped_or_scaled(double: None, positions: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    p, rows, channels = 0.3, 2000, 7
    model = nn.Sequential(nn.Conv1d(channels, channels, 1) if len(positions) == 1 else nn.Conv2d(channels, channels, 1))
    model.extend([nn.Sigmoid(), nn.Flatten()])  # no activation is 0
    assert SpatialDropout(p).attach(model) == ["1"]
    inputs = torch.randn(rows, channels, *positions)
    outputs = model(inputs).reshape(rows, channels, -1)
    clean = model.eval()(inputs).reshape(rows, channels, -1)
    dropped = (outputs == 0).all(-1)
    assert torch.equal(dropped, (outputs == 0).any(-1))
    torch.testing.assert_close(outputs[~dropped], clean[~dropped] / (1 - p), rtol=1e-14, atol=0)
    assert abs(dropped.double().mean() - p) < 5 * (p * (1 - p) / (rows * channels)) ** 0.5
    assert not torch.equal(dropped[0].expand(rows, -1), dropped), "each example has its own mask"


def test_the_mean_stays(double: None) -> None:
    maps, p = torch.randn(2, 3, 4, 5), torch.tensor(0.3)
    dropped, kept = (thinned_channels(maps, torch.full((2, 3), draw), p) for draw in (0.0, 0.999))
    torch.testing.assert_close(p * dropped + (1 - p) * kept, maps, rtol=1e-14, atol=0)


def test_the_class_equals_the_function() -> None:
    model, maps = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Flatten()), torch.randn(4, 2, 5, 5)
    clean = model[:2](maps)
    method = SpatialDropout(0.4)
    method.attach(model)
    method.attach(model)  # a second call has no effect
    torch.manual_seed(1)
    outputs = model(maps)
    torch.manual_seed(1)
    assert torch.equal(outputs, thinned_channels(clean, torch.rand(4, 3), torch.tensor(0.4)).flatten(1))


def test_it_acts_on_convolutions_only() -> None:
    assert SpatialDropout(0.5).attach(CNN((1, 8, 8), 3, norm="batch")) == ["activation_0", "activation_1"]
    assert SpatialDropout(0.5).attach(MLP((1, 8, 8), 3)) == []
    head = [nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)]
    chain = nn.Sequential(nn.Conv2d(1, 4, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Tanh(), *head)
    assert list(map_activations(chain)) == ["2", "4"]


class Shared(nn.Module):
    """Network with one activation module after a convolution and after a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act, self.hidden = nn.Conv2d(1, 4, 2), nn.Sigmoid(), nn.Linear(4, 50)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.act(self.hidden(self.act(self.conv(images)).mean((2, 3))))


def test_it_does_not_act_on_units_of_a_shared_activation() -> None:
    model = Shared()
    assert SpatialDropout(0.5).attach(model) == ["act"]
    assert (model(torch.randn(20, 1, 3, 3)) != 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    maps, draws = torch.randn(5, 3, 4, dtype=dtype), torch.rand(5, 3)
    assert thinned_channels(maps, draws, torch.tensor(0.5)).dtype == dtype
    assert torch.equal(thinned_channels(maps, draws, torch.tensor(0.0)), maps)


class Permuted(nn.Module):
    """Network with an activation of feature maps whose channels come first or last."""

    def __init__(self, last: bool, side: int, norm: bool = False, in_place: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8) if norm else nn.Identity()
        self.act, self.head, self.last = nn.ReLU(inplace=in_place), nn.Linear(8, 3), last

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.norm(self.first(images))
        maps = self.act(maps.permute(0, 2, 3, 1) if self.last else maps)
        return self.head(maps.mean((1, 2) if self.last else (2, 3)))


@pytest.mark.parametrize("make", [lambda: SpatialDropout(0.5), lambda: DropBlock(0.5, 2)], ids=["spatial", "block"])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("side", [5, 8])  # with 8, as many positions as channels
def test_channels_that_come_last_are_refused_by_name(make: Any, side: int, norm: bool, in_place: bool) -> None:
    batch = torch.randn(4, 2, side, side), torch.randint(0, 3, (4,))
    fit = fit_of(Permuted(False, side, norm, in_place), task_of("classification"), [make()])
    for _ in range(2):
        assert fit(batch).isfinite()
    copy.deepcopy(fit)
    assert fit.regularizers[0]._unchecked == {}
    fit = fit_of(Permuted(True, side, norm, in_place), task_of("classification"), [make()])
    with pytest.raises(ConfigError, match=r"axis 1 of act, of shape \(4, \d, \d, \d\)"):
        fit(batch)


@pytest.mark.parametrize("channels", [2, 3, 16])
@pytest.mark.parametrize("sides", [(2, 2), (4, 4), (9,)], ids=str)
@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "instance"])
def test_channels_first_are_never_refused(norm: str, sides: tuple[int, ...], channels: int) -> None:
    conv, batch, instance = (
        (nn.Conv1d, nn.BatchNorm1d, nn.InstanceNorm1d)
        if len(sides) == 1
        else (nn.Conv2d, nn.BatchNorm2d, nn.InstanceNorm2d)
    )
    made = {
        "none": nn.Identity,
        "batch": lambda: batch(channels),
        "layer": lambda: nn.LayerNorm((channels, *sides)),
        "group": lambda: nn.GroupNorm(1, channels),
        "instance": lambda: instance(channels),
    }
    for seed in range(5):
        torch.manual_seed(seed)
        net = nn.Sequential(conv(2, channels, 3, padding=1), made[norm](), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
        images = torch.randn(4, 2, *sides)
        net(images)
        fit = fit_of(net, task_of("classification"), [SpatialDropout(0.5)])
        for _ in range(2):
            assert fit((images, torch.randint(0, 3, (4,)))).isfinite()


def test_channels_last_memory_format_is_accepted() -> None:
    net = Permuted(False, 8).to(memory_format=torch.channels_last)
    fit = fit_of(net, task_of("classification"), [SpatialDropout(0.5)])
    images = torch.randn(4, 2, 8, 8).to(memory_format=torch.channels_last)
    assert fit((images, torch.randint(0, 3, (4,)))).isfinite()


def test_layers_with_weights_between_end_the_maps() -> None:
    """Outputs of a recurrent layer or of attention are not feature maps."""

    class Recurring(nn.GRU):
        is_activation = True

    chain = nn.Sequential(
        nn.Conv1d(2, 4, 3),
        nn.ReLU(),
        Recurring(4, 4),
        nn.ReLU(),
        nn.Conv1d(4, 4, 1),
        nn.Embedding(3, 4),
        nn.ReLU(),
        torch.nn.utils.parametrizations.spectral_norm(nn.Conv1d(4, 4, 1)),
        nn.ReLU(),
        nn.Linear(4, 3),
    )
    assert list(map_activations(chain)) == ["1", "8"]
