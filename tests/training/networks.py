"""Users' networks, for tests: ``model.target=tests.training.networks.Lazy``."""

import os
import random
import tempfile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Lazy(nn.Module):
    """Gets the shapes of its weights in the first pass."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Drawing(nn.Module):
    """Draws from the global generators of torch, NumPy and Python in the constructor, the first pass and training."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.first = nn.Linear(*input_shape, 8)
        self.scale = nn.Parameter(torch.from_numpy(np.random.randn(8).astype("float32")))
        self.shift = nn.Parameter(torch.tensor([random.gauss(0.0, 1.0) for _ in range(8)]))
        self.outputs = outputs
        self.last: nn.Module | None = None
        self.drawn: list[float] = []

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x)) * self.scale + self.shift
        if self.last is None:
            self.last = nn.Linear(8, self.outputs)
            self.gain = nn.Parameter(torch.tensor(1 + random.random() + np.random.rand()))
        if self.training:
            self.drawn += [random.random(), float(np.random.rand()), float(torch.rand(()))]
            x = x * (1 + sum(self.drawn[-3:]))
        return self.last(x) * self.gain


class Unseeded(nn.Linear):
    """Draws weights that no seed sets."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.weight.data = torch.from_numpy(np.random.default_rng().normal(size=(outputs, *input_shape))).float()


_OUTSIDE = np.random.default_rng(0)


class UnseededInTraining(nn.Linear):
    """Draws in training from a generator of the module of Python, which neither seed nor run owns."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.01 * _OUTSIDE.normal() if self.training else x)


class Undefined(nn.Linear):
    """Divides 0 by 0 in training."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * (0 * y / 0 if self.training else 1)


class Caching(nn.Linear):
    """Keeps tensors in a dictionary of lists, which a next pass reads."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.seen: dict[str, list[Tensor]] = {"means": []}

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen["means"].append(x.detach().mean())
        return super().forward(x) + sum(self.seen["means"])


class Adapting(nn.Linear):
    """Follows its inputs in evaluation, too."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.register_buffer("mean", torch.zeros(input_shape))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.lerp_(x.detach().mean(0), 0.1)
        return super().forward(x - self.mean)


class RarelyDrawing(nn.Linear):
    """Draws from a generator of its module of Python; what it draws shows in one pass of a hundred."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 2 if self.training and _OUTSIDE.random() < 0.01 else x)


class Ending(nn.Linear):
    """Ends in another way than with logits of each row."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, end: str, training: str = "both") -> None:
        super().__init__(*input_shape, outputs)
        self.end, self.modes = end, {"both": (True, False), "training": (True,), "eval": (False,)}[training]

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if self.training not in self.modes:
            return y
        if self.end == "softmax":
            return y.softmax(-1)
        if self.end == "sigmoid":
            return y.sigmoid()
        if self.end == "chance":  # of these weights
            return 0.5 + 0.01 * y
        return y - y.mean(0) if self.end == "rows" else y


class Counted(nn.Linear):
    """Counts its passes in its class, which all runs of a process share."""

    passes = 0

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        Counted.passes += self.training
        return super().forward(x) + (Counted.passes if self.training else 0)


class SpareLazy(nn.Linear):
    """Has no lazy layer but one that its forward leaves out."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.spare = nn.LazyLinear(3)


class NeverCalled(nn.Linear):
    """Has a lazy layer that its forward leaves out."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.spare = nn.LazyLinear(3)
        self.other = nn.LazyLinear(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.other(x)


class Counting(nn.Linear):
    """Counts its passes, in a buffer and beside it."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.register_buffer("passes", torch.zeros(()))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.calls += 1
        return super().forward(x)


class NoisyInEvaluation(nn.Module):
    """Dropout that stays on in evaluation."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.hidden, self.act, self.last = nn.Linear(*input_shape, 32), nn.ReLU(), nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.dropout(self.act(self.hidden(x)), 0.5))


class Shifting(nn.Module):
    """Shifts its inputs: in place (``x -= 1``), in one mode or in both."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, in_place: str = "") -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(*input_shape, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, outputs))
        self.in_place = in_place

    def forward(self, x: Tensor) -> Tensor:
        if self.in_place == "both" or self.in_place == ("training" if self.training else "evaluation"):
            x -= 1
            x.mul_(0.5)
        else:
            x = (x - 1) * 0.5
        return self.body(x)


class Functional(nn.Module):
    """Has an activation module that its forward does not call."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.hidden, self.act, self.last = nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.hidden(x)))


class Compiled(nn.Module):
    """Compiles a part of itself in the constructor."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        body = nn.Sequential(nn.Linear(*input_shape, 8), nn.ReLU())
        self.body: Any = torch.compile(body, backend="eager")
        self.last = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


_compiled = torch.compile(lambda layer, act, x: act(layer(x)), backend="eager")


class CompiledCalls(nn.Module):
    """Calls its layers by a compiled function, or by a compiled method."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, method: bool) -> None:
        super().__init__()
        self.hidden, self.act, self.last = nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, outputs)
        self.body: Any = torch.compile(self._body, backend="eager") if method else self._function

    def _body(self, x: Tensor) -> Tensor:
        return self.act(self.hidden(x))

    def _function(self, x: Tensor) -> Tensor:
        return _compiled(self.hidden, self.act, x)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


class Doing(nn.Module):
    """A linear network that does one thing that a network should not do, or may do."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int, does: str) -> None:
        super().__init__()
        self.layer, self.does, self.outputs = nn.Linear(*input_shape, outputs), does, outputs
        self.noise = nn.Dropout(0.0)
        self.held = {
            "deep": [{"layer": nn.Linear(outputs, outputs)}],
            "weight": torch.ones(outputs, requires_grad=True),
        }

    def train(self, mode: bool = True) -> "Doing":
        return super().train(True if self.does == "ignores the mode" else mode)

    def forward(self, x: Tensor) -> Tensor:
        if self.does == "trains" and not self.training:
            self.noise.train()
        if self.does == "seeds torch" and self.training:
            torch.manual_seed(0)
        if self.does == "seeds numpy" and self.training:
            np.random.seed(0)
        if self.does == "replaces" and self.training:
            self.layer.bias = nn.Parameter(torch.zeros(self.outputs))
        if self.does == "needs gradients" and (self.training or torch.is_inference_mode_enabled()):
            rows = x.detach().requires_grad_()
            x = x + torch.autograd.grad(rows.square().sum(), rows)[0]
        if self.does == "needs gradients in training" and self.training:
            rows = x.detach().requires_grad_()
            x = x + torch.autograd.grad(rows.square().sum(), rows)[0]
        if self.does == "reads":
            os.environ.get("REGLAB_SCALE")
        if self.does == "sets":
            os.environ.setdefault("REGLAB_SCALE", "1")
            tempfile.gettempdir()
        out = self.layer(x)
        if self.does == "holds a layer":
            out = self.held["deep"][0]["layer"](out)
        if self.does == "holds a weight":
            out = out * self.held["weight"]
        return out.squeeze() if self.does == "squeezes" else out
