"""Compute the outputs of the exported graph of this model; nothing in it is pickled.

MLflow runs this file to load the model. It is kept with the model and needs nothing but mlflow, numpy and torch.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.pyfunc import PythonModel


class Graph(PythonModel):
    """The network, on the CPU, for any number of rows."""

    def load_context(self, context: Any) -> None:
        """Load the graph; torch reads its weights as plain numbers."""
        self.graph = torch.export.load(Path(context.artifacts["graph"])).module()

    def predict(self, context: Any, model_input: np.ndarray, params: Any = None) -> np.ndarray:
        """Return the outputs for rows (rows, *shape), as described by the signature of the model."""
        with torch.no_grad():
            answers: np.ndarray = self.graph(torch.from_numpy(model_input)).numpy()
        return answers


mlflow.models.set_model(Graph())
