"""Train with `Regularize` on two ranks and save weights and activations of each rank for `test_distributed_draws`."""

import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from reglab import Regularize
from reglab.regularizers import (
    L1,
    L2,
    SAM,
    DropConnect,
    Dropout,
    GradientNoise,
    Lookahead,
    MaxNorm,
    SpectralNorm,
    WeightNoise,
)

STRATEGIES: dict[str, Any] = {
    "none": list,
    "noise_on_weights": lambda: [DropConnect(p=0.5), WeightNoise(std=0.1), GradientNoise(eta=0.1)],
    "without_noise": lambda: [L2(strength=0.1), L1(strength=0.01), MaxNorm(max_norm=0.7)],
    "two_passes": lambda: [SAM(rho=0.5), DropConnect(p=0.5)],
    "sam": lambda: [SAM(rho=0.5)],
    "others": lambda: [SpectralNorm(), Lookahead(alpha=0.5, k=2)],
    "noise_on_activations": lambda: [Dropout(p=0.5)],
}


class Net(pl.LightningModule):
    """Small network, with generators seeded by rank or, with `same_seed`, equally on all ranks."""

    def __init__(self, same_seed: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
        self.same_seed, self.recorded = same_seed, []

    def on_train_start(self) -> None:
        torch.manual_seed(5 if self.same_seed else 100 + self.global_rank)

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        handle = self.net[2].register_forward_hook(
            lambda layer, inputs, _: self.recorded.append((layer.weight.detach().clone(), inputs[0].detach().clone()))
        )
        outputs = self.net(batch[0])
        handle.remove()
        return nn.functional.cross_entropy(outputs, batch[1])

    def train_dataloader(self) -> DataLoader:
        generator = torch.Generator().manual_seed(1)
        data = TensorDataset(torch.randn(32, 4, generator=generator), torch.randint(3, (32,), generator=generator))
        ranks = self.trainer.world_size
        sampler = DistributedSampler(data, ranks, self.global_rank, shuffle=False)
        return DataLoader(data, batch_size=16 // ranks, sampler=sampler)

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(ranks: int, name: str, folder: Path, *, same_seed: bool) -> None:
    module = Net(same_seed)

    class SaveRank(pl.Callback):
        def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            weights = [parameter.detach().clone() for parameter in module.net.parameters()]
            torch.save(
                {"weights": weights, "recorded": module.recorded}, folder / f"{name}-{ranks}-{trainer.global_rank}.pt"
            )

    pl.Trainer(
        accelerator="cpu",
        devices=ranks,
        strategy="ddp_fork" if ranks > 1 else "auto",
        max_epochs=2,
        use_distributed_sampler=False,
        callbacks=[Regularize(STRATEGIES[name](), "net"), SaveRank()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    ).fit(module)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    folder = Path(sys.argv[1])
    for name in STRATEGIES:
        fit(2, name, folder, same_seed=name == "noise_on_activations")
    for name in ("without_noise", "sam"):
        fit(1, name, folder, same_seed=True)
