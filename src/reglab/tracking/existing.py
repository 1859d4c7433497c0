"""A store that is there already: what only reads makes none."""

from reglab.schema.errors import ConfigError, Setting
from reglab.schema.suggest import did_you_mean
from reglab.tracking.store import NothingTracked, Store, connected, open_store
from reglab.tracking.uri import check, resolve, unusable

START = 'make one: make sweep ARGS="regularizer=none,dropout seed=0,1,2"'


def existing(uri: str | None, experiment: str, *, writes: bool = False) -> Store:
    """The store at `uri`, which must hold the experiment.

    Args:
        uri: as the user gave it.
        experiment: its experiment.
        writes: it is to be written; without, a read-only store will do, and is opened as such.

    Raises:
        ConfigError: nothing was tracked there, or no such experiment.
    """
    place = resolve(uri, writes=False)
    if place.database is not None and not place.database.exists():
        raise place.error(f"nothing was tracked there yet; {START}")
    client = connected(place)
    if client.get_experiment_by_name(experiment) is None:
        names = [found.name for found in client.search_experiments() if found.name != "Default"]
        near = did_you_mean(experiment, names) or (f" (it has {', '.join(names[:8])})" if names else f"; {START}")
        raise ConfigError(Setting("tracking.experiment", experiment), f"no such experiment{near}")
    return open_store(uri, experiment, writes=writes or unusable(uri) is None)


def present(uri: str | None, experiment: str) -> Store | None:
    """The store at `uri` for reading; None where nothing was tracked there yet, not even the experiment.

    Raises:
        ConfigError: it cannot be read.
    """
    place = resolve(uri, writes=False)
    if place.database is not None and not place.database.exists():
        check(place)  # a study would make it here
        return None
    try:
        found = connected(place).get_experiment_by_name(experiment)
    except NothingTracked:
        return None
    return open_store(uri, experiment, writes=False) if found is not None else None
