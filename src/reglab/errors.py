"""What reglab raises where the user can do something about it."""

import errno


class ConfigError(ValueError):
    """A wrong setting: one line that names the key, what it got and what would do."""


class StoreLost(ConfigError):
    """The tracking store went away while runs were under way: what they found cannot be kept.

    Args:
        problem: what is wrong with it, and the remedy.
    """

    def __init__(self, problem: object) -> None:
        super().__init__(f"{problem} (the same command then does what is not finished)")
        self.problem = str(problem)

    def __reduce__(self) -> tuple[type["StoreLost"], tuple[str]]:
        return (StoreLost, (self.problem,))


class InProgress(ConfigError):
    """With resume=true: another process is training this very config.

    Args:
        by: the id of its run.
    """

    def __init__(self, by: str) -> None:
        super().__init__(f"resume=true: run {by} of another process is training this config; wait, or say resume=false")
        self.by = by

    def __reduce__(self) -> tuple[type["InProgress"], tuple[str]]:
        return (InProgress, (self.by,))


class Diverged(RuntimeError):
    """The training loss stopped being finite.

    Args:
        step: the optimizer step (from 0) whose loss was not finite.
    """

    def __init__(self, step: int) -> None:
        super().__init__(f"the training loss is not finite at step {step}: try a smaller optimizer.lr")
        self.step = step

    def __reduce__(self) -> tuple[type["Diverged"], tuple[int]]:
        return (Diverged, (self.step,))  # the default would rebuild it from its message


class WorkersDied(ConfigError):
    """Worker processes ended again and again before they had opened a run.

    Args:
        reason: the launcher's own line on the last of them.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"workers: a worker process died {reason} before its first run, and so did those started in its place; "
            "check the machine's memory and limits, or use workers=1"
        )


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether the error, or one that it was raised from, is a lack of memory, on the CPU or on a GPU."""
    while error is not None:
        # torch has a class of its own for GPUs; its allocator for CPUs raises a plain RuntimeError.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if type(error) is RuntimeError and "DefaultCPUAllocator" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
