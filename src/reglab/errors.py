"""What reglab raises where the user can do something about it."""

import errno
import re
import unicodedata

_LONGEST_WORD, _LONGEST_LINE = 400, 2000
_BIDI = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))  # they turn the order of a line around


def is_printable(text: str) -> bool:
    """Whether no character of a text is a control character, half of a pair, or turns the direction of a line."""
    return not any(_is_control(character) for character in text)


def one_line(text: str) -> str:
    """Return a text as one printable line: control characters escaped, long words and lines cut."""
    escaped = "".join(repr(c)[1:-1] if _is_control(c) else c for c in text)
    short = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda found: f"{found[0][:200]}...{found[0][-100:]}", escaped)
    half = _LONGEST_LINE // 2
    return short if len(short) <= _LONGEST_LINE else f"{short[:half]} ... {short[-half:]}"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI


class ConfigError(ValueError):
    """A wrong setting: one line that names the key, what it got and what would do.

    Args:
        problems: a line each; control characters are escaped, and long values shortened.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(map(one_line, map(str, problems))))


class Changed(ConfigError):
    """Data, code or a config is another than it was when the run was planned."""

    def __init__(self) -> None:
        super().__init__("data, code or a config has changed since the run was planned; start again, and leave them be")


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
        remedy = "try a smaller optimizer.lr"
        if step == 0:  # no rate has acted yet
            remedy = (
                "the weights are still the initial ones, so check inputs and targets for infinite, missing and very "
                "large numbers, and the network for a division by 0 or the log of 0"
            )
        super().__init__(f"the training loss is not finite at step {step}: {remedy}")
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
        # torch has an exception class for GPUs; its allocator for CPUs raises a plain RuntimeError.
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if type(error) is RuntimeError and "DefaultCPUAllocator" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
