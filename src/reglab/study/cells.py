"""The cells of a study, one for each task and strategy: what is searched there, and the run of each point."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from reglab.config.check import check, checked
from reglab.config.compose import Composer
from reglab.config.digest import content
from reglab.config.identity import config_hash, data_name
from reglab.config.identity import strategy as acting
from reglab.config.source import Unknown, declared
from reglab.execution.expand import Job
from reglab.paths import CONF
from reglab.schema.errors import ConfigError
from reglab.schema.search_space import Dimension, Values, parse_dimension
from reglab.schema.suggest import did_you_mean
from reglab.schema.text import format_value, quote_value
from reglab.study.answerable import check_metric
from reglab.study.definition import Study
from reglab.study.shared import told_as_shared


@dataclass(frozen=True)
class Cell:
    """One strategy on one task.

    Attributes:
        task: number of the task.
        about: the task in words: ``mnist1d cnn, label_noise 0.2``.
        strategy: as tagged, its regularizers in the order in which they act.
        overrides: what all its runs have in common.
        space: what is searched.
        epochs: of a whole run.
        content: of the task's file or folder, as a hash; None where its data have none.
    """

    task: int
    about: str
    strategy: str
    overrides: tuple[str, ...]
    space: tuple[Dimension, ...]
    epochs: int
    content: str | None = None
    # Progress is told anew after every round, and composing a run costs milliseconds.
    _made: dict[tuple[object, ...], Job] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def kind(self) -> str:
        """Data set and model: ``mnist1d cnn``."""
        return self.about.split(",")[0].split(" (")[0]

    def job(self, composer: Composer, values: Values, seed: int, label: str, epochs: int | None = None) -> Job:
        """The run of a point of the space; the same object when asked again.

        Args:
            composer: makes its config.
            values: by key.
            seed: of the run.
            label: what tells it from its siblings.
            epochs: fewer than a whole run's.

        Raises:
            ConfigError: the config is wrong.
        """
        line = [*self.overrides, *(f"{key}={quote_value(value)}" for key, value in values.items()), f"seed={seed}"]
        if epochs is not None:
            line.append(f"trainer.max_epochs={epochs}")
        asked = (composer, label, *line)
        if asked not in self._made:
            config = composer.compose(line)
            identity = config_hash(checked(config, line))
            self._made[asked] = Job(tuple(line), config, identity, f"{label} seed={seed}")
        return self._made[asked]


def cells(study: Study, composer: Composer, tracking: Sequence[str] = ()) -> list[Cell]:
    """All cells, task by task.

    Args:
        study: what is declared.
        composer: makes configs.
        tracking: overrides that say where runs are tracked.

    Raises:
        ConfigError: a task or strategy does not compose, or nothing can come of its space.
    """
    _known(study)
    found = []
    for number, task in enumerate(study.tasks):
        with told_as_shared(study, task):
            common = (*study.common, *task, *tracking)
            found += [_cell(study, composer, number, common, strategy) for strategy in study.strategies]
    return _told_apart(study, found)


def _cell(study: Study, composer: Composer, task: int, common: tuple[str, ...], strategy: str) -> Cell:
    names = strategy.split("+")
    chosen = f"regularizer={names[0] if len(names) == 1 else format_value(names)}"
    overrides = (*common, chosen)
    config = composer.compose(list(overrides))
    check(config, list(overrides))
    check_metric(study.metric, [config], "study.metric")
    check_metric(study.select_by[0], [config], "study.select_by")
    space = tuple(_space(study, config))
    for override in overrides:
        if (key := override.split("=")[0]) in {one.key for one in space}:
            raise ConfigError(override, "is searched", f"set study.space.{key}=null to give all trials that value")
    epochs, read = int(config.trainer.max_epochs), _content(config.data.get("path"))
    cell = Cell(task, _about(config), acting(config), overrides, space, epochs, read)
    for number in (0.0, 1 - 2**-32):  # both ends: what the keys themselves may not be
        cell.job(composer, {one.key: one.quantile_when_on(number) for one in space}, 0, strategy)
    return cell


def _content(path: str | None) -> str | None:
    """Return the content hash of a task's file or folder; None without one, or for a name in a cache."""
    return content(path)[:16] if path and Path(path).expanduser().exists() else None


def _space(study: Study, config: DictConfig) -> Iterator[Dimension]:
    told: dict[str, Any] = {}
    own = OmegaConf.to_container(config.regularizer, resolve=True)
    assert isinstance(own, dict)
    for name, strengths in (own.get("_space_") or {}).items():
        told |= {f"regularizer.{name}.{key}": spec for key, spec in (strengths or {}).items()}
    for key, spec in study.space.items():
        if not key.startswith("regularizer."):
            told = {key: spec, **told}
        elif key.split(".")[1] in own:
            merges = isinstance(spec, Mapping) and isinstance(told.get(key), Mapping) and "choices" not in spec
            told[key] = {**told[key], **spec} if merges else spec
    for key, spec in told.items():
        if spec is not None:
            off, whole = _declared(key, own)
            yield parse_dimension(key, spec, off=off, whole=whole)


def _declared(key: str, nodes: Mapping[Any, Any]) -> tuple[float | None, bool]:
    """The value that switches a strength off, None where no value of it alone does, and whether it is whole."""
    if not key.startswith("regularizer."):
        return None, False
    _, name, strength = key.split(".", 2)
    try:
        off, switch, whole = (declared(str(nodes[name]["_target_"]), what) for what in ("off", "switch", "whole"))
    except Unknown:
        return None, False
    return (off.get(strength) if not switch or strength in switch else None), strength in whole


def _about(config: DictConfig) -> str:
    """``mnist1d cnn, label_noise 0.2``."""
    used = [f"{key} {config.data[key]}" for key in ("train_size", "label_noise") if config.data.get(key)]
    used += [f"{key} {config.data[key]}" for key in ("test_fold", "val_fold") if config.data.get(key) is not None]
    return ", ".join([f"{data_name(config)} {config.model.name}", *used])


def _told_apart(study: Study, found: Sequence[Cell]) -> list[Cell]:
    """Tasks that read alike are told by their overrides as well."""
    names = {cell.task: cell.about for cell in found}
    alike = {name for name in names.values() if list(names.values()).count(name) > 1}
    return [replace(c, about=f"{c.about} ({', '.join(study.tasks[c.task])})") if c.about in alike else c for c in found]


def _known(study: Study) -> None:
    """Refuse a range of a regularizer that does not exist; one that no strategy has is allowed."""
    names = [path.stem for path in (CONF / "regularizer").glob("*.yaml")]
    for key in study.space:
        if key.startswith("regularizer.") and (name := key.split(".")[1]) not in names:
            raise ConfigError(f"study.space.{key}", f"no regularizer {name}{did_you_mean(name, names)}")
