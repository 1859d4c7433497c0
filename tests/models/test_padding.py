"""Sequences of different lengths: what comes after their end is never heard."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from reglab.models import CNN, GRU, TransformerEncoder
from reglab.models.padding import last_unpadded, mean_unpadded, unpadded
from tests.errors import config_error

LENGTHS = [7, 3, 12, 1]
CHANNELS, LONGEST = 2, 12
MODELS: list[Callable[..., nn.Module]] = [GRU, CNN, TransformerEncoder]


def sequences() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(CHANNELS, length, generator=generator) for length in LENGTHS]


def padded(rows: list[Tensor], value: float = torch.nan) -> Tensor:
    return torch.stack([nn.functional.pad(row, (0, LONGEST - row.shape[1]), value=value) for row in rows])


def test_what_is_real_and_what_is_not() -> None:
    signals, real = unpadded(padded(sequences()))
    assert torch.equal(signals, padded(sequences(), 0.0))
    assert real.sum(1).tolist() == LENGTHS
    assert real[1].tolist() == [True] * 3 + [False] * 9
    whole = torch.randn(2, 3, 4)
    assert torch.equal(unpadded(whole)[0], whole)
    assert unpadded(whole)[1].all()


def test_the_last_real_place_and_the_mean_of_real_ones() -> None:
    signals, real = unpadded(padded(sequences()))
    values = signals.transpose(1, 2)
    for row, one in enumerate(sequences()):
        assert torch.equal(last_unpadded(values, real)[row], one[:, -1])
        torch.testing.assert_close(mean_unpadded(values, real)[row], one.mean(1))


@pytest.mark.parametrize("model", [GRU, TransformerEncoder])
def test_a_padded_sequence_is_read_as_it_is_alone(model: Callable[..., nn.Module]) -> None:
    net = model((CHANNELS, LONGEST), 3, padded=True).eval()
    with torch.no_grad():
        together = net(padded(sequences()))
        for row, one in enumerate(sequences()):
            torch.testing.assert_close(together[row], net(one[None])[0], atol=1e-6, rtol=0)


def test_a_convolution_reads_zeros_after_the_end_of_every_block() -> None:
    net = CNN((CHANNELS, LONGEST), 3, activation="sigmoid", padded=True).eval()  # which makes .5 of zeros
    with torch.no_grad():
        for row in padded(sequences()):
            values, real = row.nan_to_num(0), ~row[0].isnan()
            for block in range(2):
                values = net.get_submodule(f"activation_{block}")(net.get_submodule(f"conv_{block}")(values)) * real
                values = nn.functional.max_pool1d(values, 2)
                real = real.unflatten(0, (-1, 2)).any(1)
            torch.testing.assert_close(net(row[None])[0], net.get_submodule("output")(values.flatten()))


@pytest.mark.parametrize("model", MODELS)
def test_padding_gives_no_gradient_and_noise_leaves_it(model: Callable[..., nn.Module]) -> None:
    net = model((CHANNELS, LONGEST), 3, padded=True)
    inputs = (padded(sequences()) + torch.randn(len(LENGTHS), CHANNELS, LONGEST)).requires_grad_()
    loss = net(inputs).square().mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert inputs.grad is not None
    assert torch.equal(inputs.grad.abs().sum(1) > 0, ~inputs.isnan()[:, 0])


@pytest.mark.parametrize("model", MODELS)
def test_where_no_signal_ends_early_it_makes_no_difference(model: Callable[..., nn.Module]) -> None:
    net, aware = model((CHANNELS, LONGEST), 3), model((CHANNELS, LONGEST), 3, padded=True)
    aware.load_state_dict(net.state_dict())
    signals = torch.randn(5, CHANNELS, LONGEST)
    torch.testing.assert_close(aware(signals), net(signals))


def test_a_normalization_that_would_hear_padding_is_refused() -> None:
    with config_error("model.norm=layer: padded positions"):
        CNN((CHANNELS, LONGEST), 3, norm="layer", padded=True)
