"""Every key of every config with wrong values: refused by name in an instant, or a value of the kind that it may be."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config import wrong_inputs

SHARES = {"train": 160}  # one case in so many; of other apps one in 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the files of the cases are, and a module that Python finds."""
    path = tmp_path_factory.mktemp("wrong")
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))


@pytest.fixture(scope="module")
def paths(folder: Path) -> dict[str, str]:
    """Files that are no data."""
    return wrong_inputs.files(folder)


@pytest.mark.slow
@pytest.mark.parametrize("app", wrong_inputs.APPS)
def test_a_wrong_value_is_refused_by_its_key_or_is_of_its_kind(app: str, folder: Path, paths: dict[str, str]) -> None:
    """A sample, the same at each time; ``python -m tests.config.wrong_inputs`` tries all."""
    every = list(wrong_inputs.cases(wrong_inputs.keys(app, folder), paths))
    tried = wrong_inputs.sample(every, SHARES.get(app, 40))
    assert len(tried) >= 10
    wrong = {case.id: fault for case in tried if (fault := wrong_inputs.problem(case, wrong_inputs.outcome(case)))}
    assert wrong == {}


def test_every_key_of_every_config_is_tried(folder: Path) -> None:
    tried = {app: {key.name for key in wrong_inputs.keys(app, folder)} for app in ("train", "study", "generate")}
    assert {"seed", "data.path", "data.size", "model.kernel_size", "regularizer.dropout.input_p"} <= tried["train"]
    assert {"optimizer.betas", "trainer.precision", "tracking.weights", "sweep.name", "data"} <= tried["train"]
    assert {"study.space", "study.pruning", "seeds", "report.dir"} <= tried["study"]
    assert {"temperature", "generation.seed", "tracking.uri"} <= tried["generate"]
