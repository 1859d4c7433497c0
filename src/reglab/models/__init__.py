"""Networks, one a file; each takes the input shape and the number of outputs from the data.

A class may say what a config can be checked with: ``dims``, how many dimensions its examples may have, and ``offers``,
what regularizers find in it (``activations`` between layers, ``maps``: those of convolutions, ``branches`` of residual
blocks, ``blocks`` and ``embeddings`` of decoders), each with the key that takes it away where it is empty, and
``kinds`` of tasks. Where nothing is said, building the model tells. Decoders stay in their own modules: what they
import is needed by no other model.
"""

from reglab.models.cnn import CNN
from reglab.models.linear import Linear
from reglab.models.mlp import MLP
from reglab.models.residual_cnn import ResidualCNN

__all__ = ["CNN", "MLP", "Linear", "ResidualCNN"]
