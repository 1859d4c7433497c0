"""Properties of every regularizer. An entry in `ROWS` adds a new one to these tests."""

import copy
import functools
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.utils.data import DataLoader

import reglab.regularizers
from reglab.paths import CONF
from reglab.regularizers import Regularizer
from reglab.regularizers.base import regularizer_classes, snake
from reglab.seeding import mix
from reglab.training.fit import Fit
from reglab.training.module import Module
from tests.regularizers.steps import FEATURES, LANGUAGE, batch_of, fit_of, network, same_state, task_of, train


class Row(NamedTuple):
    """Method with two different settings, and the task, activation and example shape to test it with."""

    cls: str
    strengths: dict[str, float]
    others: dict[str, float]
    kind: str = "classification"
    activation: str = "relu"
    shape: tuple[int, ...] = (FEATURES,)
    residual: bool = False
    dropout: bool = False

    def make(self, strengths: dict[str, float] | None = None) -> Regularizer:
        return getattr(reglab.regularizers, self.cls)(**(self.strengths if strengths is None else strengths))

    def fit(self, strengths: dict[str, float] | None = None, **model: Any) -> Fit:
        return fit_of(self.network(**model), task_of(self.kind), [self.make(strengths)])

    def plain(self) -> Fit:
        return fit_of(self.network(), task_of(self.kind))

    def network(self, **model: Any) -> Any:
        layers = {"activation": self.activation, "residual": self.residual, "dropout": self.dropout}
        return network(self.kind, shape=self.shape, **layers, **model)

    def batches(self) -> list[tuple[Tensor, Tensor]]:
        return [batch_of(self.kind, seed=i, shape=self.shape) for i in range(3)]


