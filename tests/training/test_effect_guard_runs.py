"""Refusals before training starts, in a run, a sweep and a study: no effect, side effects, noise in evaluation."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from reglab.schema.errors import ConfigError
from reglab.study.arm_checks import check_arms
from reglab.tracking import queries
from reglab.tracking.store import open_store
from reglab.training.build import build_data, build_model, build_task, build_with_caveats
from reglab.training.effect_guard import check_effects_on_data
from reglab.training.fit import Fit
from reglab.training.model_data_checks import check_fit
from reglab.training.repeatability import evaluation_differs
from reglab.training.run import run
from tests.conftest import Compose
from tests.errors import config_error
from tests.execution.sweeps import children, sweep
from tests.study.studies import arms_of

NETWORKS = "model.target=tests.training.networks."
FUNCTIONAL = ["model=torch", NETWORKS + "Functional", "data=wine"]


@pytest.mark.slow
def test_a_run_without_effect_fails_before_its_first_step(compose_cfg: Compose, store_uri: str) -> None:
    with config_error("regularizer=dropout: first batch ... never calls act"):
        run(compose_cfg(*FUNCTIONAL, "regularizer=[dropout,l2]"))
    (record,) = queries.runs(open_store(store_uri, "reglab"))
    assert record.status == "FAILED"
    assert not record.metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [["Compiled"], ["CompiledCalls", "model.args={method:true}"], ["CompiledCalls", "model.args={method:false}"]],
)
def test_hooks_reach_modules_compiled_and_called_before(compose_cfg: Compose, network: list[str]) -> None:
    cfg = compose_cfg("model=torch", NETWORKS + network[0], *network[1:], "data=wine", "regularizer=dropout")
    data = build_data(cfg)
    model = build_model(cfg, data)
    check_fit(cfg, model, data)
    regularizers, _ = build_with_caveats(cfg, model, data)
    assert check_effects_on_data(Fit(model, build_task(cfg, data), regularizers), data) == []
    torch._dynamo.reset()


@pytest.mark.slow
def test_a_sweep_is_refused_in_one_line_a_method(tmp_path: Path, store_uri: str) -> None:
    with pytest.raises(ConfigError) as error:
        sweep(tmp_path, "regularizer=none,dropout,l2,gaussian_dropout", "seed=0,1", base=FUNCTIONAL)
    refused = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in refused] == ["regularizer=dropout", "regularizer=gaussian_dropout"]
    assert not children(tmp_path)


@pytest.mark.slow
def test_a_study_is_refused_with_the_strategy_to_leave_out() -> None:
    task = "study.tasks=[{model:torch,model.target:tests.training.networks.Functional,data:wine,data.label_noise:0}]"
    more = ["study.common.data.train_size=null", "~study.common.model.hidden_sizes", "study.strategies=[none,dropout]"]
    with config_error("regularizer=dropout: no effect ... study.strat"):
        check_arms(*arms_of(task, *more))


@pytest.mark.slow
def test_a_network_that_is_random_in_evaluation_is_refused(compose_cfg: Compose) -> None:
    cfg = compose_cfg("model=torch", NETWORKS + "NoisyInEvaluation", "data=wine")
    data = build_data(cfg)
    with config_error("model=tests.training.networks.NoisyInEvaluation: self.training"):
        check_fit(cfg, build_model(cfg, data), data)
    model: Any = build_model(compose_cfg("model=torch", NETWORKS + "Counting", "data=wine"), data)
    check_fit(compose_cfg("model=torch", NETWORKS + "Counting", "data=wine"), model, data)
    assert (float(model.passes), model.calls) == (0.0, 0)


@pytest.mark.slow
def test_a_network_with_unseeded_draws_in_training_is_refused(compose_cfg: Compose) -> None:
    data = build_data(compose_cfg("data=wine"))
    for network, reason in (
        ("UnseededInTraining", "draws from tests.training.networks._OUTSIDE in training"),
        ("RarelyDrawing", "draws from tests.training.networks._OUTSIDE in training"),
        ("Counted", "two passes in training mode over the same rows .* differ"),
        ("Adapting", "a pass in eval mode changes what later ones return"),
    ):
        cfg = compose_cfg("model=torch", NETWORKS + network, "data=wine", "regularizer=none")
        with pytest.raises(ConfigError, match=rf"^model=tests\.training\.networks\.{network}: {reason}"):
            check_fit(cfg, build_model(cfg, data), data)
    for network in ("Drawing", "Caching"):  # global generators; state of the network
        cfg = compose_cfg("model=torch", NETWORKS + network, "data=wine")
        check_fit(cfg, build_model(cfg, data), data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("does", "problem"),
    {
        "ignores the mode": "eval() ... network, layer, noise ... training",
        "trains": "eval() noise is in training mode",
        "seeds torch": "seeds the generator of torch",
        "seeds numpy": "seeds the generator of numpy",
        "replaces": "replaces ... layer.bias",
        "needs gradients": "fails ... +trainer.inference_mode=false",
        "squeezes": "(3,) ... 1 example ... (1, 3) ... squeeze(-1)",
        "reads": "REGLAB_SCALE ... model.args",
        "sets": None,
        "needs gradients in training": None,
    }.items(),
)
def test_networks_with_side_effects_are_refused(compose_cfg: Compose, does: str, problem: str | None) -> None:
    cfg = compose_cfg("model=torch", NETWORKS + "Doing", f"model.args={{does:'{does}'}}", "data=wine")
    data = build_data(cfg)
    key = "model.target" if does == "reads" else "model"
    with config_error(f"{key}=tests.training.networks.Doing: {problem}") if problem else nullcontext():
        check_fit(cfg, build_model(cfg, data), data)
    if does == "needs gradients":
        cfg = compose_cfg(
            "model=torch",
            NETWORKS + "Doing",
            f"model.args={{does:'{does}'}}",
            "data=wine",
            "+trainer.inference_mode=false",
        )
        check_fit(cfg, build_model(cfg, data), data)


@pytest.mark.slow
@pytest.mark.parametrize(("does", "shape"), [("holds a layer", "(3, 3)"), ("holds a weight", "(3,)"), ("nothing", "")])
def test_weights_that_are_no_parameters_give_a_caveat(compose_cfg: Compose, does: str, shape: str) -> None:
    cfg = compose_cfg("model=torch", NETWORKS + "Doing", f"model.args={{does:'{does}'}}", "data=wine")
    data = build_data(cfg)
    caveats = [
        caveat
        for caveat in build_with_caveats(cfg, build_model(cfg, data), data)[1]
        if "not parameters of it" in caveat
    ]
    assert len(caveats) == bool(shape)
    assert all(shape in caveat for caveat in caveats)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("end:softmax", ["the model are probabilities", "softmax"]),
        ("end:softmax,training:training", ["in training mode", "probabilities"]),
        ("end:softmax,training:eval", ["in eval mode", "probabilities"]),
        ("end:sigmoid", ["the model lie between 0 and 1", "sigmoid"]),
        ("end:sigmoid,training:training", ["in training mode", "sigmoid"]),
        ("end:rows", ["eval mode", "other rows"]),
        ("end:rows,training:training", []),
        ("end:chance", []),
        ("end:logits", []),
    ],
)
def test_outputs_that_are_no_logits_give_a_caveat(compose_cfg: Compose, end: str, words: list[str]) -> None:
    cfg = compose_cfg("model=torch", NETWORKS + "Ending", f"model.args={{{end}}}", "data=wine")
    data = build_data(cfg)
    model = build_model(cfg, data)
    before = [value.clone() for value in model.state_dict().values()]
    caveats = build_with_caveats(cfg, model, data)[1]
    assert len(caveats) == bool(words)
    assert all(word in caveat for caveat in caveats for word in words)
    assert all(map(torch.equal, before, model.state_dict().values()))
    assert model.training


def test_penalties_are_refused_under_an_optimizer_for_sparse_gradients(compose_cfg: Compose) -> None:
    sparse = ["optimizer._target_=torch.optim.SparseAdam", "data=wine"]
    data = build_data(compose_cfg(*sparse))
    for method in ("l2", "elastic_net", "orthogonal"):
        cfg = compose_cfg(*sparse, f"regularizer={method}")
        with pytest.raises(ConfigError, match=rf"^regularizer={method}: adds dense gradients; .*SparseAdam"):
            build_with_caveats(cfg, build_model(cfg, data), data)
    cfg = compose_cfg(*sparse, "regularizer=max_norm")
    build_with_caveats(cfg, build_model(cfg, data), data)


class Kernel(nn.Linear):
    """Linear layer with different rounding in each pass, as from a nondeterministic kernel."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        Kernel.calls += 1
        return super().forward(x) * (1 + 1e-7 * (Kernel.calls % 3))


@pytest.mark.parametrize(
    ("model", "differs"),
    [
        (nn.Linear(4, 3), False),
        (nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)), False),
        (nn.Sequential(nn.Linear(4, 300), nn.RReLU(), nn.AlphaDropout(0.01)), False),
        (Kernel(4, 3), False),
    ],
    ids=["plain", "dropout", "rrelu", "rounding"],
)
def test_only_draws_are_noise_in_evaluation(model: nn.Module, differs: bool) -> None:
    x = torch.randn(8, 4)
    model.train()
    assert evaluation_differs(model, lambda: model(x)) is differs
    assert model.training


def test_rare_and_small_noise_in_evaluation_is_detected() -> None:
    model = nn.Linear(4, 30)
    for noise in (lambda y: torch.dropout(y, 0.02, train=True), lambda y: y + 1e-6 * torch.randn_like(y)):
        assert evaluation_differs(model, lambda noise=noise: noise(model(torch.ones(8, 4))))
