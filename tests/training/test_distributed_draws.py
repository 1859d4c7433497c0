"""`Regularize` with several ranks: equal replicas, independent noise per example, and refusal of sharded weights."""

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
def test_ranks_share_noise_on_weights_and_differ_in_noise_on_activations(tmp_path: Path) -> None:
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
    for name in ("noise_on_weights", "two_passes"):  # weights in forward passes
        for (a, _), (b, _) in zip(saved(name, 2, 0)["recorded"], saved(name, 2, 1)["recorded"], strict=True):
            assert torch.equal(a, b), name
    for (_, a), (_, b) in zip(
        saved("noise_on_activations", 2, 0)["recorded"], saved("noise_on_activations", 2, 1)["recorded"], strict=True
    ):
        assert not torch.equal(a == 0, b == 0), "equal masks on two ranks"
    for name in ("without_noise", "sam"):  # two half batches give the gradient of the batch
        for a, b in zip(saved(name, 2, 0)["weights"], saved(name, 1, 0)["weights"], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_strategies_that_shard_weights_are_refused() -> None:
    check_strategy(SingleDeviceStrategy("cpu"))
    check_strategy(DDPStrategy())
    with config_error("Regularize: FSDPStrategy splits ... strategy='ddp'"):
        check_strategy(FSDPStrategy())
