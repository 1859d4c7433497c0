"""User-defined networks for tests, selected by ``model.target=tests.training.networks.<Class>``."""

import os
import random
import tempfile
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Lazy(nn.Module):
    """Network of lazy layers, whose weights are created in the first forward pass."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(16), nn.LazyBatchNorm1d(), nn.ReLU(), nn.LazyLinear(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Drawing(nn.Module):
    """Use the global generators of torch, NumPy and Python in the constructor, the first pass and training."""

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
    """Linear layer with weights from an unseeded generator."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.weight.data = torch.from_numpy(np.random.default_rng().normal(size=(outputs, *input_shape))).float()


_OUTSIDE = np.random.default_rng(0)


class UnseededInTraining(nn.Linear):
    """Add noise in training from a module-level generator, which no run seeds."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + 0.01 * _OUTSIDE.normal() if self.training else x)


class Undefined(nn.Linear):
    """Return NaN in training mode."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y * (0 * y / 0 if self.training else 1)


class Caching(nn.Linear):
    """Store tensors in a dictionary of lists that later passes read."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.seen: dict[str, list[Tensor]] = {"means": []}

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen["means"].append(x.detach().mean())
        return super().forward(x) + sum(self.seen["means"])


class Adapting(nn.Linear):
    """Update a running mean in eval mode, too."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.register_buffer("mean", torch.zeros(input_shape))

    def forward(self, x: Tensor) -> Tensor:
        self.mean.lerp_(x.detach().mean(0), 0.1)
        return super().forward(x - self.mean)


class RarelyDrawing(nn.Linear):
    """Draw from a module-level generator that changes the outputs of about one training pass in 100."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 2 if self.training and _OUTSIDE.random() < 0.01 else x)


class Ending(nn.Linear):
    """Return something other than independent logits per row, as selected by `end`.

    `training` selects the modes: "both", "training" or "eval".
    """

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
        if self.end == "chance":  # between 0 and 1 only for these initial weights
            return 0.5 + 0.01 * y
        return y - y.mean(0) if self.end == "rows" else y


class Counted(nn.Linear):
    """Count training passes in a class attribute, which all runs of a process share."""

    passes = 0

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)

    def forward(self, x: Tensor) -> Tensor:
        Counted.passes += self.training
        return super().forward(x) + (Counted.passes if self.training else 0)


class SpareLazy(nn.Linear):
    """Linear network with one lazy layer, which forward does not call."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.spare = nn.LazyLinear(3)


class NeverCalled(nn.Linear):
    """Linear network with two lazy layers, one of which forward does not call."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.spare = nn.LazyLinear(3)
        self.other = nn.LazyLinear(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.other(x)


class Counting(nn.Linear):
    """Count passes in a buffer and in a plain attribute."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(*input_shape, outputs)
        self.register_buffer("passes", torch.zeros(()))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        self.calls += 1
        return super().forward(x)


class NoisyInEvaluation(nn.Module):
    """Network with dropout that is active in eval mode."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.hidden, self.act, self.last = nn.Linear(*input_shape, 32), nn.ReLU(), nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.dropout(self.act(self.hidden(x)), 0.5))


class Shifting(nn.Module):
    """Shift and scale the inputs: in place (``x -= 1``) in the modes that `in_place` names, otherwise on a copy."""

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
    """Network with an activation module that forward does not call."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.hidden, self.act, self.last = nn.Linear(*input_shape, 8), nn.ReLU(), nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(F.relu(self.hidden(x)))


class Compiled(nn.Module):
    """Network that compiles a submodule in the constructor."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        body = nn.Sequential(nn.Linear(*input_shape, 8), nn.ReLU())
        self.body: Any = torch.compile(body, backend="eager")
        self.last = nn.Linear(8, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(x))


_compiled = torch.compile(lambda layer, act, x: act(layer(x)), backend="eager")


class CompiledCalls(nn.Module):
    """Call the layers from a compiled function or, with `method`, from a compiled method."""

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
    """Linear network with one side effect, selected by `does`."""

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
