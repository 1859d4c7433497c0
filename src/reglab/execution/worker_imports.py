"""Everything that a worker process imports: the server that forks workers imports it once."""

from reglab.garbage import import_libraries

import_libraries(
    "hydra_plugins.hydra_joblib_launcher._core",
    "joblib.externals.loky.process_executor",
    "reglab.execution.attempt",
    "reglab.tracking.store",
    "reglab.training.run",
)
