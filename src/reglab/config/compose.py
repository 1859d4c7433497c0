"""One run's config from its overrides: composed by Hydra, or, in sweeps, edited from a composed one."""

import copy
import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from reglab.errors import ConfigError
from reglab.paths import CONF


@functools.lru_cache(maxsize=4096)
def parse(override: str) -> Override:
    """What Hydra's grammar reads in one override (parsing costs about a millisecond: remembered)."""
    return OverridesParser.create().parse_overrides([override])[0]


def compose(overrides: Sequence[str] = (), config_name: str = "train", folder: Path = CONF) -> DictConfig:
    """One run's config.

    Args:
        overrides: as on the command line, without sweeps.
        config_name: a file of `folder`, without its ending.
        folder: the config tree.

    Raises:
        ConfigError: one line that names the override, what is wrong with it and the remedy.
    """
    return Composer(config_name, folder).compose(overrides)


class Composer:
    """Composes many configs that differ little: once for each set of group choices (about 70 ms), edits for the rest.

    Args:
        config_name: a file of the config tree, without its ending.
        folder: the config tree.
        loader: Hydra's own, inside an app (it knows ``--config-dir``); `folder` is not used then.
    """

    def __init__(self, config_name: str = "train", folder: Path = CONF, loader: ConfigLoader | None = None) -> None:
        self._config_name = config_name
        self._folder = folder
        self._loader = loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def compose(self, overrides: Sequence[str] = ()) -> DictConfig:
        """The config of one job; equal to what Hydra composes, less its own section and without stray strengths."""
        with self._explained(overrides):
            cfg = self._edited(overrides)
        tidy(cfg, overrides)
        return cfg

    def raw(self, overrides: Sequence[str] = ()) -> DictConfig:
        """As Hydra composes it, with its own section and its own errors."""
        return self._with_hydra(overrides)

    def whole(self, overrides: Sequence[str] = ()) -> DictConfig:
        """As `raw`, with errors in one line."""
        with self._explained(overrides):
            return self._with_hydra(overrides)

    def strategy_names(self, overrides: Sequence[str] = ()) -> set[str]:
        """The regularizers that a job's group choices select; its strengths need not fit."""
        with self._explained(overrides):
            return selected(self._base([override for override in overrides if self._chooses(parse(override))]))

    @contextmanager
    def _explained(self, overrides: Sequence[str]) -> Iterator[None]:
        from reglab.config.explain import explain, is_config_error

        try:
            yield
        except Exception as error:
            if not is_config_error(error):
                raise
            raise ConfigError(explain(error, overrides, self._config_name, self._folder)) from error

    def _edited(self, overrides: Sequence[str]) -> DictConfig:
        parsed = [parse(override) for override in overrides if not override.lstrip("+~").startswith("hydra")]
        edits = [override for override in parsed if not self._chooses(override)]
        lines = [str(override.input_line) for override in parsed]
        if not all(_is_simple(override) for override in edits):
            return copy.deepcopy(self._base(lines))
        cfg = copy.deepcopy(self._base([str(override.input_line) for override in parsed if self._chooses(override)]))
        try:
            for override in edits:
                OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return self._full(lines)  # says it in Hydra's words, as a single run would
        return cfg

    def _chooses(self, override: Override) -> bool:
        return _is_simple(override) and override.key_or_group in self._groups

    @functools.cached_property
    def _groups(self) -> set[str]:
        if self._loader is not None:
            return set(self._loader.list_groups(""))
        return {path.name for path in self._folder.iterdir() if path.is_dir()}

    def _base(self, overrides: Sequence[str]) -> DictConfig:
        key = tuple(overrides)
        if key not in self._composed:
            self._composed[key] = self._full(overrides)
        return self._composed[key]

    def _full(self, overrides: Sequence[str]) -> DictConfig:
        cfg = self._with_hydra(overrides)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    def _with_hydra(self, overrides: Sequence[str]) -> DictConfig:
        if self._loader is not None:
            return self._loader.load_configuration(self._config_name, list(overrides), RunMode.RUN)
        with (
            _apart_from_app(),
            initialize_config_dir(str(self._folder), job_name=self._config_name, version_base="1.3"),
        ):
            return hydra_compose(self._config_name, overrides=list(overrides), return_hydra_config=True)


@contextmanager
def _apart_from_app() -> Iterator[None]:
    """Hydra composes nothing else while one of its apps runs, as it does where an error in a sweep is explained."""
    app = GlobalHydra.instance()
    running, app.hydra = app.hydra, None
    try:
        yield
    finally:
        app.hydra = running


def _is_simple(override: Override) -> bool:
    return override.type == OverrideType.CHANGE and override.package is None and not override.is_sweep_override()


def selected(cfg: DictConfig) -> set[str]:
    """Names of the regularizers that a config selects (a section without ``_target_`` only holds strengths)."""
    nodes = cfg.get("regularizer") or {}
    return {
        str(name)
        for name in nodes
        if not str(name).startswith("_") and OmegaConf.is_dict(nodes[name]) and "_target_" in nodes[name]
    }


def tidy(cfg: DictConfig, overrides: Sequence[str] = ()) -> None:
    """Takes out, in place, the strengths that an experiment file sets for a regularizer that was replaced.

    ``experiment=seed_l2 regularizer=none`` leaves a strength of l2 behind. One that the user typed stays: it is an
    error that `reglab.config.check` tells.
    """
    nodes = cfg.get("regularizer")
    if not OmegaConf.is_dict(nodes):
        return
    typed = {override.lstrip("+").split("=")[0].split(".")[1] for override in overrides if is_strength(override)}
    for name in [str(key) for key in nodes]:
        if not name.startswith("_") and name not in typed and name not in selected(cfg):
            with open_dict(nodes):
                del nodes[name]


def is_strength(override: str) -> bool:
    """Whether an override sets ``regularizer.<name>.<strength>``."""
    key = override.lstrip("+").split("=")[0]
    return key.startswith("regularizer.") and key.count(".") >= 2 and not key.startswith("regularizer._")
