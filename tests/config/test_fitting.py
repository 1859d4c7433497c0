"""What the config tells about where a regularizer can act is what building it finds, in the same words."""

import pytest
from omegaconf import OmegaConf

from reglab.config.compose import Composer
from reglab.config.fitting import check_data, check_model, check_passes
from reglab.paths import CONF
from reglab.regularizers.base import known
from reglab.schema.errors import ConfigError
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


def told(ask, *given):
    try:
        ask(*given)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("typed", MODELS)
@pytest.mark.parametrize("name", NAMES)
def test_the_config_tells_of_a_model_what_building_it_tells(configs, name, typed):
    node, model = configs[0][name], configs[1][typed]
    cfg = OmegaConf.create({"regularizer": {name: node}, "model": model})
    kinds = known()[name].kinds
    kind = "classification" if "classification" in kinds and typed != "llama" else "language modeling"
    if kind not in kinds:
        pytest.skip("it is for another kind of task than this model")
    built = told(build_regularizers, cfg, network(model), kind, SHAPE)
    read = told(check_model, name, node, model) or told(check_passes, {name: node}, model)
    if "is for sigmoid" in built:
        assert read.startswith("regularizer=activity_kl: is for sigmoid, ")
    else:
        assert read == built


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("data", "shape"), [("Digits", SHAPE), ("Mnist1d", (1, 40)), ("BreastCancer", (30,))])
def test_the_config_tells_of_data_what_building_it_tells(configs, name, data, shape):
    cfg = OmegaConf.create({"regularizer": {name: configs[0][name]}, "model": {}})
    read = told(
        check_data, f"regularizer={name}", configs[0][name], {"_target_": f"reglab.data.{data}"}, "leave it out"
    )
    built = told(build_regularizers, cfg, network(configs[1]["residual_cnn"]), "classification", shape)
    assert bool(read) == ("the shape" in built or "is for language modeling" in built)
    assert read.split(", and ")[0] == (built.split(", and ")[0] if read else "")


def test_a_class_that_says_nothing_is_left_to_the_build(configs):
    check_model("spatial_dropout", configs[0]["spatial_dropout"], {"_target_": "elsewhere.Net"})
    check_data("regularizer=cutmix", configs[0]["cutmix"], {"_target_": "elsewhere.Data"}, "leave it out")


def test_sequences_of_different_lengths_need_a_model_that_sees_their_ends(configs):
    data = {"_target_": "reglab.data.SpokenDigits", "name": "speech"}
    models = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
    nodes = {name: Composer().compose([f"model={name}"]).model for name in models}
    fit = [name for name, node in nodes.items() if not told(check_data, f"model={name}", node, data, "use another")]
    assert fit == ["cnn", "gru", "torch", "transformer_encoder"]
    assert told(check_data, "model=mlp", configs[1]["mlp"], data, "") == (
        "model=mlp: does not see where sequences end, and speech has some of different lengths; use model=gru, cnn or "
        "transformer_encoder"
    )
    for name in ("activity_l1", "activity_kl"):
        assert "takes every place" in told(check_data, f"regularizer={name}", configs[0][name], data, "")
    assert told(check_data, "regularizer=augmentation", configs[0]["augmentation"], data, "") == (
        "regularizer=augmentation: takes every place for a real one, and speech has sequences that end early; "
        "leave it out"
    )
