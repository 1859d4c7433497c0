"""Seconds that a run spends in tracking, against its seconds of training: a real run, as a sweep trains it.

Counted is every call into the tracker and into what is written for it: looking for the identity and opening the run,
config and environment, metrics and tags, weights, closing. They are timed from outside, in the thread that trains,
where they hold it up. The heartbeat has a thread of its own and is not counted: one call every 30 s.
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
SHORT = 20  # epochs of the run that tells how long one takes


class Clock:
    """Adds up the time within functions; of calls inside one another the outer one counts."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._inside = False

    def watch(self, owner: Any, name: str) -> None:
        """Times a function or method from now on."""
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
    """Trains three times and prints the last run's seconds as JSON.

    The first run pays for what is loaded once, the second tells how long an epoch takes here.

    Args:
        seed: of the first; the others have the next ones. The store must not hold these runs.
        seconds: that the last one trains for, about.
        overrides: of all.
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

    def trained(number: int, epochs: int) -> dict[str, float]:
        line = [*overrides, f"trainer.max_epochs={epochs}", f"seed={seed + number}", *SWEPT]
        cfg = compose(line)
        clock.seconds, began = 0.0, time.perf_counter()
        train_s = run.run(cfg, line).metrics["time/train_s"]
        return {"tracking_s": clock.seconds, "train_s": train_s, "whole_s": time.perf_counter() - began}

    trained(0, 1)
    epochs = max(1, round(SHORT * seconds / trained(1, SHORT)["train_s"]))
    print(json.dumps(trained(2, epochs)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
