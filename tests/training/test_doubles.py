import pytest
from mlflow import MlflowClient

from reglab.training.run import run
from tests.conftest import Compose


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["regularizer=[l2,weight_decay]"], "l2 is asked for by l2.strength and weight_decay.strength"),
        (["regularizer=[l2,weight_decay]", "regularizer.l2.strength=0"], None),
        (["regularizer=l2", "optimizer.weight_decay=0.1"], "l2 is asked for by l2.strength and optimizer.weight_decay"),
        (["regularizer=[l1,elastic_net]"], "l1 is asked for by elastic_net.l1 and l1.strength"),
        (["regularizer=[l1,elastic_net]", "regularizer.elastic_net.l1=0"], None),
        (["regularizer=none", "optimizer.weight_decay=0.1"], None),
        (
            ["regularizer=gradient_clipping", "trainer.gradient_clip_val=1"],
            "gradient clipping is asked for by gradient_clipping.max_norm and trainer.gradient_clip_val",
        ),
        (["regularizer=none", "trainer.gradient_clip_val=1"], None),
    ],
)
def test_the_same_effect_asked_for_twice_is_told_and_tagged(
    compose_cfg: Compose,
    store_uri: str,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    said: str | None,
) -> None:
    result = run(compose_cfg("trainer=fast", *overrides))
    tags = MlflowClient(store_uri).get_run(result.run_id).data.tags
    assert tags.get("double_counting") == said
    assert (f"note: {said}\n" if said else "") == capsys.readouterr().err
