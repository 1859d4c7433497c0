"""The cost of the effect guard: measuring before training that each method acts, against one step of training."""

import statistics
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir

from benchmarks import steps
from reglab.paths import CONF
from reglab.training import build, effect_guard
from reglab.training.fit import Fit

METHODS = {  # one each that shows in the loss, in the weights after the step and in a second pass
    steps.SMALL: ["dropout", "l2", "max_norm", "sam"],
    steps.IMAGES: ["dropout", "l2", "max_norm", "sam"],
    steps.DECODER: ["residual_dropout", "l2", "max_norm", "sam"],
}
ROWS = {steps.SMALL: 8, steps.IMAGES: 8, steps.DECODER: 2}  # as `effect_guard.check_effects_on_data` takes them


def measure(rounds: int, device: torch.device, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """By network and method the milliseconds of the guard, medians; ``step``: those of a bare step on a whole batch."""
    found: dict[str, dict[str, float]] = {}
    for net, methods in METHODS.items():
        found[net.name] = {"step": 1000 * statistics.median(steps.bare(net, device) for _ in range(min(rounds, 3)))}
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
                began = time.perf_counter()
                effect_guard.check_effects(step)
                seconds.append(time.perf_counter() - began)
            found[net.name][name] = 1000 * statistics.median(seconds)
        say(f"  effect guard, {net.name} net")
    return found
