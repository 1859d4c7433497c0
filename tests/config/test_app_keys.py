"""Keys that an app does not read, or that have no effect with other keys."""

import pytest

from reglab.cli import prepare_arguments
from reglab.config.check_run import check
from reglab.config.command_line import notes_on_ineffective
from tests.errors import config_error

WITHOUT_EFFECT = {
    "generate temperature=0 top_k=3": "top_k=3: nothing is drawn at temperature=0",
    "generate generation.seed=0": "generation.seed=0: nothing is drawn at temperature=0",
    "generate passes=8": "passes=8: needs train_mode=true",
    "generate tracking.experiment=a run_id=a1b2": "tracking.experiment=a: best run ... run_id",
    "export run_id=a1b2 tracking.experiment=a": "tracking.experiment=a: best run ... run_id",
    "study -m seeds=3 study.seeds=5": "study.seeds=5: seeds is typed too",
    "generate data.path=book.txt": "data.path=book.txt: generate reads no data",
    "generate tracking={weights:none}": "tracking.weights=none: no such key",
    "study -m study.tasks={data:digits}": "study.tasks={data:digits}: must be a list",
    "report hydra.sweep.dir=x": "hydra.sweep.dir=x: only in sweeps",
    "evaluate hydra/launcher=joblib": "hydra/launcher=joblib: only in sweeps",
    "study -m hydra.run.dir=x": "hydra.run.dir=x: only in a single run",
    "ui tracking.uri=http://127.0.0.1:1 ui.port=5001": "ui.port=5001: tracking.uri is a server",
}


@pytest.mark.parametrize("typed", WITHOUT_EFFECT, ids=str)
def test_keys_without_effect_are_refused(typed):
    app, *words = typed.split()
    with config_error(WITHOUT_EFFECT[typed]):
        prepare_arguments(words, app)


def test_keys_with_an_effect_pass():
    prepare_arguments(["train_mode=true", "passes=8", "generation.seed=1"], "generate")
    prepare_arguments(["temperature=1", "generation.seed=1", "tracking.experiment=a"], "generate")
    prepare_arguments(["+trainer.min_epochs=2", "regularizer=early_stopping"], "train", check)
    assert prepare_arguments(["data=wine", "-m", "seed=0,1"], "train", check) == ["-m", "data=wine", "seed=0,1"]


def test_an_error_of_another_app_lists_its_own_keys():
    with config_error("data=mnist5k: (keys: baseline, direction, "):
        prepare_arguments(["data=mnist5k"], "report")
    with config_error("metrics=3: no such key ... metric?"):
        prepare_arguments(["metrics=3"], "report")


# Keys of a composed config that an app reads: those of its --help.
UNKNOWN = {
    "evaluate passes=5": "passes=5: no such key ... mc_dropout?",
    "evaluate phase=single": "phase=single: no such key ... data, mc_dropout, model, run_id,",
    "evaluate weights=best": "weights=best: no such key ... data, mc_dropout, model, run_id,",
    "evaluate uri=x": "uri=x: no such key ... tracking.uri?",
    "evaluate tracking.ur=x": "tracking.ur=x: no such key ... tracking.uri?",
    "evaluate tracking.phas=x": "tracking.phas=x: no such key (keys of tracking: uri, experiment)",
    "rerun seed=1": ("seed=1: no such key ... code, data, model, run_id, tracking) ... train, make evaluate)"),
    "status sweep.name=x": "sweep.name=x: no such key ... make train",
    "train study.seeds=3": "study.seeds=3: no such key ... make study",
    "train study=quick": "study=quick: no such key ... make study",
    "train mc_dropout=9": "mc_dropout=9: no such key (mc_dropout is a key of make evaluate)",
    "report trainer.max_epochs=3": "trainer.max_epochs=3: no such key ... make train",
    "generate topk=3": "topk=3: no such key; did you mean top_k?",
    "generate seed=1": "seed=1: no such key ... generation.seed?",
    "status experiment=x": "experiment=x: no such key ... tracking.experiment?",
    "study processes=2": "processes=2: no such key ... workers?",
    "train learning_rate=.1": "learning_rate=.1: no such key ... optimizer.lr?",
    "train passes=3": "passes=3: no such key ... trainer.max_epochs?",
}


@pytest.mark.slow
@pytest.mark.parametrize("typed", UNKNOWN, ids=str)
def test_an_unknown_key_is_refused_with_a_suggestion_that_the_app_reads(typed):
    app, override = typed.split()
    with config_error(UNKNOWN[typed]):
        prepare_arguments([override], app)


def test_a_folder_of_reports_is_noted_in_a_single_run() -> None:
    line = ["seed=1", "report.dir=x"]
    assert notes_on_ineffective(line, "train") == ["report.dir=x has an effect only in sweeps"]
    assert notes_on_ineffective(line, "report") == notes_on_ineffective(line[:1], "train") == []
