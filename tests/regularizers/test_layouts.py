"""Methods per output unit or per matrix on all layer types, compared with the linear map of the layer's forward."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from transformers.pytorch_utils import Conv1D

from reglab.regularizers import GroupLasso, MaxNorm, NuclearNorm, Orthogonal, SpectralNorm, penalized
from reglab.regularizers._layouts import UnitWise
from reglab.regularizers.base import regularizer_classes
from reglab.schema.errors import ConfigError

METHODS: list[Callable[[], UnitWise]] = [
    lambda: MaxNorm(0.9),
    lambda: GroupLasso(0.2),
    lambda: NuclearNorm(0.3),
    SpectralNorm,
    lambda: Orthogonal(0.7),
]
by_units = pytest.mark.parametrize("make", METHODS, ids=lambda make: type(make()).__name__)

# Kernels as large as the inputs: each convolution has one output position, whose units use every weight once.
LINEAR: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "Linear": (lambda: nn.Linear(5, 3, bias=False), (5,)),
    "Linear, square": (lambda: nn.Linear(4, 4, bias=False), (4,)),
    "Linear, wide": (lambda: nn.Linear(3, 5, bias=False), (3,)),
    "Conv1d": (lambda: nn.Conv1d(2, 3, 2, bias=False), (2, 2)),
    "Conv2d": (lambda: nn.Conv2d(2, 3, 2, bias=False), (2, 2, 2)),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2, bias=False), (2, 2, 2, 2)),
    "Conv2d, groups": (lambda: nn.Conv2d(4, 6, 2, groups=2, bias=False), (4, 2, 2)),
    "Conv2d, depthwise": (lambda: nn.Conv2d(3, 3, 2, groups=3, bias=False), (3, 2, 2)),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(2, 3, 2, padding=1, bias=False), (2, 2)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(2, 3, 2, padding=1, bias=False), (2, 2, 2)),
    "ConvTranspose2d, as many in as out": (lambda: nn.ConvTranspose2d(3, 3, 2, padding=1, bias=False), (3, 2, 2)),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(2, 3, 2, padding=1, bias=False), (2, 2, 2, 2)),
    "ConvTranspose1d, groups": (lambda: nn.ConvTranspose1d(4, 6, 2, padding=1, groups=2, bias=False), (4, 2)),
    "ConvTranspose2d, depthwise": (lambda: nn.ConvTranspose2d(3, 3, 2, padding=1, groups=3, bias=False), (3, 2, 2)),
    "transformers' Conv1D": (lambda: Conv1D(4, 6), (6,)),
    "transformers' Conv1D, square": (lambda: Conv1D(4, 4), (4,)),
    "Bilinear": (lambda: nn.Bilinear(2, 3, 4, bias=False), (2, 3)),
    "a subclass": (lambda: type("Own", (nn.Linear,), {})(5, 3, bias=False), (5,)),
    "declared": (lambda: Declared(5, 3), (5,)),
    "declared, tensor": (lambda: DeclaredTensor(2, 3, 4), (2, 3)),
}
layers = pytest.mark.parametrize("name", LINEAR)


class Declared(nn.Module):
    """User-defined layer with a weight (inputs, units)."""

    unit_axes = {"kernel": 1}

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(inputs, units))

    def forward(self, values: Tensor) -> Tensor:
        return values @ self.kernel


class DeclaredTensor(nn.Module):
    """User-defined bilinear layer with a weight (first inputs, second inputs, units)."""

    unit_axes = {"kernel": -1}

    def __init__(self, first: int, second: int, units: int) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(first, second, units))

    def forward(self, values: Tensor) -> Tensor:
        return torch.einsum("nij,iju->nu", values, self.kernel)


def new_layer(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    layer, shape = LINEAR[name][0](), LINEAR[name][1]
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
        if getattr(layer, "bias", None) is not None:
            layer.bias.zero_()
    return nn.Sequential(layer), shape


@torch.no_grad()
def matrix(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """Return the matrix (units, inputs) from the outputs of the layer for unit vectors."""
    inputs = torch.eye(math.prod(shape)).reshape(-1, *shape)
    if isinstance(model[0], nn.Bilinear):
        first, second = torch.eye(shape[0]), torch.eye(shape[1])
        pairs = first.repeat_interleave(shape[1], 0), second.repeat(shape[0], 1)
        return model[0](*pairs).T
    return model(inputs).flatten(1).T


def stepped(method: UnitWise, model: nn.Module) -> None:
    method.attach(model)
    with torch.no_grad():
        weights = method.weights(model)
        for name, new in method.after_step(weights, 0.5).items():
            assert new.shape == weights[name].shape
            weights[name].copy_(new)


def expected(method: UnitWise, rows: Tensor) -> Tensor:
    """Return the map (units, inputs) after the method; zeros that are not weights stay zeros."""
    lengths = rows.norm(dim=1, keepdim=True)
    if isinstance(method, MaxNorm):
        return rows * (method.max_norm / lengths).clamp(max=1)
    if isinstance(method, GroupLasso):
        size = (rows != 0).sum(1, keepdim=True)
        return rows * (1 - 0.5 * method.strength * size.sqrt() / lengths).clamp(min=0)
    left, values, right = torch.linalg.svd(rows, full_matrices=False)
    if isinstance(method, NuclearNorm):
        return (left * (values - 0.5 * method.strength).clamp(min=0)) @ right
    return rows / values[0] if isinstance(method, SpectralNorm) else rows


@by_units
@layers
def test_units_are_those_of_the_layers_forward(double: None, name: str, make: Callable[[], UnitWise]) -> None:
    model, shape = new_layer(name)
    before, method = matrix(model, shape), make().double()
    stepped(method, model)
    torch.testing.assert_close(matrix(model, shape), expected(method, before), rtol=1e-6, atol=1e-6)
    if not isinstance(method, SpectralNorm | Orthogonal):
        assert not torch.allclose(matrix(model, shape), before)


@layers
def test_penalties_are_of_the_layers_map(double: None, name: str) -> None:
    model, shape = new_layer(name)
    rows, weights = matrix(model, shape), penalized(model)
    lasso, nuclear, orthogonal = GroupLasso(0.2).double(), NuclearNorm(0.3).double(), Orthogonal(0.7).double()
    sizes = (rows != 0).sum(1)
    torch.testing.assert_close(lasso.penalty(weights), 0.2 * (sizes.sqrt() * rows.norm(dim=1)).sum())
    torch.testing.assert_close(nuclear.penalty(weights), 0.3 * torch.linalg.svdvals(rows).sum())
    groups = getattr(model[0], "groups", 1)
    tall = len(rows) // groups > int(sizes[0])  # with more units than inputs, compare the Gram matrix of the inputs
    product = rows.T @ rows if tall else rows @ rows.T
    exact = 0.7 * (product - torch.eye(len(product))).square().sum()
    torch.testing.assert_close(orthogonal.penalty(weights), exact)


@pytest.mark.slow
@layers
def test_the_gradient_of_spectral_norm_includes_the_division(double: None, name: str) -> None:
    model, shape = new_layer(name)
    method = SpectralNorm().double()
    method.attach(model)
    (weight,) = method.weights(model).values()
    slope = torch.randn(weight.shape)
    reference = copy.deepcopy(model)
    (own,) = penalized(reference).values()
    inputs = torch.eye(math.prod(shape)).reshape(-1, *shape)
    if isinstance(model[0], nn.Bilinear):
        pytest.skip("its map takes two inputs")
    largest = torch.linalg.svdvals(reference(inputs).flatten(1).T)[0]
    (own / largest).backward(slope)
    weight.grad = slope.clone()
    for _ in range(300):
        method.after_step(method.weights(model), 0.1)  # updates the vectors
    method.replace_gradients()
    torch.testing.assert_close(weight.grad, own.grad, rtol=1e-5, atol=1e-6)


@by_units
@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag], ids=lambda kind: kind.__name__)
def test_an_embeddings_rows_are_the_vectors_of_its_tokens(
    double: None, make: Callable[[], UnitWise], kind: Any
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(kind(7, 4))
    before, method = model(torch.arange(7).unsqueeze(1)).detach().reshape(7, 4), make().double()
    stepped(method, model)
    after = model(torch.arange(7).unsqueeze(1)).detach().reshape(7, 4)
    torch.testing.assert_close(after, expected(method, before), rtol=1e-6, atol=1e-6)


STACKED: dict[str, tuple[Callable[[], nn.Module], dict[str, int]]] = {
    "RNN": (lambda: nn.RNN(3, 4, bidirectional=True), {"weight_ih": 1, "weight_hh": 1}),
    "GRU": (lambda: nn.GRU(3, 4, num_layers=2), {"weight_ih": 3, "weight_hh": 3}),
    "LSTM": (lambda: nn.LSTM(3, 4), {"weight_ih": 4, "weight_hh": 4}),
    "LSTM, projected": (lambda: nn.LSTM(3, 4, proj_size=2), {"weight_ih": 4, "weight_hh": 4, "weight_hr": 1}),
    "RNNCell": (lambda: nn.RNNCell(3, 4), {"weight_ih": 1, "weight_hh": 1}),
    "GRUCell": (lambda: nn.GRUCell(3, 4), {"weight_ih": 3, "weight_hh": 3}),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), {"weight_ih": 4, "weight_hh": 4}),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(4, 2), {"in_proj": 3, "out_proj": 1}),
    "MultiheadAttention, own sizes": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, vdim=5),
        {"q_proj": 1, "k_proj": 1, "v_proj": 1, "out_proj": 1},
    ),
}


@by_units
@pytest.mark.parametrize("name", STACKED)
def test_stacked_maps_are_taken_apart(double: None, name: str, make: Callable[[], UnitWise]) -> None:
    torch.manual_seed(0)
    layer, blocks = STACKED[name][0](), STACKED[name][1]
    with torch.no_grad():
        for weight in penalized(layer).values():
            weight.normal_()
    before, method = copy.deepcopy(layer), make().double()
    stepped(method, layer)
    for full, weight in penalized(layer).items():
        count = next(n for start, n in blocks.items() if full.startswith(start))
        parts = before.get_parameter(full).detach().chunk(count)
        exact = torch.cat([expected(method, part) for part in parts])
        torch.testing.assert_close(weight.detach(), exact, rtol=1e-5, atol=1e-5)


def test_rows_of_recurrent_weights_belong_to_one_gate_of_one_unit(double: None) -> None:
    """Find the gates of an LSTM cell from its forward: with the other gates saturated, the state shows one gate."""
    torch.manual_seed(0)
    cell = nn.LSTMCell(3, 2)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.weight_ih.normal_()
    stepped(MaxNorm(0.5).double(), cell)
    inputs, sides = torch.eye(3), torch.zeros(2)
    with torch.no_grad():
        # input and output gates open, forget gate closed
        cell.bias_ih.copy_(torch.cat([sides + 40, sides - 40, sides, sides + 40]))
        weights = cell.weight_ih.clone()
        cell.weight_ih.zero_()[4:6] = weights[4:6]
        _, state = cell(inputs)
    reads = state.atanh()  # (inputs, units): weights of the candidate state
    assert (reads.norm(dim=0) <= 0.5 + 1e-6).all()
    torch.testing.assert_close(reads.T, weights[4:6], rtol=1e-6, atol=1e-9)


# shared, with an adapter, and unknown


class Tied(nn.Module):
    def __init__(self, head: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(5, 5), head()
        self.head.weight = self.embedding.weight


@by_units
def test_an_embedding_tied_with_the_head_is_one_tensor_with_one_layout(make: Callable[[], UnitWise]) -> None:
    method = make()
    assert method.attach(Tied(lambda: nn.Linear(5, 5, bias=False))) == ["embedding.weight"]
    with pytest.raises(ConfigError, match=r"embedding\.weight.*embedding and head"):
        method.attach(Tied(lambda: Conv1D(5, 5)))


class Raw(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.map, self.scales = nn.Linear(3, 3), nn.Parameter(torch.randn(3, 3))

    def forward(self, values: Tensor) -> Tensor:
        return self.map(values) @ self.scales


def parametrized(change: Callable[[nn.Module], Any]) -> nn.Module:
    model = nn.Sequential(nn.Linear(3, 3))
    change(model[0])
    return model


UNKNOWN: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "raw parameter": (Raw, "scales.*Raw"),
    "parametrized": (
        lambda: parametrized(parametrizations.orthogonal),
        "0.parametrizations.weight.original.*parametriz",
    ),
    "weight norm": (
        lambda: parametrized(parametrizations.weight_norm),
        "0.parametrizations.weight.original.*parametriz",
    ),
    "old weight norm": (lambda: parametrized(nn.utils.weight_norm), "0.weight_g.*Linear"),
    "old spectral norm": (lambda: parametrized(nn.utils.spectral_norm), "0.weight_orig.*Linear"),
    "complex": (lambda: nn.Sequential(nn.Linear(3, 3, dtype=torch.complex64)), "0.weight.*complex"),
    "lists of parameters": (lambda: nn.ParameterList([nn.Parameter(torch.randn(2, 2))]), "0.*ParameterList"),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
@by_units
@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_layouts_are_refused_by_name(name: str, make: Callable[[], UnitWise]) -> None:
    model, words = UNKNOWN[name][0](), UNKNOWN[name][1]
    with pytest.raises(ConfigError, match=words) as error:
        make().attach(model)
    assert str(error.value).startswith(f"regularizer={make().name}: ")
    assert "\n" not in str(error.value)


@by_units
def test_frozen_weights_need_no_layout(make: Callable[[], UnitWise]) -> None:
    model = Raw()
    model.scales.requires_grad_(False)
    method = make()
    assert method.attach(model) == ["map.weight"]
    model.scales.requires_grad_(True)
    with pytest.raises(ConfigError, match="scales"):
        method.weights(model)


@by_units
def test_none_leaves_a_parameter_out(make: Callable[[], UnitWise]) -> None:
    model, method = Raw(), make()
    model.unit_axes = {"scales": None}
    before = model.scales.detach().clone()
    assert method.attach(model) == list(method.weights(model)) == ["map.weight"]
    stepped(method, model)
    assert torch.equal(model.scales, before)


@by_units
def test_weights_unfrozen_later_have_their_layout(double: None, make: Callable[[], UnitWise]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6, bias=False), Conv1D(4, 6))
    with torch.no_grad():
        model[1].weight.normal_()
    model[1].weight.requires_grad_(False)
    method = make().double()
    assert method.attach(model) == ["0.weight"]
    model[1].weight.requires_grad_(True)
    before = model[1].weight.detach().T.clone()
    with torch.no_grad():  # a plain dict, as from the trainer
        new = (
            method.after_step({"1.weight": model[1].weight}, 0.5)["1.weight"]
            if not isinstance(method, Orthogonal)
            else before.T
        )
    torch.testing.assert_close(new.T, expected(method, before), rtol=1e-6, atol=1e-6)


def test_low_rank_adapters_are_separate_linear_layers() -> None:
    from peft import LoraConfig, inject_adapter_in_model

    model = nn.Sequential()
    model.add_module("map", Conv1D(4, 6))
    inject_adapter_in_model(LoraConfig(r=2, target_modules=["map"], fan_in_fan_out=True), model)
    assert MaxNorm(0.5).attach(model) == ["map.lora_A.default.weight", "map.lora_B.default.weight"]


def test_models_of_reglab_declare_all_layouts() -> None:
    from reglab import models
    from reglab.models.llama import Llama

    built = [
        models.MLP((4,), 3, [5]),
        models.CNN((1, 8, 8), 3),
        models.ResidualCNN((1, 8, 8), 3),
        models.GRU((2, 6), 3),
        *(models.TransformerEncoder(shape, 3) for shape in [(1, 8, 8), (2, 6), (4,)]),
        Llama((8,), 11, hidden_size=16, layers=1, heads=2, key_value_heads=1, intermediate_size=8),
    ]
    for model in built:
        assert MaxNorm(1.0).attach(model) == list(penalized(model)), type(model).__name__


def test_all_methods_per_unit_are_subclasses_of_unit_wise() -> None:
    methods = {name for name, method in regularizer_classes().items() if issubclass(method, UnitWise)}
    assert methods >= {"max_norm", "group_lasso", "nuclear_norm", "orthogonal", "spectral_norm"}
