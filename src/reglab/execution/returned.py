"""What comes back from a worker process: so little that a pipe takes it whole or not at all.

A result goes through a pipe to the process that launched. Up to `select.PIPE_BUF` bytes (4,096 on Linux) are written at
once; of more, a worker that is killed in the midst of it leaves a part, and joblib's pool waits for the rest for ever.
"""

from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from hydra.types import HydraContext


class OutcomeOnly(Callback):
    """Keep only the status and the return value of each of Hydra's job results, not its configs."""

    def on_job_end(self, config: Any, job_return: JobReturn, **kwargs: Any) -> None:
        """Called in the worker."""
        job_return.cfg = job_return.hydra_cfg = job_return.overrides = None


def returning_little(context: HydraContext) -> HydraContext:
    """The same context, with `OutcomeOnly` called after all other callbacks."""
    callbacks = Callbacks()
    callbacks.callbacks = [OutcomeOnly(), *context.callbacks.callbacks]  # at a job's end the last is called first
    return HydraContext(context.config_loader, callbacks)
