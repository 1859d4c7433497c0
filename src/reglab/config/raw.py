"""A config as Hydra composes it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import DictConfig

from reglab.paths import CONF


def raw(
    overrides: Sequence[str] = (), config_name: str = "train", folder: Path = CONF, loader: ConfigLoader | None = None
) -> DictConfig:
    """One run's config, with Hydra's own section, and Hydra's own errors.

    Args:
        overrides: as on the command line, without sweeps.
        config_name: a file of the config tree, without its ending.
        folder: the config tree.
        loader: Hydra's own, inside an app (it knows ``--config-dir``); `folder` is not used then.
    """
    if loader is not None:
        return loader.load_configuration(config_name, list(overrides), RunMode.RUN)
    with _apart_from_app(), initialize_config_dir(str(folder), job_name=config_name, version_base="1.3"):
        return compose(config_name, overrides=list(overrides), return_hydra_config=True)


@contextmanager
def _apart_from_app() -> Iterator[None]:
    """Hydra composes nothing else while one of its apps runs, as it does where an error in a sweep is explained."""
    app = GlobalHydra.instance()
    running, app.hydra = app.hydra, None
    try:
        yield
    finally:
        app.hydra = running
