"""Errors that the user can fix."""

import errno
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from reglab.schema.text import format_value, one_line

_NO_VALUE = object()  # value of an override that has none, such as ~data.path


class Setting(NamedTuple):
    """A key with the value that it was given.

    >>> str(Setting("trainer.max_epochs", None))
    'trainer.max_epochs=null'
    """

    key: str
    value: object

    @classmethod
    def of(cls, override: str) -> "Setting":
        """Return the key and the text of the value of an override, as typed.

        >>> Setting.of("data.path=a=b.csv")
        Setting(key='data.path', value='a=b.csv')
        """
        key, equals, value = override.partition("=")
        return cls(key, value if equals else _NO_VALUE)

    def __str__(self) -> str:
        return self.key if self.value is _NO_VALUE else f"{self.key}={format_value(self.value)}"


class ConfigError(ValueError):
    """A setting that cannot be used: the setting, the problem and the remedy.

    Args:
        where: the setting, or the key alone if the value does not matter; empty if no key is to blame.
        problem: what is wrong, without the key and the value.
        remedy: what to do instead; empty if the problem already shows it.

    Example:
        >>> error = ConfigError(Setting("seed", -1), "must be at least 0", "leave it out")
        >>> str(error)
        'seed=-1: must be at least 0; leave it out'
        >>> error.key, error.value
        ('seed', -1)
    """

    def __init__(self, where: Setting | str, problem: object = "", remedy: str = "") -> None:
        super().__init__(where, problem, remedy)  # pickle recreates the error from these arguments
        self.where = where
        self.problem = str(problem)
        self.remedy = remedy

    @property
    def key(self) -> str:
        """The key, with its sections: ``data.path``."""
        return (self.where.key if isinstance(self.where, Setting) else self.where).lstrip("+~")

    @property
    def value(self) -> object:
        """The value; None if the error is not about one."""
        return self.where.value if isinstance(self.where, Setting) else None

    def with_remedy(self, remedy: str) -> "ConfigError":
        """Return the same error with one more remedy."""
        return ConfigError(self.where, self.problem, "; ".join(filter(None, (self.remedy, remedy))))

    def with_note(self, note: str) -> "ConfigError":
        """Return the same error with a note in parentheses at its end."""
        if self.remedy:
            return ConfigError(self.where, self.problem, f"{self.remedy} ({note})")
        return ConfigError(self.where, f"{self.problem} ({note})")

    def in_section(self, section: str) -> "ConfigError":
        """Return the same error for the key in another section.

        >>> str(ConfigError(Setting("data.train_size", 0), "must be at least 1").in_section("study.common"))
        'study.common.data.train_size=0: must be at least 1'
        """
        key = f"{section}.{self.key}"
        where = Setting(key, self.where.value) if isinstance(self.where, Setting) else key
        return ConfigError(where, self.problem, self.remedy)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values, for another process."""
        where = [self.key, format_value(self.value)] if isinstance(self.where, Setting) else [self.where]
        return {"where": where, "problem": self.problem, "remedy": self.remedy}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "ConfigError":
        """Return the error whose `to_json` gave these fields."""
        where = fields["where"]
        return ConfigError(Setting(*where) if len(where) == 2 else where[0], fields["problem"], fields["remedy"])

    def __str__(self) -> str:
        problem = "; ".join(filter(None, (self.problem, self.remedy)))
        return one_line(": ".join(filter(None, (str(self.where), problem))))


class ConfigErrors(ConfigError):
    """Several settings that cannot be used, a line each.

    Args:
        errors: at least one.
    """

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__(errors[0].where, errors[0].problem, errors[0].remedy)
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))

    def __reduce__(self) -> tuple[type["ConfigErrors"], tuple[Sequence[ConfigError]]]:
        return (ConfigErrors, (self.errors,))


class PlanOutdated(ConfigError):
    """Data, code or a config has changed since the run was planned."""

    def __init__(self) -> None:
        super().__init__(
            "", "data, code or a config has changed since the run was planned", "start again without changing them"
        )

    def __reduce__(self) -> tuple[type["PlanOutdated"], tuple[()]]:
        return (PlanOutdated, ())


class StoreLost(ConfigError):
    """The tracking store became unavailable while runs were in progress: their results cannot be stored.

    Args:
        cause: the error of the store, or its message.
    """

    def __init__(self, cause: object) -> None:
        super().__init__("", f"{cause} (the same command then resumes unfinished runs)")
        self.cause = str(cause)

    def __reduce__(self) -> tuple[type["StoreLost"], tuple[str]]:
        return (StoreLost, (self.cause,))


class InProgress(ConfigError):
    """With resume=true: another process is training this config.

    Args:
        by: the id of its run.
    """

    def __init__(self, by: str) -> None:
        super().__init__(
            Setting("resume", True), f"run {by} of another process is training this config", "wait, or set resume=false"
        )
        self.by = by

    def __reduce__(self) -> tuple[type["InProgress"], tuple[str]]:
        return (InProgress, (self.by,))


class Diverged(RuntimeError):
    """The training loss stopped being finite.

    Args:
        step: the optimizer step (from 0) whose loss was not finite.
    """

    def __init__(self, step: int) -> None:
        remedy = "try a smaller optimizer.lr"
        if step == 0:  # before the first update, so not because of the learning rate
            remedy = (
                "the weights are still the initial ones, so check inputs and targets for infinite, missing and very "
                "large numbers, and the network for a division by 0 or the log of 0"
            )
        super().__init__(f"the training loss is not finite at step {step}: {remedy}")
        self.step = step

    def __reduce__(self) -> tuple[type["Diverged"], tuple[int]]:
        return (Diverged, (self.step,))  # the default would rebuild it from its message


class WorkersDied(ConfigError):
    """Worker processes repeatedly ended before they had opened a run.

    Args:
        reason: message of the launcher about the last of them.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            "workers",
            f"a worker process died {reason} before its first run, and so did those started in its place",
            "check the machine's memory and limits, or use workers=1",
        )
        self.reason = reason

    def __reduce__(self) -> tuple[type["WorkersDied"], tuple[str]]:
        return (WorkersDied, (self.reason,))


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether the error, or one that it was raised from, is an out-of-memory error, on the CPU or on a GPU."""
    while error is not None:
        # torch has an exception class for GPUs; its allocator for CPUs raises a plain RuntimeError.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if type(error) is RuntimeError and "DefaultCPUAllocator" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
