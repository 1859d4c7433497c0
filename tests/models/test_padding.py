"""Padded sequences: padding does not affect outputs or gradients."""

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


def test_unpadded_returns_values_and_mask() -> None:
    signals, real = unpadded(padded(sequences()))
    assert torch.equal(signals, padded(sequences(), 0.0))
    assert real.sum(1).tolist() == LENGTHS
    assert real[1].tolist() == [True] * 3 + [False] * 9
    full = torch.randn(2, 3, 4)
    assert torch.equal(unpadded(full)[0], full)
    assert unpadded(full)[1].all()


def test_last_and_mean_of_unpadded_positions() -> None:
    signals, real = unpadded(padded(sequences()))
    values = signals.transpose(1, 2)
    for row, sequence in enumerate(sequences()):
        assert torch.equal(last_unpadded(values, real)[row], sequence[:, -1])
        torch.testing.assert_close(mean_unpadded(values, real)[row], sequence.mean(1))


@pytest.mark.parametrize("model", [GRU, TransformerEncoder])
def test_a_padded_sequence_gives_the_outputs_of_the_sequence_alone(model: Callable[..., nn.Module]) -> None:
    net = model((CHANNELS, LONGEST), 3, padded=True).eval()
    with torch.no_grad():
        together = net(padded(sequences()))
        for row, sequence in enumerate(sequences()):
            torch.testing.assert_close(together[row], net(sequence[None])[0], atol=1e-6, rtol=0)


def test_a_convolution_reads_zeros_after_the_end_of_every_block() -> None:
    net = CNN((CHANNELS, LONGEST), 3, activation="sigmoid", padded=True).eval()  # sigmoid(0) = 0.5
    with torch.no_grad():
        for row in padded(sequences()):
            values, real = row.nan_to_num(0), ~row[0].isnan()
            for block in range(2):
                values = net.get_submodule(f"activation_{block}")(net.get_submodule(f"conv_{block}")(values)) * real
                values = nn.functional.max_pool1d(values, 2)
                real = real.unflatten(0, (-1, 2)).any(1)
            torch.testing.assert_close(net(row[None])[0], net.get_submodule("output")(values.flatten()))


@pytest.mark.parametrize("model", MODELS)
def test_padding_has_no_gradient_and_no_noise(model: Callable[..., nn.Module]) -> None:
    net = model((CHANNELS, LONGEST), 3, padded=True)
    inputs = (padded(sequences()) + torch.randn(len(LENGTHS), CHANNELS, LONGEST)).requires_grad_()
    loss = net(inputs).square().mean()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    assert inputs.grad is not None
    assert torch.equal(inputs.grad.abs().sum(1) > 0, ~inputs.isnan()[:, 0])


@pytest.mark.parametrize("model", MODELS)
def test_padding_support_does_not_change_full_sequences(model: Callable[..., nn.Module]) -> None:
    net, aware = model((CHANNELS, LONGEST), 3), model((CHANNELS, LONGEST), 3, padded=True)
    aware.load_state_dict(net.state_dict())
    signals = torch.randn(5, CHANNELS, LONGEST)
    torch.testing.assert_close(aware(signals), net(signals))


def test_a_normalization_over_padding_is_refused() -> None:
    with config_error("model.norm=layer: padded positions"):
        CNN((CHANNELS, LONGEST), 3, norm="layer", padded=True)
