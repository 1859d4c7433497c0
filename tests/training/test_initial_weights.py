"""Initial weights, data and steps depend on the seeds only, not on the state of global generators."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from reglab.config.trusted import Typed
from reglab.schema.errors import ConfigError
from reglab.seeding import restored_generators, seeded
from reglab.study.rerun import rerun
from reglab.training.build import build_data, build_model
from reglab.training.initial_weights import init_hash
from reglab.training.run import run
from tests.conftest import Compose
from tests.errors import config_error

NETWORKS = "model.target=tests.training.networks."


def set_global_seeds(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def global_states() -> list[Any]:
    return [torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()]


def network_overrides(network: str, *more: str) -> list[str]:
    return ["model=torch", NETWORKS + network, "data=wine", *more]


def test_seeded_blocks_restore_the_global_generators() -> None:
    draws = []
    for state in (1, 2):
        set_global_seeds(state)
        before = global_states()
        with seeded(3, "init"):
            draws.append((torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()))
        assert global_states() == before
        with pytest.raises(KeyError), restored_generators():
            raise KeyError(torch.rand(1), np.random.rand(), random.random())
        assert global_states() == before
    assert draws[0] == draws[1]
    with seeded(4, "init"):
        assert torch.rand(2).tolist() != draws[0][0]
        assert np.random.rand(2).tolist() != draws[0][1]
        assert random.random() != draws[0][2]


@pytest.mark.slow
@pytest.mark.parametrize("network", ["Lazy", "Drawing"])
def test_initial_weights_depend_on_the_seed_only(compose_cfg: Compose, network: str) -> None:
    data, hashes = build_data(compose_cfg(*network_overrides(network))), []
    for state, seed in ((1, 0), (2, 0), (1, 1)):
        set_global_seeds(state)
        before = global_states()
        model = build_model(compose_cfg(*network_overrides(network, f"seed={seed}")), data)
        assert global_states() == before
        assert all(module.training for module in model.modules())
        hashes.append(init_hash(model))
    assert hashes[0] == hashes[1] != hashes[2]
    if network == "Lazy":  # the pass that infers shapes does not change running statistics
        assert model.get_buffer("body.1.running_mean").eq(0).all()


def test_weights_that_no_seed_sets_are_refused(compose_cfg: Compose) -> None:
    cfg = compose_cfg(*network_overrides("Unseeded"))
    with config_error("model=tests.training.networks.Unseeded: weight ... default_rng"):
        build_model(cfg, build_data(cfg))


@pytest.mark.parametrize("network", ["NeverCalled", "SpareLazy"])
def test_lazy_layers_without_a_shape_are_refused(compose_cfg: Compose, network: str) -> None:
    cfg = compose_cfg(*network_overrides(network))
    with pytest.raises(ConfigError, match=rf"^model=tests\.training\.networks\.{network}: .*spare\.weight"):
        build_model(cfg, build_data(cfg))


def test_a_network_without_lazy_layers_gets_no_pass(compose_cfg: Compose) -> None:
    cfg = compose_cfg(*network_overrides("Counting"))
    model: Any = build_model(cfg, build_data(cfg))
    assert (float(model.passes), model.calls) == (0.0, 0)


@pytest.mark.slow
def test_runs_of_one_seed_do_not_depend_on_earlier_draws(compose_cfg: Compose, store_uri: str) -> None:
    hashes, ids = [], []
    for state, strategy in ((1, "l2"), (2, "none")):
        set_global_seeds(state)
        overrides = network_overrides(
            "Drawing", "trainer.max_epochs=2", f"tracking.uri={store_uri}", f"regularizer={strategy}"
        )
        ids.append(run(compose_cfg(*overrides), overrides).run_id)
        hashes.append(MlflowClient(store_uri).get_run(ids[-1]).data.tags["init_hash"])
    assert hashes[0] == hashes[1]
    set_global_seeds(3)
    assert rerun(store_uri, ids[0], Typed({"model.target": "tests.training.networks.Drawing"})) is True


SEEDING = """
import math, torch
from torch import nn
{top}
class Net(nn.Module):
    def __init__(self, input_shape, outputs):
        super().__init__()
        {constructor}
        self.layer = nn.Linear(math.prod(input_shape), outputs)
    def forward(self, x):
        return self.layer(x)
"""


@pytest.mark.slow
def test_seeding_at_import_does_not_change_initial_weights(
    compose_cfg: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seeds_at_top.py").write_text(SEEDING.format(top="torch.manual_seed(0); torch.rand(3)", constructor=""))
    (tmp_path / "plain_net.py").write_text(SEEDING.format(top="", constructor=""))
    hashes = []
    for name in ("seeds_at_top", "plain_net"):
        for seed in (0, 1):
            cfg = compose_cfg("model=torch", f"model.target={name}.Net", "data=wine", f"seed={seed}")
            hashes.append(init_hash(build_model(cfg, build_data(cfg))))
    assert hashes[:2] == hashes[2:]
    assert hashes[0] != hashes[1]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("torch.manual_seed(42)", "seeds torch"),
        ("torch.set_default_dtype(torch.float64)", "sets torch's default dtype to torch.float64"),
    ],
)
def test_a_constructor_that_sets_global_state_is_refused(
    compose_cfg: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sets_itself.py").write_text(SEEDING.format(top="", constructor=call))
    cfg = compose_cfg("model=torch", "model.target=sets_itself.Net", "data=wine")
    with pytest.raises(ConfigError, match=rf"^model=sets_itself.Net: its constructor {problem}"):
        build_model(cfg, build_data(cfg))
    assert torch.get_default_dtype() == torch.float32
