"""Trace a trained network to a graph that needs no code of reglab, for export to MLflow."""

import copy
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from reglab.data.base import TensorData
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import LABEL_SETS, SOFTMAX_OUTPUTS, TASK_KINDS

# Metadata of nodes with file names and classes of the machine that exported them.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


class Probabilities(nn.Module):
    """A classifier that returns probabilities (rows, classes) in place of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the probabilities for inputs (rows, *shape)."""
        return torch.softmax(self.network(inputs), dim=-1)


class Amounts(nn.Module):
    """A regression that returns the target in its own units, float64 (rows,), in place of the standardized one.

    Args:
        network: predicts the standardized target.
        mean: of the target over the training rows.
        scale: its standard deviation there.
    """

    def __init__(self, network: nn.Module, mean: float, scale: float) -> None:
        super().__init__()
        self.network, self.mean, self.scale = network, mean, scale

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the predictions for inputs (rows, *shape)."""
        standardized: Tensor = self.network(inputs)
        return standardized.double() * self.scale + self.mean  # float32 has too few digits if the mean is far from 0


def with_outputs(model: nn.Module, data: TensorData) -> nn.Module:
    """Return the network with probabilities or the target's own units as outputs, in evaluation mode."""
    features = TASK_KINDS[data.kind].features
    if SOFTMAX_OUTPUTS in features:
        return Probabilities(model).eval()
    if LABEL_SETS in features:
        return nn.Sequential(model, nn.Sigmoid()).eval()
    return Amounts(model, data.target_mean, data.target_scale).eval()


def examples(data: TensorData) -> Tensor:
    """Return two rows of the training part, (2, *shape): with one, the number of rows would become a constant."""
    return data.train.inputs[[0, -1]].cpu()


def trace(model: nn.Module, inputs: Tensor, where: Setting) -> ExportedProgram:
    """Trace a model for any number of rows; dropout, example rows and file names of this machine are removed.

    Args:
        model: in evaluation mode.
        inputs: at least two rows.
        where: the run, for messages.

    Raises:
        ConfigError: it cannot be traced, or dropout acts in evaluation mode too.
    """
    try:
        with _silent():
            program = export(copy.deepcopy(model), (inputs,), dynamic_shapes=({0: Dim("rows")},))
    except Exception as error:  # torch raises many kinds
        raise ConfigError(
            where,
            f"torch.export cannot trace the model ({_reason(error)})",
            "its forward must take any number of rows and not branch on the values of tensors (torch.where can)",
        ) from error
    _remove_dropout(program, where)
    _remove_origins(program)
    return program


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress torch's output on failure, the graph so far: the exception has the reason."""
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _remove_dropout(program: ExportedProgram, where: Setting) -> None:
    """Remove dropout from the graph: in evaluation mode it returns its input."""
    nodes = program.graph_module.graph
    for node in list(nodes.nodes):
        if node.op != "call_function" or "dropout" not in str(node.target):
            continue
        if node.args[2] is not False:
            raise ConfigError(
                where,
                "dropout acts in evaluation mode too, so that outputs would differ between calls",
                "pass training=self.training to F.dropout, or use nn.Dropout",
            )
        node.replace_all_uses_with(node.args[0])
        nodes.erase_node(node)
    program.graph_module.recompile()


def _remove_origins(program: ExportedProgram) -> None:
    program.example_inputs = None  # would be pickled
    for node in program.graph_module.graph.nodes:
        for name in _ORIGINS:
            node.meta.pop(name, None)


def _reason(error: Exception) -> str:
    """Return the error's type and its first line that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200].removesuffix(": ")
