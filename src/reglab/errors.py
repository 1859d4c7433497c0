"""What reglab raises where the user can do something about it."""


class ConfigError(ValueError):
    """A wrong setting: one line that names the key, what it got and what would do."""


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
