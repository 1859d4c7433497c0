"""What a study shares among its runs (`study.common`): told before they train, and where it does not fit a task."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from reglab.schema.errors import ConfigError
from reglab.study.definition import Study


def held_fixed(study: Study) -> tuple[str, ...]:
    """The overrides of `study.common`, without those that every task replaces."""
    replaced = set.intersection(*(_keys(task) for task in study.tasks))
    return tuple(override for override in study.common if override.partition("=")[0] not in replaced)


@contextmanager
def told_as_shared(study: Study, task: Sequence[str]) -> Iterator[None]:
    """Names `study.common` in an error about what it holds: whoever gave a bundled study a task has not typed it.

    Args:
        study: that holds the task.
        task: overrides of the task, which replace shared ones.

    Raises:
        ConfigError: as it comes from the block, with the key's place, and how to take out what this task cannot have.
    """
    try:
        yield
    except ConfigError as error:
        text = str(error)
        key = text.partition("=")[0]
        if key not in _keys(study.common) - _keys(task) and text.partition(": ")[0] not in study.common:
            raise
        remedy = f"; take it out by ~study.common.{key}" if "not a key of this" in text else ""
        raise ConfigError(f"study.common.{text}{remedy}") from error


def _keys(overrides: Sequence[str]) -> set[str]:
    return {override.partition("=")[0] for override in overrides}
