"""Networks, one a file; each takes the input shape and the number of outputs from the data."""

from reglab.models.cnn import CNN
from reglab.models.linear import Linear
from reglab.models.mlp import MLP
from reglab.models.residual_cnn import ResidualCNN

__all__ = ["CNN", "MLP", "Linear", "ResidualCNN"]
