"""Cost of the effect guard, which tests before training that each method acts, relative to a training step."""

import statistics
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir

from benchmarks import steps
from reglab.paths import CONF
from reglab.training import build, effect_guard
from reglab.training.fit import Fit

METHODS = {  # methods that act on the loss, on the weights after the step, and through a second pass
    steps.SMALL: ["dropout", "l2", "max_norm", "sam"],
    steps.IMAGES: ["dropout", "l2", "max_norm", "sam"],
    steps.DECODER: ["residual_dropout", "l2", "max_norm", "sam"],
}
ROWS = {
    steps.SMALL: 8,
    steps.IMAGES: 8,
    steps.DECODER: 2,
}  # the numbers that `effect_guard.check_effects_on_data` takes


def measure(rounds: int, device: torch.device, print_progress: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """Return median milliseconds of the guard by network and method; ``step`` is a bare step on a whole batch."""
    costs: dict[str, dict[str, float]] = {}
    for net, methods in METHODS.items():
        costs[net.name] = {"step": 1000 * statistics.median(steps.bare(net, device) for _ in range(min(rounds, 3)))}
        batch = net.batch_of(torch.Generator().manual_seed(0))
        for name in methods:
            with initialize_config_dir(str(CONF), version_base="1.3"):
                cfg = compose("train", [f"regularizer={name}"])
            model = net.model().to(device)
            regularizers = build.build_regularizers(cfg, model, net.kind, net.shape)
            step = effect_guard.first_step(Fit(model, net.task(), regularizers), batch, ROWS[net])
            effect_guard.check_effects(step)
            seconds = []
            for _ in range(rounds):
                start = time.perf_counter()
                effect_guard.check_effects(step)
                seconds.append(time.perf_counter() - start)
            costs[net.name][name] = 1000 * statistics.median(seconds)
        print_progress(f"  effect guard, {net.name} net")
    return costs