ROWS = [
    Row("L1", {"strength": 1e-3}, {"strength": 1e-1}),
    Row("L2", {"strength": 1e-2}, {"strength": 1.0}, kind="regression"),
    Row("ElasticNet", {"l1": 1e-3, "l2": 1e-2}, {"l1": 1e-1, "l2": 1.0}),
    Row("WeightDecay", {"strength": 1e-2}, {"strength": 1.0}),
    Row("Dropout", {"p": 0.2, "input_p": 0.1}, {"p": 0.5, "input_p": 0.3}, activation="tanh"),
    Row("MaxNorm", {"max_norm": 0.5}, {"max_norm": 1.0}, kind="regression"),
    Row("LabelSmoothing", {"epsilon": 0.1}, {"epsilon": 0.4}),
    Row("StochasticDepth", {"p": 0.2}, {"p": 0.5}, shape=(2, 8, 8), residual=True),
    Row("ConfidencePenalty", {"beta": 0.1}, {"beta": 0.5}),
    Row("Focal", {"gamma": 0.5}, {"gamma": 3.0}),
    Row("LogitPenalty", {"strength": 1e-2}, {"strength": 0.1}),
    Row("Flooding", {"level": 4.0}, {"level": 1.0}),
    Row("Mixup", {"alpha": 0.2}, {"alpha": 2.0}),
    Row("Cutout", {"size": 3.0}, {"size": 5.0}, shape=(2, 8, 8)),
    Row(
        "Augmentation",
        {"flip": 0.5, "crop": 0.1, "shift": 0.1, "scale": 0.2},
        {"flip": 0.2, "crop": 0.3, "shift": 0.2, "scale": 0.1},
        shape=(2, 8, 8),
    ),
    Row("Cutmix", {"alpha": 0.5}, {"alpha": 2.0}, shape=(2, 8, 8)),
    Row("GroupLasso", {"strength": 1e-3}, {"strength": 3e-2}),
    Row("Orthogonal", {"strength": 1e-3}, {"strength": 1e-1}, shape=(2, 8, 8)),
    Row("L2SP", {"strength": 1e-2}, {"strength": 1.0}, kind="regression"),
    Row("NuclearNorm", {"strength": 1e-3}, {"strength": 1e-1}, shape=(2, 8, 8)),
    Row("WeightNoise", {"std": 0.02}, {"std": 0.3}),
    Row("DropConnect", {"p": 0.2}, {"p": 0.5}, activation="tanh", shape=(2, 8, 8)),
    Row("GaussianDropout", {"p": 0.2}, {"p": 0.5}, activation="tanh"),
    Row("InputNoise", {"std": 0.1}, {"std": 1.0}, kind="regression"),
    Row("SpatialDropout", {"p": 0.2}, {"p": 0.4}, shape=(2, 8, 8)),
    Row("AlphaDropout", {"p": 0.1}, {"p": 0.3}, activation="selu"),
    Row("DropBlock", {"p": 0.1, "block_size": 3}, {"p": 0.3, "block_size": 2}, shape=(2, 8, 8)),
    Row("ActivityL1", {"strength": 1e-2}, {"strength": 1e-1}),
    Row("ActivityKL", {"strength": 1e-2}, {"strength": 1.0}, activation="sigmoid"),
    Row("GradientNoise", {"eta": 0.01}, {"eta": 0.3}),
    Row("GradientClipping", {"max_norm": 0.1}, {"max_norm": 0.5}, kind="regression"),
    Row("SAM", {"rho": 0.05}, {"rho": 0.5}),
    Row("Lookahead", {"alpha": 0.5, "k": 3}, {"alpha": 0.8, "k": 2}),
    Row("SpectralNorm", {}, {}, shape=(2, 8, 8)),
    Row("EMA", {"decay": 0.5}, {"decay": 0.9}),
    Row("RDrop", {"alpha": 0.5}, {"alpha": 3.0}, dropout=True),
    Row("Jacobian", {"strength": 1e-2}, {"strength": 0.5}, activation="tanh"),
    Row("Adversarial", {"epsilon": 0.1, "steps": 1}, {"epsilon": 0.3, "steps": 3}),
    Row("EarlyStopping", {"patience": 2}, {"patience": 1}),
    Row("SWA", {"start": 0.25}, {"start": 0.5}),
    Row("ResidualDropout", {"p": 0.1}, {"p": 0.4}, kind=LANGUAGE),
    Row("EmbeddingDropout", {"p": 0.1}, {"p": 0.4}, kind=LANGUAGE),
    Row("TokenDropout", {"p": 0.1}, {"p": 0.4}, kind=LANGUAGE),
    Row("AttentionDropout", {"p": 0.1}, {"p": 0.4}, kind=LANGUAGE),
    Row("FeedForwardDropout", {"p": 0.1}, {"p": 0.4}, kind=LANGUAGE),
    Row("LoraDropout", {"p": 0.1}, {"p": 0.4}, kind=LANGUAGE),
    Row("Neftune", {"alpha": 1.0}, {"alpha": 10.0}, kind=LANGUAGE),
]
every = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cls)


def test_every_regularizer_has_a_row_and_a_config() -> None:
    names = sorted(snake(row.cls) for row in ROWS)
    names_in_reglab = [
        name for name, method in regularizer_classes().items() if method.__module__.startswith("reglab.")
    ]
    assert names == sorted(names_in_reglab)
    assert names == sorted(path.stem for path in Path(CONF, "regularizer").glob("*.yaml") if path.stem != "none")


@every
def test_the_config_constructs_the_method_within_its_bounds(row: Row) -> None:
    name, method = snake(row.cls), row.make()
    config = OmegaConf.to_container(OmegaConf.load(CONF / "regularizer" / f"{name}.yaml"))
    assert set(config) == {name}
    assert config[name].pop("_target_") == f"reglab.regularizers.{name}.{row.cls}"
    declared = method.strengths()
    options = [key for key, value in config[name].items() if value is None]
    assert options == list(method.constraints)
    assert list(config[name]) == [*declared, *options]
    assert list(declared) == list(dict(method.named_buffers()))
    assert row.make(config[name]).name == name
    for strength, bounds in declared.items():
        assert config[name][strength] == bounds.default
        assert bounds.minimum <= bounds.search.low < bounds.search.high <= bounds.maximum
        assert not bounds.search.log or bounds.search.low > 0
        if bounds.whole:
            assert bounds.search.low % 1 == bounds.search.high % 1 == bounds.default % 1 == 0
        if bounds.search.step is not None:
            assert (bounds.search.high - bounds.search.low) % bounds.search.step == 0


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=0.02, weight_decay=0.0)


