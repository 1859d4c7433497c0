"""Seconds that a run of a sweep spends in tracking, compared with its seconds of training.

All tracking calls of the training thread are timed: the search for a finished run, opening the run, config and
environment, metrics, tags, weights, and closing. The heartbeat, one call every 30 s in another thread, is not included.
"""

import functools
import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from reglab.config.compose import compose
from reglab.tracking.run import TrackedRun
from reglab.training import run

SWEPT = ("resume=true", "tracking.phase=sweep", "trainer.progress=false")
SHORT = 20  # epochs of the run that measures the time of an epoch


class Clock:
    """Total time within the watched functions; nested calls count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watch(self, owner: Any, name: str) -> None:
        """Replace a function or method of `owner` by a timed one."""
        setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def timed(*args: Any, **named: Any) -> Any:
            if self._inside:
                return call(*args, **named)
            self._inside, began = True, time.perf_counter()
            try:
                return call(*args, **named)
            finally:
                self.seconds += time.perf_counter() - began
                self._inside = False

        return timed


def main(seed: int, seconds: float, overrides: Sequence[str]) -> None:
    """Train three runs and print the seconds of the last one as JSON.

    The first run loads modules and data, the second measures the time of an epoch.

    Args:
        seed: of the first run, increased by one for each further run; the store must not contain these runs.
        seconds: approximate training time of the last run.
        overrides: of all runs.
    """
    clock = Clock()
    for owner, name in (
        (run, "open_store"),
        (run, "_reuse_or_open"),
        (run.run_record, "log_recipe"),
        (run.run_record, "log_weights"),
        (TrackedRun, "log_metrics"),
        (TrackedRun, "set_tags"),
        (TrackedRun, "__exit__"),
    ):
        clock.watch(owner, name)

    def train(number: int, epochs: int) -> dict[str, float]:
        line = [*overrides, f"trainer.max_epochs={epochs}", f"seed={seed + number}", *SWEPT]
        cfg = compose(line)
        clock.seconds, began = 0.0, time.perf_counter()
        train_s = run.run(cfg, line).metrics["time/train_s"]
        return {"tracking_s": clock.seconds, "train_s": train_s, "whole_s": time.perf_counter() - began}

    train(0, 1)
    epochs = max(1, round(SHORT * seconds / train(1, SHORT)["train_s"]))
    print(json.dumps(train(2, epochs)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
