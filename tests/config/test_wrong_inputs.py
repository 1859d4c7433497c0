"""Wrong values for every key of every config: refused fast with the name of the key, or of a permitted type."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config import wrong_inputs

SHARES = {"train": 160}  # one case in 160; in 40 for other apps


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder for the files of the cases, also on the import path."""
    path = tmp_path_factory.mktemp("wrong")
    sys.path.insert(0, str(path))
    yield path
    sys.path.remove(str(path))


@pytest.fixture(scope="module")
def paths(folder: Path) -> dict[str, str]:
    """Paths of files without valid data, by description."""
    return wrong_inputs.files(folder)


@pytest.mark.slow
@pytest.mark.parametrize("app", wrong_inputs.APPS)
def test_a_wrong_value_is_refused_with_its_key_or_has_a_permitted_type(
    app: str, folder: Path, paths: dict[str, str]
) -> None:
    """Try a fixed sample of cases; ``python -m tests.config.wrong_inputs`` tries all."""
    every = list(wrong_inputs.cases(wrong_inputs.keys(app, folder), paths))
    tried = wrong_inputs.sample(every, SHARES.get(app, 40))
    assert len(tried) >= 10
    wrong = {
        case.id: violation for case in tried if (violation := wrong_inputs.problem(case, wrong_inputs.outcome(case)))
    }
    assert wrong == {}


def test_every_key_of_every_config_is_tried(folder: Path) -> None:
    tried = {app: {key.name for key in wrong_inputs.keys(app, folder)} for app in ("train", "study", "generate")}
    assert {"seed", "data.path", "data.size", "model.kernel_size", "regularizer.dropout.input_p"} <= tried["train"]
    assert {"optimizer.betas", "trainer.precision", "tracking.weights", "sweep.name", "data"} <= tried["train"]
    assert {"study.space", "study.pruning", "seeds", "report.dir"} <= tried["study"]
    assert {"temperature", "generation.seed", "tracking.uri"} <= tried["generate"]