@functools.cache
def none_after_200_steps(*net: Any) -> Fit:
    row = Row("none", {}, {}, *net)
    return train(row.plain(), row.batches(), 200, adamw)


@pytest.mark.slow
@every
def test_off_is_bit_equal_to_none(row: Row) -> None:
    off = row.fit()  # attached with active strengths, so that its hooks are registered
    declared = off.regularizers[0].strengths()
    if not declared or None in [strength.off for strength in declared.values()]:
        pytest.skip("it declares no off value")
    for strength, value in ((name, bounds.off) for name, bounds in declared.items()):
        off.regularizers[0].get_buffer(strength).fill_(value)
    train(off, row.batches(), 200, adamw)
    assert same_state(off.model, none_after_200_steps(*row[3:]).model)


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if any(s.disables for s in row.make().strengths().values())],
    ids=lambda row: row.cls,
)
def test_one_strength_at_its_off_value_is_bit_equal_to_none(row: Row) -> None:
    for strength in row.make().disabled_by():
        off = row.fit(row.others)
        off.regularizers[0].get_buffer(strength).fill_(row.make().strengths()[strength].off)
        train(off, row.batches(), 20, adamw)
        assert same_state(off.model, train(row.plain(), row.batches(), 20, adamw).model)


@every
def test_on_is_not_none(row: Row) -> None:
    if row.make().monitors_validation:
        pytest.skip("it acts on evaluations, of which these steps have none")
    on, none = (train(fit, row.batches(), 5) for fit in (row.fit(), row.plain()))
    assert not same_state(on.model, none.model)


@every
def test_evaluation_equals_that_of_the_plain_model(row: Row) -> None:
    fit, plain = row.fit(norm="batch"), row.network(norm="batch")
    train(fit, row.batches(), 3)
    assert list(fit.model.state_dict()) == list(plain.state_dict())
    assert list(fit.state_dict()) == [f"model.{name}" for name in plain.state_dict()]
    plain.load_state_dict(copy.deepcopy(fit.model.state_dict()))
    inputs, _ = batch_of(row.kind, seed=9, shape=row.shape)
    assert torch.equal(fit.eval().model(inputs), plain.eval()(inputs))


@every
def test_stochastic_methods_differ_between_passes(row: Row) -> None:
    model = row._replace(dropout=False).fit(row.others).model.train()
    inputs, _ = row.batches()[0]
    assert torch.equal(model(inputs), model(inputs)) != row.make().stochastic


@every
def test_gradients_are_finite_and_reach_every_parameter(row: Row) -> None:
    fit = row.fit(row.others)
    fit(row.batches()[0]).backward()
    for name, parameter in fit.model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


@every
def test_it_trains_in_mixed_precision(row: Row) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        fit = train(row.fit(), row.batches(), 2)
        loss = fit(row.batches()[0])
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert all(p.isfinite().all() for p in fit.model.parameters())


class HookModule(torch.nn.Module):
    """Module that calls a hook on weights, so that functional_call can replace the strengths."""

    def __init__(self, method: Regularizer, hook: str) -> None:
        super().__init__()
        self.method = method
        self.hook = hook

    def forward(self, weights: dict[str, Tensor], lr: float) -> dict[str, Tensor]:
        return getattr(self.method, self.hook)(weights, lr)


