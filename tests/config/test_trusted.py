import pytest

from reglab.config.compose import compose
from reglab.config.trusted import check_overrides, check_targets, known
from reglab.errors import ConfigError

REFUSED = "what only a tracker names is not run; give the class a YAML of its own in conf/"


def test_what_the_config_tree_names_is_trusted() -> None:
    assert {"reglab.models.MLP", "torch.optim.AdamW"} <= known()
    check_targets(compose(["regularizer=[dropout,l1]", "scheduler=cosine", "data=mnist1d", "model=cnn"]))


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("model._target_=os.system", "model._target_"),
        ("+model.parts=[{_target_:os.system}]", "model.parts.0._target_"),
        ("+optimizer.mine={a:{_target_:os.system}}", "optimizer.mine.a._target_"),
        ("+model.twin='${oc.create:{_target_:os.system}}'", "model.twin._target_"),
    ],
)
def test_anything_else_is_refused_wherever_it_stands(override: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_targets(compose([override]))
    assert str(caught.value) == f"{key}=os.system: {REFUSED}"
    with pytest.raises(ConfigError) as caught:
        check_overrides(["seed=1", override])
    assert str(caught.value) == f"{override}: {REFUSED}"
