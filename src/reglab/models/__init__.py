"""Networks, one per file. Constructors take the input shape and the number of outputs from the data.

Class variables that are used to check a config before the model is built, all optional:

- ``input_dims``: supported numbers of dimensions of one example.
- ``requires_task``: required features of the task, constants of `reglab.schema.task_kinds`.
- ``provides``: features on which regularizers act (``activations`` between layers, ``maps`` of convolutions,
  ``branches`` of residual blocks, ``blocks`` of attention and feed-forward layers, ``embeddings`` of tokens), each with
  the key of the config that removes the feature if its value is empty or 0.
- ``stochastic``: whether training passes may draw random numbers.
- ``constraints``: constraints on the keys of the config.

A constructor that takes ``padded`` supports sequences of different lengths. Decoders are not imported here, because
they import the transformers library.
"""

from reglab.models.cnn import CNN
from reglab.models.gru import GRU
from reglab.models.linear import Linear
from reglab.models.mlp import MLP
from reglab.models.residual_cnn import ResidualCNN
from reglab.models.resnet import ResNet
from reglab.models.transformer_encoder import TransformerEncoder

__all__ = ["CNN", "GRU", "MLP", "Linear", "ResNet", "ResidualCNN", "TransformerEncoder"]
