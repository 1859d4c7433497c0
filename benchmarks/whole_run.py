"""Marginal cost of a tracked run in a sweep, compared with the same training as a bare loop.

Digits, 1,000 training rows, batch size 50, hidden sizes [128, 128], 20 epochs; both evaluate the validation part and as
many training rows every epoch, and the test part at the end. The run includes composing, checks and tracking.
"""

import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from reglab.data import Digits
from reglab.models import MLP
from reglab.paths import PROJECT
from reglab.training.trainer import set_threads

EPOCHS, BATCH, ROWS, HIDDEN = 20, 50, 1000, (128, 128)


def bare(seed: int) -> float:
    """Return the seconds of the same run as a plain loop."""
    began = time.perf_counter()
    data = Digits(name="digits", seed=seed, split_seed=seed, train_size=ROWS, batch_size=BATCH)
    data.setup()
    torch.manual_seed(seed)
    model = MLP(data.input_shape, data.outputs, HIDDEN)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    rows = min(len(data.train.targets), len(data.val.targets))
    train = (data.train.inputs[:rows], data.train.targets[:rows])
    best, kept = float("inf"), {}
    for _ in range(EPOCHS):
        model.train()
        order = torch.randperm(len(data.train.targets))
        for start in range(0, len(order), BATCH):
            picked = order[start : start + BATCH]
            loss = F.cross_entropy(model(data.train.inputs[picked]), data.train.targets[picked])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            figures = [_figures(model, *part) for part in ((data.val.inputs, data.val.targets), train)]
        if figures[0][0] < best:
            best, kept = figures[0][0], {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(kept)
    with torch.inference_mode():
        _figures(model, data.test.inputs, data.test.targets)
    return time.perf_counter() - began


def _figures(model: MLP, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    outputs = model(inputs)
    return F.cross_entropy(outputs, targets).item(), (outputs.argmax(-1) == targets).float().mean().item()


def tracked(seeds: list[int], folder: Path) -> list[float]:
    """Return the seconds of each run of a sweep in another process, from the times of its output lines.

    The first run, which includes imports, is left out.
    """
    command = [
        sys.executable,
        "pipelines/train.py",
        "-m",
        f"seed={','.join(map(str, seeds))}",
        f"data.train_size={ROWS}",
        f"data.batch_size={BATCH}",
        f"model.hidden_sizes=[{','.join(map(str, HIDDEN))}]",
        f"trainer.max_epochs={EPOCHS}",
        f"tracking.uri=sqlite:///{folder}/mlflow.db",
        f"report.dir={folder}/report",
    ]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    stamps = [time.perf_counter() for line in process.stdout if line.startswith("[")]
    if process.wait() or len(stamps) != len(seeds):
        raise RuntimeError(f"the sweep failed: {' '.join(command)}")
    return [after - before for before, after in itertools.pairwise(stamps)]


def measure(rounds: int) -> dict[str, float]:
    """Return median seconds of the bare loop and the tracked run, measured alternately."""
    set_threads(1)
    bares, runs = [], []
    for i in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            bares += [bare(10 * i + j) for j in range(3)]
            runs += tracked(list(range(6)), Path(folder))
    return {"bare_s": statistics.median(bares), "tracked_s": statistics.median(runs)}
