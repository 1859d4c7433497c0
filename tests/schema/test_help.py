"""Each key of a pipeline has one description, which ``--help`` and the reference print."""

import pytest
import yaml

from docs import reference
from reglab.paths import CONF
from reglab.schema.help import HELP, MOST_USED, list_of_keys
from reglab.schema.index import options
from reglab.schema.keys import PIPELINES, RUN, TRAINER

# Keys that users do not set: classes and names of options, and keys set by sweeps and studies.
UNSET = ("_target_", "name", "parent", "phase", "sweep", "study", "rerun_of")


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_each_key_of_a_pipeline_has_a_description(pipeline: str) -> None:
    assert set(HELP[pipeline]) == set(PIPELINES[pipeline])


def test_each_key_of_a_run_has_a_description() -> None:
    keys = {key for key in RUN if not key.endswith(UNSET)} | {"sweep.name"} | {f"trainer.{key}" for key in TRAINER}
    for group in ("data", "model", "scheduler"):
        for option, declared in options(group).items():
            config = yaml.safe_load((CONF / group / f"{option}.yaml").read_text(encoding="utf-8"))
            keys |= {f"{group}.{key}" for key in declared.constraints if key in config and not key.endswith(UNSET)}
    assert keys <= set(HELP["train"])


def test_the_most_used_keys_are_keys_of_their_pipeline() -> None:
    assert set(MOST_USED) == {"train", "study"}
    for pipeline, keys in MOST_USED.items():
        assert set(keys) <= set(HELP[pipeline])


@pytest.mark.parametrize("pipeline", HELP)
def test_help_and_reference_are_equal(pipeline: str) -> None:
    listed = list_of_keys(pipeline, {})
    tables = "\n".join(line for lines in reference.tables().values() for line in lines)
    for key in MOST_USED.get(pipeline, HELP[pipeline]):
        text = HELP[pipeline][key].text
        assert f" {text.replace('`', '')}" in listed
        assert f"| {text} |" in tables or "<" in key
    assert "`" not in listed
