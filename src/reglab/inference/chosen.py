"""A run's config with some of its regularizers alone: those that a question is about."""

from collections.abc import Callable

from omegaconf import DictConfig, OmegaConf

from reglab.regularizers.base import Regularizer, known


def only(cfg: DictConfig, wanted: Callable[[type[Regularizer]], bool]) -> DictConfig:
    """A copy of the config with the wanted ones of its regularizers."""
    some = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(some, DictConfig)
    methods = known()
    names = [name for name in some.regularizer if name in methods and wanted(methods[str(name)])]
    some.regularizer = OmegaConf.masked_copy(some.regularizer, names)
    return some
