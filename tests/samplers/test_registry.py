"""The registry of samplers, and requirements on all samplers."""

import re
import subprocess
import sys

import pytest

from reglab.samplers import Observation, Sampler, get_sampler, register, sampler_names
from reglab.schema.search_space import Choice, Range

SPACE = (Range("optimizer.lr", 1e-4, 1e-2, log=True), Range("regularizer.l2.strength", 1e-6, 1e-2, log=True, off=0.0),
         Choice("optimizer.nesterov", (True, False)))  # fmt: skip


def propose(name: str, trials: int, seed: int = 0) -> list[Observation]:
    history: list[Observation] = []
    for index in range(trials):
        values = get_sampler(name).propose(SPACE, history, seed=seed, arm="digits mlp l2", minimize=True)
        history.append(Observation(values, float(index)))
    return history


@pytest.mark.parametrize("name", sampler_names())
def test_proposals_are_a_pure_function_within_the_space(name: str) -> None:
    first = propose(name, 8)
    assert first == propose(name, 8)
    assert first != propose(name, 8, seed=1)
    for values, _ in first:
        assert 1e-4 <= values["optimizer.lr"] <= 1e-2  # type: ignore[operator]  # a number
        assert values["regularizer.l2.strength"] == 0 or 1e-6 <= values["regularizer.l2.strength"] <= 1e-2  # type: ignore[operator]
        assert values["optimizer.nesterov"] in (True, False)


@pytest.mark.parametrize("name", sampler_names())
def test_a_sampler_describes_itself_with_its_seed(name: str) -> None:
    assert re.search(r"search seed 17\b", get_sampler(name).describe(17))


def test_a_name_is_registered_once() -> None:
    class Second(type(get_sampler("tpe"))):  # type: ignore[misc]  # the class of the registered sampler
        pass

    with pytest.raises(ValueError, match="tpe is registered already"):
        register(Second)
    with pytest.raises(KeyError):
        get_sampler("grid")
    assert all(isinstance(get_sampler(name), Sampler) for name in sampler_names())


def test_the_registry_loads_no_heavy_library() -> None:
    code = "import sys, reglab.samplers; print([m for m in ('torch', 'optuna', 'scipy', 'mlflow') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
