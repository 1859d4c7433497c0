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


def main(seed: int, overrides: Sequence[str]) -> None:
    """Trains twice, for the first run pays for what is loaded once; prints the second run's seconds as JSON.

    Args:
        seed: of the first; the second has the next one. The store must not hold these runs.
        overrides: of both.
    """
    clock = Clock()
    for owner, name in (
        (run, "open_store"),
        (run, "_claimed"),
        (run.files, "log_recipe"),
        (run.files, "log_weights"),
        (TrackedRun, "log_metrics"),
        (TrackedRun, "set_tags"),
        (TrackedRun, "__exit__"),
    ):
        clock.watch(owner, name)
    for number, short in ((seed, ["trainer.max_epochs=1"]), (seed + 1, [])):
        line = [*overrides, *short, f"seed={number}", "resume=true", "tracking.phase=sweep", "trainer.progress=false"]
        cfg = compose(line)
        clock.seconds, began = 0.0, time.perf_counter()
        result = run.run(cfg, line)
        whole = time.perf_counter() - began
    print(
        json.dumps({"tracking_s": clock.seconds, "train_s": result.metrics["time/train_s"], "whole_s": whole}),
        flush=True,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
