"""Compatibility errors of regularizers from the config equal those of building them."""

import pytest
from omegaconf import OmegaConf

from reglab.config.compose import Composer, compose
from reglab.paths import CONF
from reglab.regularizers.base import regularizer_classes
from reglab.schema.compatibility import check_data, check_metric, check_model, check_passes
from reglab.schema.errors import ConfigError, Setting
from reglab.schema.task_kinds import kinds_with
from reglab.training.build import build_regularizers

NAMES = sorted(path.stem for path in (CONF / "regularizer").glob("*.yaml") if path.stem != "none")
MODELS = ["mlp", "mlp model.hidden_sizes=[]", "linear", "cnn", "cnn model.activation=sigmoid", "residual_cnn", "llama"]
MODELS += ["transformer_encoder", "resnet model.channels=[4,8] model.depths=[1,1]"]
SHAPE = (1, 8, 8)

pytestmark = pytest.mark.filterwarnings("ignore:regularizer=alpha_dropout")


@pytest.fixture(scope="module")
def configs():
    composer = Composer()
    nodes = OmegaConf.to_container(composer.compose([f"regularizer=[{','.join(NAMES)}]"]), resolve=True)["regularizer"]
    models = {typed: composer.compose(f"model={typed}".split()) for typed in MODELS}
    return nodes, {typed: OmegaConf.to_container(cfg.model, resolve=True) for typed, cfg in models.items()}


def network(model):
    from hydra.utils import get_class

    keys = {key: value for key, value in model.items() if key not in ("_target_", "name")}
    return get_class(model["_target_"])(input_shape=SHAPE, outputs=10, **keys)


def error_of(check, *arguments):
    try:
        check(*arguments)
    except ConfigError as error:
        return error
    return None


def chosen(name):
    return Setting("regularizer", name)


@pytest.mark.slow
@pytest.mark.parametrize("typed", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_errors_on_models_from_the_config_equal_those_of_building(configs, name, typed):
    node, model = configs[0][name], configs[1][typed]
    cfg = OmegaConf.create({"regularizer": {name: node}, "model": model})
    kinds = kinds_with(regularizer_classes()[name].requires_task)
    kind = "classification" if "classification" in kinds and typed != "llama" else "language modeling"
    if kind not in kinds:
        pytest.skip("it is for another kind of task than this model")
    built = error_of(build_regularizers, cfg, network(model), kind, SHAPE)
    read = error_of(check_model, chosen(name), node, model) or error_of(check_passes, {name: node}, model)
    if built is not None and "is for sigmoid" in built.problem:
        assert "is for sigmoid" in read.problem
    else:
        assert str(read) == str(built)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("data", "shape"), [("Digits", SHAPE), ("Mnist1d", (1, 40)), ("BreastCancer", (30,))])
def test_errors_on_data_from_the_config_equal_those_of_building(configs, name, data, shape):
    cfg = OmegaConf.create({"regularizer": {name: configs[0][name]}, "model": {}})
    read = error_of(check_data, chosen(name), configs[0][name], {"_target_": f"reglab.data.{data}"}, "leave it out")
    built = error_of(build_regularizers, cfg, network(configs[1]["residual_cnn"]), "classification", shape)
    by_data = built is not None and ("the shape" in built.problem or "is for language modeling" in built.problem)
    assert (read is not None) == by_data
    if read is not None:
        assert read.problem.split(", and ")[0] == built.problem.split(", and ")[0]


def test_a_class_without_declarations_is_checked_by_building(configs):
    check_model(chosen("spatial_dropout"), configs[0]["spatial_dropout"], {"_target_": "torch.nn.Sequential"})
    check_data(chosen("cutmix"), configs[0]["cutmix"], {"_target_": "torch.utils.data.Dataset"}, "leave it out")


@pytest.mark.slow
def test_sequences_of_different_lengths_need_a_model_that_supports_padding(configs):
    data = {"_target_": "reglab.data.SpokenDigits", "name": "speech"}
    models = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    nodes = {name: Composer().compose([f"model={name}"]).model for name in models}
    fit = [name for name, node in nodes.items() if not error_of(check_data, Setting("model", name), node, data, "")]
    assert fit == ["cnn", "gru", "torch", "transformer_encoder"]
    refused = error_of(check_data, Setting("model", "mlp"), configs[1]["mlp"], data, "")
    assert "padding" in refused.problem
    assert "gru" in refused.remedy
    assert "mlp" not in refused.remedy
    for name in ("activity_l1", "activity_kl", "augmentation"):
        refused = error_of(check_data, chosen(name), configs[0][name], data, "")
        assert (refused.key, refused.value) == ("regularizer", name)
        assert "padding" in refused.problem


def test_a_metric_must_be_of_the_task_kind_of_a_run() -> None:
    classification, regression = compose(["data=digits"]).data, compose(["data=diabetes"]).data
    check_metric(Setting("metric", "test/loss"), [classification, regression])
    check_metric(Setting("metric", "test/rmse"), [classification, regression])
    with pytest.raises(ConfigError) as refused:
        check_metric(Setting("study.metric", "test/rmse"), [classification])
    assert (refused.value.key, refused.value.value) == ("study.metric", "test/rmse")
    assert "regression" in refused.value.problem
    assert "classification" in refused.value.problem


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "fraction"), [("test/accuracy", "test_fraction"), ("best/val/loss", "val_fraction")]
)
def test_a_metric_needs_rows(metric: str, fraction: str) -> None:
    without, with_rows = compose(["data=digits", f"data.{fraction}=0"]).data, compose(["data=digits"]).data
    check_metric(Setting("metric", metric), [without, with_rows])
    with pytest.raises(ConfigError, match=f"data.{fraction}=0") as refused:
        check_metric(Setting("metric", metric), [without])
    assert refused.value.key == "metric"
