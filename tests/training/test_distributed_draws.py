"""`Regularize` under several ranks: replicas stay equal, examples get noise of their own, split weights are refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning.strategies import DDPStrategy, FSDPStrategy, SingleDeviceStrategy

from reglab.training.distributed_draws import check_strategy
from tests.errors import config_error


@pytest.mark.slow
def test_two_ranks_draw_what_must_agree_alike_and_what_must_differ_apart(tmp_path: Path) -> None:
    script = Path(__file__).with_name("distributed_script.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]

    def saved(name: str, ranks: int, rank: int) -> dict:
        return torch.load(tmp_path / f"{name}-{ranks}-{rank}.pt")

    names = {path.name.rsplit("-", 2)[0] for path in tmp_path.glob("*-2-0.pt")}
    assert len(names) == 7
    for name in names:
        for a, b in zip(saved(name, 2, 0)["weights"], saved(name, 2, 1)["weights"], strict=True):
            assert torch.equal(a, b), name
        plain = saved("none", 2, 0)["weights"]
        assert name == "none" or not torch.equal(saved(name, 2, 0)["weights"][0], plain[0]), name
    for name in ("noise_on_weights", "two_passes"):  # the weights that passes saw
        for (a, _), (b, _) in zip(saved(name, 2, 0)["seen"], saved(name, 2, 1)["seen"], strict=True):
            assert torch.equal(a, b), name
    for (_, a), (_, b) in zip(
        saved("noise_on_activations", 2, 0)["seen"], saved("noise_on_activations", 2, 1)["seen"], strict=True
    ):
        assert not torch.equal(a == 0, b == 0), "masks of two ranks that were seeded alike"
    for name in ("without_noise", "sam"):  # two halves of a batch are the batch
        for a, b in zip(saved(name, 2, 0)["weights"], saved(name, 1, 0)["weights"], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_strategies_that_split_weights_are_refused() -> None:
    check_strategy(SingleDeviceStrategy("cpu"))
    check_strategy(DDPStrategy())
    with config_error("Regularize: FSDPStrategy splits ... strategy='ddp'"):
        check_strategy(FSDPStrategy())
