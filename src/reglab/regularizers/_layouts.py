"""Layouts of weights: the axis of the output units, and the matrices that are stacked in one tensor.

All methods that work by output unit or by matrix (`UnitWise`) use these layouts. Other layers declare their layout:
``unit_axes = {"weight": 1}`` on the class or on the layer gives the axis of a parameter's output units, None leaves the
parameter out. An undeclared layout raises a ConfigError that names the parameter.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from reglab.compat.torch import ConvNd, ConvTransposeNd
from reglab.regularizers.base import Penalized, Regularizer, Weights, penalized, weights_of
from reglab.schema.errors import ConfigError, Setting


@dataclass(frozen=True)
class Layout:
    """The axis of a weight's output units, and its blocks.

    Attributes:
        axis: axis of the output units; 0 or 1 if there are several blocks.
        blocks: number of matrices of one size that are stacked along axis 0.
        joint: whether the blocks are one block-diagonal matrix (groups of a convolution) rather than separate
            matrices (gates of a recurrent layer; queries, keys and values).
    """

    axis: int = 0
    blocks: int = 1
    joint: bool = False

    def to_rows(self, weight: Tensor) -> Tensor:
        """Return the weight as (output units, ...), one row of incoming weights per unit; a view if possible."""
        if self.axis == 0:
            return weight
        if self.blocks == 1:
            return weight.movedim(self.axis, 0)
        return weight.unflatten(0, (self.blocks, -1)).transpose(1, 2).flatten(0, 1)

    def from_rows(self, rows: Tensor) -> Tensor:
        """Return the weight from the result of `to_rows`."""
        if self.axis and self.blocks == 1:
            return rows.movedim(0, self.axis)
        return self.to_rows(rows)  # with several blocks, its own inverse

    def to_matrices(self, weight: Tensor) -> Tensor:
        """Return the weight as (output units, ...), or (blocks, output units, ...) if it stacks several matrices."""
        rows = self.to_rows(weight)
        return rows if self.blocks == 1 else rows.unflatten(0, (self.blocks, -1))

    def from_matrices(self, matrices: Tensor) -> Tensor:
        """Return the weight from the result of `to_matrices`."""
        return self.from_rows(matrices if self.blocks == 1 else matrices.flatten(0, 1))

    def map_matrices(self, function: Callable[[Tensor], Tensor], weight: Tensor) -> Tensor:
        """Apply a function of one matrix (output units, ...); results of several are stacked on a new axis 0."""
        matrices = self.to_matrices(weight)
        return function(matrices) if self.blocks == 1 else torch.vmap(function)(matrices)


ROWS = Layout()


def layouts(model: nn.Module) -> dict[str, Layout | str | None]:
    """Return the layout of every penalized weight, trainable or not, by name.

    None: the weight is left out. A string: the reason for which the layout is unknown, as for a weight that is shared
    by layers with different layouts.
    """
    layout_of: dict[str, Layout | str | None] = {}
    first_of: dict[int, tuple[str, str]] = {}  # id of a weight to its first name and the first layer that has it
    for layer_name, layer, name, weight in weights_of(model):
        layout = _layout(layer, name, weight)
        if id(weight) not in first_of:
            full_name = f"{layer_name}.{name}" if layer_name else name
            first_of[id(weight)] = (full_name, layer_name or "the model")
            layout_of[full_name] = layout
            continue
        first_name, first_layer = first_of[id(weight)]
        if layout != layout_of[first_name]:
            layout_of[first_name] = f"{first_layer} and {layer_name} share it and lay it out differently"
    return layout_of


def _layout(layer: nn.Module, name: str, weight: Tensor) -> Layout | str | None:
    """Return the layout of one parameter of a layer, in the forms of `layouts`."""
    if weight.is_complex():
        return "it is complex"
    if isinstance(layer, ParametrizationList):
        return "it is a parameter of a parametrization, not the weight itself"
    declared: Any = getattr(layer, "unit_axes", {})
    if name in declared:
        return None if declared[name] is None else Layout(int(declared[name]) % weight.ndim)
    return _library_layouts(layer).get(name, f"{type(layer).__name__} does not declare its layout")


def _library_layouts(layer: nn.Module) -> dict[str, Layout]:
    """Return the layouts of the parameters of a layer of torch or the transformers library."""
    match layer:
        case nn.Linear() | nn.Bilinear():
            return {"weight": ROWS}
        case nn.Embedding() | nn.EmbeddingBag():  # a row is the vector of a token, as in their max_norm argument
            return {"weight": ROWS}
        case ConvTransposeNd():  # (in channels, out channels / groups, ...)
            return {"weight": Layout(1, layer.groups, joint=True)}
        case ConvNd():  # (out channels, in channels / groups, ...)
            return {"weight": Layout(0, layer.groups, joint=True)}
        case nn.MultiheadAttention():
            return {
                "in_proj_weight": Layout(0, 3),
                "q_proj_weight": ROWS,
                "k_proj_weight": ROWS,
                "v_proj_weight": ROWS,
            }
        case nn.RNNBase() | nn.RNNCellBase():  # a row has the incoming weights of one gate of one unit
            names = {name for name, _ in layer.named_parameters(recurse=False)}
            gates = {
                name: Layout(0, len(getattr(layer, name)) // layer.hidden_size)
                for name in names
                if name.startswith(("weight_ih", "weight_hh"))
            }
            return gates | {name: ROWS for name in names if name.startswith("weight_hr")}  # projections of states
    if any(
        kind.__module__ == "transformers.pytorch_utils" and kind.__name__ == "Conv1D" for kind in type(layer).__mro__
    ):
        return {"weight": Layout(1)}  # (in features, out features)
    return {}


class UnitWise(Regularizer):
    """Base class of methods that work by output unit, or on matrices (output units, inputs).

    Raises:
        ConfigError: from `attach`, if the layout of a trainable weight is unknown.
    """

    def __init__(self, *values: float, **strengths: float) -> None:
        super().__init__(*values, **strengths)
        self._layouts: dict[str, Layout | str | None] = {}

    def attach(self, model: nn.Module) -> list[str]:
        self._layouts = layouts(model)
        return [name for name, _, _ in self.laid_out(penalized(model))]

    def weights(self, model: nn.Module) -> Weights:
        return {name: weight for name, weight, _ in self.laid_out(penalized(model))}

    def laid_out(self, weights: Weights) -> Iterator[tuple[str, Tensor, Layout]]:
        """Yield name, weight and layout of all weights that are not left out.

        Args:
            weights: weights by name, from `penalized` or of the model with the method. Unknown names have the
                layout (output units, ...).

        Raises:
            ConfigError: a layout is unknown.
        """
        layout_of = self._layouts
        if isinstance(weights, Penalized) and not weights.keys() <= layout_of.keys():
            layout_of = layouts(weights.model)
        for name, weight in weights.items():
            layout = layout_of.get(name, ROWS)
            if isinstance(layout, str):
                raise ConfigError(
                    Setting("regularizer", self.name),
                    f"works by output unit, and the axis of output units of {name} is unknown ({layout})",
                    f"declare their axis on the layer, as in unit_axes = {{{name.rpartition('.')[2]!r}: 0}}, None "
                    "to leave it out, or choose another regularizer",
                )
            if layout is not None:
                yield name, weight, layout
