"""Which strengths of a sweep mean which of its jobs."""

from collections.abc import Collection, Sequence

from reglab.config.compose import Composer
from reglab.config.selection import is_strength
from reglab.schema.errors import ConfigError
from reglab.schema.suggest import not_in_strategy


def fit_strengths(jobs: Sequence[Sequence[str]], composer: Composer, defaults: Collection[str] = ()) -> list[list[str]]:
    """The jobs of a sweep, each without the strengths of regularizers that its strategy does not hold.

    ``regularizer=none,dropout regularizer.dropout.p=.1,.3`` expands to four jobs and means three: `none` once, and two
    dropouts. Jobs that become equal are kept once, in the order of their first.

    Args:
        jobs: overrides of each job.
        composer: tells the strategy that group choices (or an experiment) select.
        defaults: keys that came from a config and not from the command line; these may be of no use to any job.

    Raises:
        ConfigError: a strength that no job can use.
    """
    names = [composer.strategy_names(job) for job in jobs]
    known = set().union(*names) if names else set()
    fitted: dict[tuple[str, ...], None] = {}
    for job, own in zip(jobs, names, strict=True):
        kept = []
        for override in job:
            name = _regularizer(override)
            if name is None or name in own:
                kept.append(override)
            elif name not in known and _key(override) not in defaults:
                raise ConfigError(not_in_strategy(override, "no strategy of this sweep holds it", name))
        fitted[tuple(kept)] = None
    return [list(job) for job in fitted]


def _key(override: str) -> str:
    return override.lstrip("+").split("=")[0]


def _regularizer(override: str) -> str | None:
    return _key(override).split(".")[1] if is_strength(override) else None
