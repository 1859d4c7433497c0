"""Regularizers, one a file: a pure function, then a thin class that hangs it on the steps of training."""

from reglab.regularizers.base import Regularizer, Step, penalized
from reglab.regularizers.dropout import Dropout
from reglab.regularizers.elastic_net import ElasticNet
from reglab.regularizers.l1 import L1
from reglab.regularizers.l2 import L2
from reglab.regularizers.label_smoothing import LabelSmoothing
from reglab.regularizers.max_norm import MaxNorm
from reglab.regularizers.order import in_order
from reglab.regularizers.weight_decay import WeightDecay

__all__ = [
    "L1",
    "L2",
    "Dropout",
    "ElasticNet",
    "LabelSmoothing",
    "MaxNorm",
    "Regularizer",
    "Step",
    "WeightDecay",
    "in_order",
    "penalized",
]
