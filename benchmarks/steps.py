"""Cost of one training step: bare PyTorch, barebones Lightning, and reglab with each regularizer.

All variants train the same network on the same batches. The iterator over batches takes the time, from the batch after
the warm-up to the last one, so the clock adds nothing to a step. Rounds alternate the order of the variants; a ratio is
the median of the ratios within each round, since the speed of a shared machine varies. As a round takes minutes, each
regularizer is compared with `none` timed immediately before it.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor
from torch.nn import functional as F

from benchmarks import theory as theory_of
from reglab.models import MLP, ResidualCNN
from reglab.models.llama import Llama
from reglab.paths import CONF
from reglab.schema.errors import ConfigError
from reglab.tasks import Classification, LanguageModeling, Task
from reglab.training import build
from reglab.training.fit import Fit
from reglab.training.trainer import make_trainer

REGULARIZERS = sorted(path.stem for path in Path(CONF, "regularizer").glob("*.yaml") if path.stem != "none")
CLASSES = 10
TOKENS = 105  # characters of the Python language reference, and two special tokens


@dataclass(frozen=True)
class Net:
    """Network for inputs of one shape, with the number of steps to measure."""

    name: str
    shape: tuple[int, ...]
    make: Callable[[tuple[int, ...]], torch.nn.Module]
    batch: int
    steps: int
    warm_up: int
    kind: str = "classification"

    def task(self) -> Task:
        """Return the task, which defines the loss."""
        return Classification(CLASSES) if self.kind == "classification" else LanguageModeling()

    def batch_of(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return random inputs and targets."""
        if self.kind == "classification":
            inputs = torch.randn(self.batch, *self.shape, generator=generator)
            return inputs, torch.randint(0, CLASSES, (self.batch,), generator=generator)
        tokens = torch.randint(0, TOKENS, (self.batch, self.shape[0] + 1), generator=generator)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def model(self) -> torch.nn.Module:
        """Return the network, always with the same weights."""
        torch.manual_seed(0)
        return self.make(self.shape)


def _mlp(*hidden: int, activation: str = "relu") -> Callable[[tuple[int, ...]], torch.nn.Module]:
    return lambda shape: MLP(shape, CLASSES, hidden_sizes=hidden, activation=activation)


def _dropping(shape: tuple[int, ...]) -> torch.nn.Module:
    """Return the large network with dropout layers."""
    model = _mlp(1024, 1024, 2048)(shape)
    for name, layer in list(model.named_children()):
        if isinstance(layer, torch.nn.ReLU):
            setattr(model, name, torch.nn.Sequential(layer, torch.nn.Dropout()))
    return model


SMALL = Net("small", (64,), _mlp(128, 128), 64, 500, 100)
LARGE = Net("large", (784,), _mlp(1024, 1024, 2048), 256, 12, 3)
SIGMOID = Net("sigmoid", (784,), _mlp(1024, 1024, 2048, activation="sigmoid"), 256, 12, 3)
DROPPING = Net("dropping", (784,), _dropping, 256, 12, 3)
DECODER = Net("decoder", (128,), lambda shape: Llama(shape, TOKENS), 16, 12, 3, "language modeling")
IMAGES = Net("images", (1, 28, 28), lambda shape: ResidualCNN(shape, CLASSES), 64, 8, 2)
NETS = (SMALL, LARGE, SIGMOID, DROPPING, IMAGES, DECODER)


@dataclass
class TimedBatches:
    """Iterable over a few batches in a cycle; `seconds` is the time of the steps after the warm-up."""

    net: Net
    device: torch.device
    batches: list[tuple[Tensor, Tensor]] = field(init=False)
    seconds: float = 0.0

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.batches = [
            tuple(part.to(self.device) for part in self.net.batch_of(generator))  # type: ignore[misc]
            for _ in range(8)
        ]

    def __len__(self) -> int:
        return self.net.warm_up + self.net.steps + 1

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        began = 0.0
        for i in range(len(self)):
            if i in (self.net.warm_up, self.net.warm_up + self.net.steps):
                if self.device.type == "cuda":
                    torch.cuda.synchronize()
                now = time.perf_counter()
                self.seconds, began = now - began, now
            yield self.batches[i % len(self.batches)]


def _optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)


