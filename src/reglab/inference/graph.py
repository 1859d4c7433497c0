"""Trace a trained network to a graph that needs no code of reglab, for export to MLflow."""

import copy
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from reglab.data.base import TensorData
from reglab.schema.errors import ConfigError, Setting
from reglab.tasks import Task

# Metadata of nodes with file names and classes of the machine that exported them.
_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")


class Predictor(nn.Module):
    """A network that returns predictions in place of its outputs, such as probabilities in place of logits.

    Args:
        network: the trained network.
        task: task of the run; see `Task.predictions`.
    """

    def __init__(self, network: nn.Module, task: Task) -> None:
        super().__init__()
        self.network = network
        self._predictions = task.predictions

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the predictions for inputs (rows, *shape)."""
        return self._predictions(self.network(inputs))


def examples(data: TensorData) -> Tensor:
    """Return two rows of the training part, (2, *shape): with one, the number of rows would become a constant."""
    return data.train.inputs[[0, -1]].cpu()


def trace(model: nn.Module, inputs: Tensor, where: Setting) -> ExportedProgram:
    """Trace a model for any number of rows; dropout, example rows and file names of this machine are removed.

    Args:
        model: model in evaluation mode.
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
