"""Each private part of torch exists and works as documented in `reglab.compat.torch`."""

import inspect

import pytest
import torch
from torch import nn

from reglab.compat.torch import (
    ConvNd,
    ConvTransposeNd,
    DropoutNd,
    NormBase,
    after_backward,
    buffer_dict,
    forward_hooks,
    is_compiled,
    is_size_overflow,
    lerp_,
    parameter_dict,
    unscales_gradients,
    version,
)
from reglab.schema.errors import is_out_of_memory


def layers(*beginnings: str) -> set[type]:
    """Layers of ``torch.nn`` whose names begin so, as ``nn.Conv2d``."""
    named = inspect.getmembers(nn, inspect.isclass)
    return {kind for name, kind in named if name.removeprefix("Lazy").startswith(beginnings)}


@pytest.mark.parametrize(
    ("base", "kinds"),
    [
        (NormBase, layers("BatchNorm", "SyncBatchNorm", "InstanceNorm")),
        (ConvNd, layers("Conv")),
        (ConvTransposeNd, layers("ConvTranspose")),
        (DropoutNd, layers("Dropout", "AlphaDropout", "FeatureAlphaDropout")),
    ],
)
def test_a_base_class_covers_exactly_its_public_layers(base: type, kinds: set[type]) -> None:
    public = {kind for _, kind in inspect.getmembers(nn, inspect.isclass)}
    assert {kind for kind in public if issubclass(kind, base)} == kinds


def test_a_layer_computes_with_what_its_dictionary_of_parameters_holds() -> None:
    layer = nn.Linear(2, 1, bias=False)
    assert parameter_dict(layer)["weight"] is layer.weight
    parameter_dict(layer)["weight"] = torch.tensor([[1.0, 2.0]])
    assert layer(torch.tensor([3.0, 4.0])).item() == 11


def test_buffers_by_name() -> None:
    norm = nn.BatchNorm1d(3)
    assert buffer_dict(norm)["running_mean"] is norm.running_mean
    assert "weight" not in buffer_dict(norm)


def test_hooks_of_a_module_before_and_after_the_pass() -> None:
    layer = nn.Linear(1, 1)
    first = layer.register_forward_pre_hook(lambda module, inputs: None)
    last = layer.register_forward_hook(lambda module, inputs, output: output * 0)
    before, after = forward_hooks(layer)
    assert (list(before), list(after)) == ([first.id], [last.id])
    after[last.id] = lambda module, inputs, output: output * 0 + 5  # what stands there is called
    assert layer(torch.ones(1)).item() == 5


def test_compiled_modules_and_methods() -> None:
    class Net(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs

    class Decorated(nn.Module):
        @torch.compile
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs

    in_place, method = Net(), Net()
    in_place.compile()
    method.forward = torch.compile(method.forward)  # type: ignore[method-assign]
    assert not is_compiled(Net())
    for module in (torch.compile(Net()), in_place, method, Decorated()):
        assert is_compiled(module)  # type: ignore[arg-type]


def test_a_callback_at_the_end_of_the_backward_pass() -> None:
    first, last = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    seen = []
    product = first * last
    product.register_hook(lambda _: after_backward(lambda: seen.append((first.grad, last.grad))))
    product.sum().backward()
    assert len(seen) == 1
    assert all(gradient is not None for gradient in seen[0])


def test_no_callback_outside_of_a_backward_pass() -> None:
    with pytest.raises(RuntimeError):
        after_backward(lambda: None)


def test_lerp_rounds_as_that_of_a_tensor() -> None:
    starts, ends = [torch.randn(5), torch.randn(2, 3)], [torch.randn(5), torch.randn(2, 3)]
    expected = [start.lerp(end, 0.1) for start, end in zip(starts, ends, strict=True)]
    lerp_(starts, ends, 0.1)
    assert all(torch.equal(a, b) for a, b in zip(starts, expected, strict=True))


def test_the_version_counts_changes_in_place_of_a_tensor_and_its_views() -> None:
    tensor = torch.zeros(2)
    before = version(tensor)
    tensor[0] += 1
    assert version(tensor) == version(tensor[:1]) > before


def test_fused_optimizers_unscale_gradients_themselves() -> None:
    weights = [nn.Parameter(torch.ones(1))]
    assert unscales_gradients(torch.optim.AdamW(weights, fused=True))
    assert not unscales_gradients(torch.optim.AdamW(weights))


def test_the_grad_scaler_reads_that_attribute() -> None:
    assert "_step_supports_amp_scaling" in inspect.getsource(torch.amp.GradScaler.step)


def test_a_lack_of_memory_on_the_cpu_is_recognized() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


def test_sizes_beyond_64_bits_are_recognized() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**62, 8, device="meta")
    assert is_size_overflow(error.value)


def test_other_errors_are_no_size_overflow() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.zeros(2) + torch.zeros(3)
    assert not is_size_overflow(error.value)