def bare(net: Net, device: torch.device) -> float:
    """Return seconds per step of a plain PyTorch loop."""
    model = net.model().to(device)
    optimizer = _optimizer(model)
    batches = TimedBatches(net, device)
    for inputs, targets in batches:
        loss = _plain_loss(net, model, inputs, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return batches.seconds / net.steps


def _plain_loss(net: Net, model: torch.nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss as plain PyTorch code computes it; a decoder is called with keyword arguments."""
    if net.kind == "classification":
        return F.cross_entropy(model(inputs), targets)
    return F.cross_entropy(model(input_ids=inputs).logits.flatten(0, 1), targets.flatten())


class _Floor(pl.LightningModule):
    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net, self.model = net, net.model()

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        return _plain_loss(self.net, self.model, *batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return _optimizer(self.model)


def floor(net: Net, device: torch.device) -> float:
    """Return seconds per step of Lightning with ``barebones=True``."""
    batches = TimedBatches(net, device)
    trainer = pl.Trainer(barebones=True, max_epochs=1, accelerator=_accelerator(device), devices=1)
    trainer.fit(_Floor(net), batches)
    return batches.seconds / net.steps


def reglab(regularizer: str, net: Net, device: torch.device, cfg: DictConfig) -> float:
    """Return seconds per step of reglab's module, trainer and callbacks."""
    model = net.model()
    methods = build.build_regularizers(cfg, model, net.kind, net.shape)
    fit = Fit(model, net.task(), methods)
    module = build.build_module(cfg, fit, ())
    batches = TimedBatches(net, device)
    settings = dict(build.to_plain_dict(cfg.trainer)) | {"max_epochs": 1, "accelerator": _accelerator(device)}
    make_trainer(settings, [callback for method in methods for callback in method.callbacks()]).fit(module, batches)
    return batches.seconds / net.steps


def _accelerator(device: torch.device) -> str:
    return "gpu" if device.type == "cuda" else "cpu"


def supports(net: Net, cfg: DictConfig) -> bool:
    """Return True if the config's regularizers support the network."""
    try:
        build.build_regularizers(cfg, net.model(), net.kind, net.shape)
    except ConfigError:
        return False
    return True


def specific_regularizers(net: Net) -> list[str]:
    """Return the regularizers that support this network and none of the others."""
    others = [other for other in NETS if other is not net]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfgs = {name: compose("train", [f"regularizer={name}"]) for name in REGULARIZERS}
    return [
        name for name, cfg in cfgs.items() if supports(net, cfg) and not any(supports(other, cfg) for other in others)
    ]


def measure(
    net: Net, device: torch.device, names: Sequence[str], rounds: int, print_progress: Callable[[str], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return milliseconds per step of every variant, and the ratio of each regularizer to `none`, both by round.

    Regularizers that do not support the network are left out.
    """
    variants: dict[str, Callable[[], float]] = {"bare": lambda: bare(net, device), "floor": lambda: floor(net, device)}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name in ["none", *names]:
            cfg = compose("train", [f"regularizer={name}"])
            if supports(net, cfg):
                variants[name] = lambda name=name, cfg=cfg: reglab(name, net, device, cfg)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in variants}
    to_none: dict[str, list[float]] = {}
    for i in range(rounds):
        order = list(variants) if i % 2 == 0 else list(variants)[::-1]
        for name in order:
            none_s = variants["none"]() if name in names else None
            times[name].append(1000 * variants[name]())
            if none_s is not None:
                to_none.setdefault(name, []).append(times[name][-1] / (1000 * none_s))
        print_progress(f"  {net.name} net, round {i + 1} of {rounds}")
    return times, to_none


def theory(net: Net, device: torch.device, times: Mapping[str, list[float]]) -> dict[str, float]:
    """Return the theoretical cost of each measured regularizer, relative to `none`."""
    none_ms, prices = statistics.median(times["none"]), theory_of.prices(device)
    inputs, _ = net.batch_of(torch.Generator().manual_seed(0))
    factors: dict[str, float] = {}
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name in set(times) - {"bare", "floor", "none"}:
            model = net.model()
            (method,) = build.build_regularizers(compose("train", [f"regularizer={name}"]), model, net.kind, net.shape)
            factors[name] = theory_of.factor(method, model, inputs, none_ms, prices)
    return factors


def ratio(times: Mapping[str, list[float]], name: str, base: str) -> float:
    """Return the time of a step of `name` divided by that of `base`."""
    return statistics.median(own / other for own, other in zip(times[name], times[base], strict=True))
