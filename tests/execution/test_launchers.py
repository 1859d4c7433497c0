"""What workers send back fits into one write to a pipe, so that one that is killed cannot leave half of it."""

import os
import pickle
import select
from pathlib import Path

import pytest

from reglab.config.compose import Composer
from reglab.config.identity import config_hash
from reglab.execution.attempt import Outcome, WorkerTask
from reglab.execution.launchers import Launch
from tests.execution.sweeps import children, composed, output_overrides

RUN = ["data=digits", "model=residual_cnn", "trainer.max_epochs=1", "data.train_size=50", "tracking.weights=none"]
HALF = 2048  # the other half is for what joblib puts around it


@pytest.mark.slow
@pytest.mark.usefixtures("store_uri")
def test_a_result_of_many_metrics_is_small(tmp_path: Path) -> None:
    with composed([*RUN, *output_overrides(tmp_path)]) as (config, context):
        launch = Launch(context, config, workers=1)  # joblib hands back the same from here as from a worker
        jobs = [[*RUN, *output_overrides(tmp_path), "metric=test/loss", f"seed={seed}"] for seed in (0, 1)]
        hashes = [config_hash(Composer().compose(job)) for job in jobs]
        known = {identity: (0, "run", tuple(job)) for identity, job in zip(hashes, jobs, strict=True)}
        results = launch.launch(WorkerTask(known, 2, os.getpid(), "test/loss", False), jobs)
    tracked = {run.run_id: run.metrics for run in children(tmp_path)}
    assert len(tracked) == 2
    for job, identity in zip(results, hashes, strict=True):
        outcome = job.return_value
        assert isinstance(outcome, Outcome)
        assert outcome.error is None
        assert outcome.config_hash == identity
        assert outcome.metrics == {name: tracked[outcome.run_id or ""][name] for name in ("test/loss", "time/train_s")}
        assert len(pickle.dumps(tracked[outcome.run_id or ""])) > 1000
        assert len(pickle.dumps(job)) < HALF < select.PIPE_BUF