@every
@pytest.mark.filterwarnings("error:.*performance drop")  # vmap falls back to a loop
def test_stacked_equals_one_by_one(row: Row, double: None) -> None:
    """Compare three steps of two runs with different strengths and initial weights, under vmap and separately."""
    if row.make().stackable is not True:
        pytest.skip(str(row.make().stackable))
    lr, batches = 0.1, row.batches()
    fits = [row.fit(row.strengths, seed=0), row.fit(row.others, seed=1)]
    alone = [train(copy.deepcopy(fit), batches, 3) for fit in fits]
    method = fits[0].regularizers[0]
    names = ["model." + name for name in method.weights(fits[0].model)]
    params, buffers = stack_module_state(fits)
    strengths = {name.replace("regularizers.0", "method"): value for name, value in buffers.items()}

    def loss_of(params: dict[str, Tensor], buffers: dict[str, Tensor], batch: Any) -> Tensor:
        return functional_call(fits[0], (params, buffers), (batch,))

    @torch.no_grad()
    def act(hook: str, params: dict[str, Tensor]) -> dict[str, Tensor]:
        def call(weights: dict[str, Tensor], strengths: dict[str, Tensor]) -> dict[str, Tensor]:
            return functional_call(HookModule(method, hook), strengths, (weights, lr))

        return params | vmap(call)({name: params[name] for name in names}, strengths)

    for step in range(3):
        torch.default_generator.manual_seed(mix(0, step))
        losses = vmap(loss_of, in_dims=(0, 0, None), randomness="same")(params, buffers, batches[step])
        gradients = torch.autograd.grad(losses.sum(), list(params.values()))
        params = act("before_step", params)
        params = {n: (v - lr * g).detach() for (n, v), g in zip(params.items(), gradients, strict=True)}
        params = {name: value.requires_grad_() for name, value in act("after_step", params).items()}

    for i, fit in enumerate(alone):
        for name, value in fit.model.state_dict().items():
            torch.testing.assert_close(params["model." + name][i].detach(), value, rtol=1e-12, atol=1e-14)
            assert torch.equal(params["model." + name][i] == 0, value == 0), "the same zeros"
    spread = vmap(loss_of, in_dims=(0, 0, None), randomness="different")(params, buffers, batches[0])
    assert spread.isfinite().all()


@every
def test_a_stack_can_share_strengths(row: Row, double: None) -> None:
    """Two runs with different weights and shared strengths, which are not stacked."""
    if row.make().stackable is not True:
        pytest.skip(str(row.make().stackable))
    batch, fits = row.batches()[0], [row.fit(seed=0), row.fit(seed=1)]
    params, buffers = stack_module_state(fits)
    strengths = {f"regularizers.0.{name}": fits[0].regularizers[0].get_buffer(name) for name in row.strengths}
    stacked = params | {name: buffers[name] for name in set(buffers) - set(strengths)}
    torch.manual_seed(0)
    together = vmap(lambda weights: functional_call(fits[0], weights | strengths, (batch,)), randomness="same")(stacked)
    for loss, fit in zip(together, fits, strict=True):
        torch.manual_seed(0)
        torch.testing.assert_close(loss, fit(batch), rtol=1e-12, atol=1e-14)


@pytest.mark.slow
@every
def test_resumed_equals_uninterrupted(row: Row, tmp_path: Path) -> None:
    """Stop after one epoch and resume from the checkpoint of Lightning."""
    batches = row.batches()

    def run(epochs: int, checkpoint: str | None = None) -> pl.Trainer:
        make = lambda p: torch.optim.Adam(p, lr=0.01)  # noqa: E731
        monitored = ["val/loss"] if row.make().monitors_validation else ()
        module = Module(row.fit(row.others), make, seed=3, monitored=monitored)
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            logger=False,
            callbacks=[callback for regularizer in module.fit.regularizers for callback in regularizer.callbacks()],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        loaders = [DataLoader(part, batch_size=None) for part in (batches, batches[:1], batches[1:])]
        trainer.fit(module, loaders[0], loaders[1:], ckpt_path=checkpoint)
        return trainer

    file = str(tmp_path / "first.ckpt")
    run(1).save_checkpoint(file)
    torch.manual_seed(99)  # the state of the global generator does not matter
    resumed, uninterrupted = run(3, file), run(3)
    assert resumed.global_step == uninterrupted.global_step == 9
    assert same_state(resumed.lightning_module.fit.model, uninterrupted.lightning_module.fit.model)
