"""User-defined networks (`model=torch`): targets, constructor arguments, and code as part of the run identity."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reglab.config.check_run import check
from reglab.config.compose import compose
from reglab.config.identity import config_hash
from reglab.config.trusted import Typed, apply_typed
from reglab.data import SpokenDigits
from reglab.data.source import Source
from reglab.inference.loading import Rebuilt, finished_run, rebuild
from reglab.models.own import Own
from reglab.models.padding import unpadded
from reglab.schema.errors import ConfigError
from reglab.study.rerun import rerun
from reglab.tracking import queries
from reglab.tracking.store import open_store
from reglab.training.build import build_data, build_model
from reglab.training.model_data_checks import check_fit
from reglab.training.run import run
from tests.errors import config_error

CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, input_shape, outputs, width=8):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(*input_shape, width), nn.ReLU(), nn.Linear(width, outputs))

    def forward(self, x):
        return self.body(x)

class Fixed(nn.Linear):
    def __init__(self):
        super().__init__(4, 3)

class Wide(nn.Linear):
    def __init__(self, **given):
        super().__init__(given["input_shape"][0], given["outputs"])

class NoNet:
    pass

def a_function():
    pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / module_name(request)).with_suffix(".py").write_text(CODE)
    return tmp_path


def module_name(request: pytest.FixtureRequest) -> str:
    """Return a module name per test, since a process imports a module only once."""
    return "own_" + "".join(c if c.isalnum() else "_" for c in request.node.name)


def test_a_class_gets_the_arguments_of_its_constructor(request: pytest.FixtureRequest) -> None:
    def new_network(name: str, **args: Any) -> Any:
        return Own((4,), 3, target=f"{module_name(request)}.{name}", args=args)

    assert new_network("Net").body[0].weight.shape == (8, 4)
    assert new_network("Net", width=5).body[0].weight.shape == (5, 4)
    for name in ("Fixed", "Wide"):
        assert new_network(name)(torch.zeros(2, 4)).shape == (2, 3)
    assert isinstance(new_network("Fixed"), nn.Linear)


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (None, "model.target=null: class with its module"),
        ("Net", "model.target=Net: class with its module"),
        ("a b.Net", "model.target=a b.Net: class with its module"),
        ("not.there.Net", "model.target=not.there.Net: no not/there.py"),
        ("{module}.Nett", "model.target={module}.Nett: no class Nett"),
        ("{module}.a_function", "model.target={module}.a_function: a_function"),
        ("{module}.NoNet", "model.target={module}.NoNet: torch.nn.Module"),
    ],
    ids=["null", "bare", "space", "missing", "misspelt", "function", "object"],
)
def test_targets_that_are_no_network_are_errors(
    request: pytest.FixtureRequest, target: str | None, problem: str
) -> None:
    formatted = None if target is None else target.format(module=module_name(request))
    with config_error(problem.format(module=module_name(request))):
        Own((4,), 3, target=formatted)


def test_an_unknown_argument_is_named(request: pytest.FixtureRequest) -> None:
    with pytest.raises(ConfigError, match="keyword argument 'depth'"):
        Own((4,), 3, target=f"{module_name(request)}.Net", args={"depth": 2})


def network_overrides(name: str, *more: str) -> list[str]:
    return ["model=torch", f"model.target={name}.Net", "data=wine", "trainer.max_epochs=1", *more]


@pytest.mark.slow
def test_the_code_of_a_network_is_part_of_the_identity(folder: Path, request: pytest.FixtureRequest) -> None:
    name = module_name(request)
    before = config_hash(compose(network_overrides(name)))
    assert config_hash(compose(network_overrides(name))) == before
    (folder / f"{name}.py").write_text(CODE + "\n# another\n")
    assert config_hash(compose(network_overrides(name))) != before
    (folder / f"{name}.py").unlink()
    with pytest.raises(ConfigError, match=rf"^model.target={name}.Net: there is no {name}.py in "):
        check(compose(network_overrides(name)))


@pytest.mark.slow
def test_a_stored_network_is_run_only_if_typed_again(
    store_uri: str, folder: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = network_overrides(
        module_name(request), "trainer.progress=false", f"tracking.uri={store_uri}", "regularizer=dropout"
    )
    cfg = compose(overrides)
    record = queries.get(open_store(store_uri, "reglab"), run(cfg, overrides).run_id)
    assert record is not None
    assert record.status == "FINISHED"
    own = f"{module_name(request)}.Net"
    assert record.tags["model"] == own
    for act in (rerun, finished_and_rebuilt):
        with pytest.raises(ConfigError, match=rf"model.target={own}: .* only in the tracking store"):
            act(store_uri, record.run_id)
        with pytest.raises(ConfigError, match=rf"model.target=os.system: the run has {own}"):
            act(store_uri, record.run_id, Typed({"model.target": "os.system"}))
    typed = Typed({"model.target": own})
    assert rerun(store_uri, record.run_id, typed) is True
    assert type(finished_and_rebuilt(store_uri, record.run_id, typed).model).__name__ == "Net"
    with (folder / f"{module_name(request)}.py").open("a") as file:
        file.write("# another\n")
    capsys.readouterr()
    for act in (rerun, finished_and_rebuilt):
        with config_error(f"run_id={record.run_id}: other code: {module_name(request)}"):
            act(store_uri, record.run_id, typed)
    rerun(store_uri, record.run_id, Typed(typed.values, changed=True))
    (line_of_code,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("code.model")]
    assert json.loads(record.tags["about"])["code.model"] in line_of_code
    plain = compose([*overrides, "model=mlp"][2:])
    with config_error(f"model.target={own}: the run has none"):
        apply_typed(plain, typed)


def finished_and_rebuilt(uri: str, run_id: str, typed: Typed | None = None) -> Rebuilt:
    return rebuild(finished_run(uri, run_id, typed), uri)


def test_a_network_without_padding_support_is_refused(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    data = SpokenDigits(name="speech", seed=0, split_seed=0)
    data.use(Source(torch.tensor([[[1.0, 2.0]], [[3.0, torch.nan]]] * 20), torch.arange(40) // 2 % 2, classes=2))
    cfg = compose(network_overrides(module_name(request), "data=digits"))
    with config_error(f"model={module_name(request)}.Net: NaN ... speech ... different lengths"):
        check_fit(cfg, Flat(), data)
    check_fit(cfg, Flat(unpads=True), data)


class Flat(nn.Module):
    def __init__(self, unpads: bool = False) -> None:
        super().__init__()
        self.unpads = unpads
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, signals: torch.Tensor) -> torch.Tensor:
        return self.scale * (unpadded(signals)[0] if self.unpads else signals).flatten(1)


class Detached(nn.Sequential):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs).detach()


class WithoutGradients(nn.Sequential):
    @torch.no_grad()
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs)


class Unregistered(nn.Module):
    """Network with unused parameters, whose forward uses a trainable tensor that is not a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.unused = torch.zeros(13, 3, requires_grad=True), nn.Linear(13, 3)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs @ self.weight


