"""Everything that a worker process imports: the server that forks workers imports it once."""

import gc

from reglab.garbage import paused_gc

with paused_gc():
    import reglab.execution.attempt
    import reglab.tracking.store
    import reglab.training.run  # noqa: F401

gc.freeze()  # forks share the memory of objects that the collector does not visit
