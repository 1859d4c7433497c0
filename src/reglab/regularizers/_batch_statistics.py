"""Running statistics of batch normalization, which count one pass a step however many a method makes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase


def batch_norms(model: nn.Module) -> list[_NormBase]:
    """The normalizations that have running statistics, or could have."""
    return [module for module in model.modules() if isinstance(module, _NormBase)]


@contextmanager
def kept_statistics(norms: Iterable[_NormBase]) -> Iterator[None]:
    """Training passes in here normalize by the batch as ever and leave running statistics and counts as they are."""
    tracking = [norm for norm in norms if norm.training and norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