NOT_TRAINABLE = {
    "frozen": lambda: nn.Linear(13, 3).requires_grad_(False),
    "detached": lambda: Detached(nn.Linear(13, 3)),
    "no_grad": lambda: WithoutGradients(nn.Linear(13, 3)),
    "unregistered": Unregistered,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", NOT_TRAINABLE)
def test_a_network_without_trainable_weights_is_refused(kind: str, request: pytest.FixtureRequest) -> None:
    cfg = compose(network_overrides(module_name(request)))
    with config_error(f"model={module_name(request)}.Net: any trainable weight"):
        check_fit(cfg, NOT_TRAINABLE[kind](), build_data(cfg))


def test_checks_do_not_change_the_network(request: pytest.FixtureRequest) -> None:
    cfg = compose(network_overrides(module_name(request)))
    network = nn.Sequential(nn.Linear(13, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 3))
    network[0].requires_grad_(False)
    before, generator = {k: v.clone() for k, v in network.state_dict().items()}, torch.get_rng_state()
    check_fit(cfg, network, build_data(cfg))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), generator)
    assert network.training


class Rotated(nn.Linear):
    """Network with complex outputs."""

    def __init__(self) -> None:
        super().__init__(13, 3)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1 + 1j)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "problem"),
    [
        (nn.Linear(5, 3), "shape (13,) ... RuntimeError ... forward"),
        (nn.Linear(13, 3, dtype=torch.cfloat), "cannot read ... forward"),
        (Rotated(), "complex numbers ... .real or .abs()"),
        (nn.Linear(13, 4), "shape (2, 4) ... expected shape (2, 3)"),
    ],
)
def test_wrong_outputs_of_a_network_are_refused(
    request: pytest.FixtureRequest, network: nn.Module, problem: str
) -> None:
    cfg = compose(network_overrides(module_name(request)))
    with config_error(f"model={module_name(request)}.Net: {problem}"):
        check_fit(cfg, network, build_data(cfg))


@pytest.mark.slow
def test_arguments_of_a_network_are_set_as_keys(request: pytest.FixtureRequest) -> None:
    cfg = compose(network_overrides(module_name(request), "model.args={width:5}"))
    check(cfg)
    network = build_model(cfg, build_data(cfg))
    assert network.get_submodule("body.0").weight.shape == (5, 13)
    assert config_hash(cfg) != config_hash(compose(network_overrides(module_name(request))))
