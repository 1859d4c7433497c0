"""A trained network as a graph that needs no code of ours: what MLflow keeps of it, and serves."""

import copy
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from reglab.data.base import TensorData
from reglab.schema.errors import ConfigError

# What only tells where a node came from: file names and classes of whoever exported it.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


class Probabilities(nn.Module):
    """What a classifier is asked for: probabilities (rows, classes), each row adding up to 1, instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Probabilities of inputs (rows, *shape)."""
        return torch.softmax(self.network(inputs), dim=-1)


class Amounts(nn.Module):
    """What a regression is asked for: the target in its own units, float64 (rows,), instead of the standardized one.

    Args:
        network: says the standardized target.
        mean: of the target over the training rows.
        scale: its standard deviation there.
    """

    def __init__(self, network: nn.Module, mean: float, scale: float) -> None:
        super().__init__()
        self.network, self.mean, self.scale = network, mean, scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Amounts of inputs (rows, *shape)."""
        said: Tensor = self.network(inputs)
        return said.double() * self.scale + self.mean  # a float32 has too few digits where the mean is far from 0


def answering(model: nn.Module, data: TensorData) -> nn.Module:
    """The network with what turns its outputs into answers, in evaluation mode."""
    if data.kind == "classification":
        return Probabilities(model).eval()
    return Amounts(model, data.target_mean, data.target_scale).eval()


def examples(data: TensorData) -> Tensor:
    """Two rows of the training part, (2, *shape): of a single one the number of rows would become a constant."""
    return data.train.inputs[[0, -1]].cpu()


def graph(model: nn.Module, inputs: Tensor, key: str) -> ExportedProgram:
    """The model traced for any number of rows, without dropout, example rows and traces of where it was made.

    Args:
        model: in evaluation mode.
        inputs: two rows or more.
        key: what names the run, for messages.

    Raises:
        ConfigError: it cannot be traced, or it drops in evaluation mode too.
    """
    try:
        with _silent():
            program = export(copy.deepcopy(model), (inputs,), dynamic_shapes=({0: Dim("rows")},))
    except Exception as error:  # torch raises many kinds
        raise ConfigError(
            key,
            f"torch.export cannot trace the model ({_reason(error)})",
            "its forward must take any number of rows and not branch on the values of tensors (torch.where can)",
        ) from error
    _without_dropout(program, key)
    _without_origins(program)
    return program


@contextmanager
def _silent() -> Iterator[None]:
    """Where it fails, torch prints the graph so far: what went wrong is in its exception."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _without_dropout(program: ExportedProgram, key: str) -> None:
    """In evaluation mode dropout hands its input on, and yet it stays in the graph."""
    nodes = program.graph_module.graph
    for node in list(nodes.nodes):
        if node.op != "call_function" or "dropout" not in str(node.target):
            continue
        if node.args[2] is not False:
            raise ConfigError(
                key,
                "the model drops in evaluation mode too, so that no answer would be the same twice",
                "give F.dropout training=self.training, or take nn.Dropout",
            )
        node.replace_all_uses_with(node.args[0])
        nodes.erase_node(node)
    program.graph_module.recompile()


def _without_origins(program: ExportedProgram) -> None:
    program.example_inputs = None  # would be pickled
    for node in program.graph_module.graph.nodes:
        for name in _ORIGINS:
            node.meta.pop(name, None)


def _reason(error: Exception) -> str:
    """The error's type and the first line that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200].removesuffix(": ")
