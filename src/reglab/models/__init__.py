"""Networks, one a file; each takes the input shape and the number of outputs from the data.

A class may say what a config can be checked with: ``dims``, how many dimensions its examples may have, and ``offers``,
what regularizers find in it (``activations`` between layers, ``maps``: those of convolutions, ``branches`` of residual
blocks, ``blocks`` of attention and feed-forward layers, ``embeddings`` of tokens), each with the key that takes it away
where it is empty, and ``kinds`` of tasks. One that reads sequences of different lengths, each as far as it goes, takes
``padded``. Where nothing is said, building the model tells. Decoders stay in their own modules: what they import is
needed by no other model.
"""

from reglab.models.cnn import CNN
from reglab.models.gru import GRU
from reglab.models.linear import Linear
from reglab.models.mlp import MLP
from reglab.models.residual_cnn import ResidualCNN
from reglab.models.resnet import ResNet
from reglab.models.transformer_encoder import TransformerEncoder

__all__ = ["CNN", "GRU", "MLP", "Linear", "ResNet", "ResidualCNN", "TransformerEncoder"]
