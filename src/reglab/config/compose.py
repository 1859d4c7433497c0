"""Compose the config of a run from its overrides: by Hydra or, in sweeps, by edits of a composed config."""

import functools
import pickle
from collections.abc import Collection, Iterator, Sequence
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

from reglab.config.hydra_errors import is_config_error, translate
from reglab.config.selection import regularizer_of, remove_stray_strengths, selected_regularizers
from reglab.paths import CONF
from reglab.schema.errors import Setting
from reglab.schema.suggest import not_in_strategy_error


@functools.lru_cache(maxsize=4096)
def parse(override: str) -> Override:
    """Return one override as Hydra's grammar reads it; cached, because parsing takes about a millisecond."""
    return OverridesParser.create().parse_overrides([override])[0]


def compose(overrides: Sequence[str] = (), config_name: str = "train", folder: Path = CONF) -> DictConfig:
    """Return the config of a run.

    Args:
        overrides: overrides as on the command line, without sweeps.
        config_name: a file of `folder`, without its ending.
        folder: the config tree.

    Raises:
        ConfigError: one line that names the override, what is wrong with it and the remedy.
    """
    return Composer(config_name, folder).compose(overrides)


class Composer:
    """Compose many similar configs: by Hydra once per set of group choices (about 70 ms), and by edits for other keys.

    Args:
        config_name: a file of the config tree, without its ending.
        folder: the config tree.
        loader: Hydra's config loader, inside an app; it reads ``--config-dir`` and is used in place of `folder`.
    """

    def __init__(self, config_name: str = "train", folder: Path = CONF, loader: ConfigLoader | None = None) -> None:
        self._config_name = config_name
        self._folder = folder
        self._loader = loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}
        self._dumped: dict[tuple[str, ...], bytes] = {}

    def compose(self, overrides: Sequence[str] = ()) -> DictConfig:
        """Return the composed config of one job, without Hydra's section and strengths of unused regularizers."""
        with self._translated_errors(overrides):
            cfg = self._edited(overrides)
        remove_stray_strengths(cfg, overrides)
        return cfg

    def whole(self, overrides: Sequence[str] = ()) -> DictConfig:
        """Return the config with Hydra's section."""
        with self._translated_errors(overrides):
            return self._with_hydra(overrides)

    def strategy_names(self, overrides: Sequence[str] = ()) -> set[str]:
        """Return the regularizers that a job's group choices select; its strengths need not fit."""
        with self._translated_errors(overrides):
            return selected_regularizers(
                self._composed_once([override for override in overrides if self._is_group_choice(parse(override))])
            )

    @contextmanager
    def _translated_errors(self, overrides: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_config_error(error):
                raise
            raise translate(error, overrides, self._config_name, self._folder, self._composed_by_hydra) from error

    def _edited(self, overrides: Sequence[str]) -> DictConfig:
        """Return the config of the group choices with the other overrides applied to a copy, if they are simple."""
        parsed = [parse(override) for override in overrides if not override.lstrip("+~").startswith("hydra")]
        edits = [override for override in parsed if not self._is_group_choice(override)]
        lines = [str(override.input_line) for override in parsed]
        if not all(_is_simple(override) for override in edits):
            return self._copy(lines)
        cfg = self._copy([str(override.input_line) for override in parsed if self._is_group_choice(override)])
        try:
            for override in edits:
                OmegaConf.update(cfg, override.key_or_group, override.value(), merge=True)
        except OmegaConfBaseException:
            return self._without_hydra(lines)  # Hydra raises the error of a single run
        return cfg

    def _is_group_choice(self, override: Override) -> bool:
        return _is_simple(override) and override.key_or_group in self._groups

    @functools.cached_property
    def _groups(self) -> set[str]:
        if self._loader is not None:
            return set(self._loader.list_groups(""))
        return {path.name for path in self._folder.iterdir() if path.is_dir()}

    def _composed_once(self, overrides: Sequence[str]) -> DictConfig:
        """Return Hydra's config of these overrides, which must not be changed: it is kept for other jobs."""
        key = tuple(overrides)
        if key not in self._composed:
            self._composed[key] = self._without_hydra(overrides)
        return self._composed[key]

    def _copy(self, overrides: Sequence[str]) -> DictConfig:
        """Return a copy of the config by pickling, which takes an eighth of the time of `copy.deepcopy`."""
        key = tuple(overrides)
        if key not in self._dumped:
            self._dumped[key] = pickle.dumps(self._composed_once(overrides), protocol=pickle.HIGHEST_PROTOCOL)
        cfg = pickle.loads(self._dumped[key])
        assert isinstance(cfg, DictConfig)
        return cfg

    def _without_hydra(self, overrides: Sequence[str]) -> DictConfig:
        cfg = self._with_hydra(overrides)
        with open_dict(cfg):
            del cfg["hydra"]
        return cfg

    def _with_hydra(self, overrides: Sequence[str]) -> DictConfig:
        return composed_by_hydra(overrides, self._config_name, self._folder, self._loader)

    def _composed_by_hydra(self, overrides: Sequence[str]) -> DictConfig:
        return composed_by_hydra(overrides, self._config_name, self._folder)


def _is_simple(override: Override) -> bool:
    return override.type == OverrideType.CHANGE and override.package is None and not override.is_sweep_override()


def composed_by_hydra(
    overrides: Sequence[str] = (), config_name: str = "train", folder: Path = CONF, loader: ConfigLoader | None = None
) -> DictConfig:
    """Compose one run's config, with Hydra's section and Hydra's errors.

    Args:
        overrides: overrides as on the command line, without sweeps.
        config_name: a file of the config tree, without its ending.
        folder: the config tree.
        loader: Hydra's config loader, inside an app; it reads ``--config-dir`` and is used in place of `folder`.
    """
    if loader is not None:
        return loader.load_configuration(config_name, list(overrides), RunMode.RUN)
    with _outside_app(), initialize_config_dir(str(folder), job_name=config_name, version_base="1.3"):
        return hydra_compose(config_name, overrides=list(overrides), return_hydra_config=True)


@contextmanager
def _outside_app() -> Iterator[None]:
    """Let Hydra compose another config while one of its apps runs."""
    app = GlobalHydra.instance()
    running, app.hydra = app.hydra, None
    try:
        yield
    finally:
        app.hydra = running


def fit_strengths(jobs: Sequence[Sequence[str]], composer: Composer, defaults: Collection[str] = ()) -> list[list[str]]:
    """Return the jobs of a sweep, each without the strengths of regularizers that its strategy does not have.

    ``regularizer=none,dropout regularizer.dropout.p=.1,.3`` expands to four jobs, of which three differ: `none` and two
    of dropout. Jobs that become equal are kept once, at the place of the first.

    Args:
        jobs: overrides of each job.
        composer: finds the strategy that group choices (or an experiment) select.
        defaults: keys that came from a config and not from the command line; these need not fit any job.

    Raises:
        ConfigError: a strength that no job can use.
    """
    names = [composer.strategy_names(job) for job in jobs]
    known = set().union(*names) if names else set()
    fitted: dict[tuple[str, ...], None] = {}
    for job, names_of_job in zip(jobs, names, strict=True):
        kept = []
        for override in job:
            name = regularizer_of(override)
            if name is None or name in names_of_job:
                kept.append(override)
            elif name not in known and override.lstrip("+").split("=")[0] not in defaults:
                raise not_in_strategy_error(Setting.of(override), "no strategy of this sweep has it", name)
        fitted[tuple(kept)] = None
    return [list(job) for job in fitted]
