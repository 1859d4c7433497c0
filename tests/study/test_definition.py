"""A study's config: what it means, and one line for each thing that is wrong with it."""

import pytest

from reglab.cli import prepare
from reglab.config.compose import Composer
from reglab.config.selection import opened
from reglab.schema.errors import ConfigError
from reglab.schema.search_space import Choice, Range
from reglab.study.definition import check_options
from reglab.study.shared import held_fixed
from tests.study.studies import cells_of, config, read_study


def test_lists_in_a_task_are_axes() -> None:
    study = read_study("study.tasks=[{data:digits,model:[mlp,linear],data.label_noise:[0,0.4]},{data:breast_cancer}]")
    assert study.tasks == (
        ("data=digits", "model=mlp", "data.label_noise=0"),
        ("data=digits", "model=mlp", "data.label_noise=0.4"),
        ("data=digits", "model=linear", "data.label_noise=0"),
        ("data=digits", "model=linear", "data.label_noise=0.4"),
        ("data=breast_cancer",),
    )


def test_confirmation_seeds_are_fresh() -> None:
    study = read_study("study.tuning_seeds=3", "seeds=20")
    assert len(study.seeds) == 20
    assert study.tuning_seeds == (1000, 1001, 1002)
    assert not set(study.seeds) & set(study.tuning_seeds)


def test_a_combined_strategy_may_be_written_either_way() -> None:
    assert read_study("study.strategies=[none,dropout+l2]").strategies == ("none", "dropout+l2")
    assert read_study("study.strategies=[none,[dropout,l2]]").strategies == ("none", "dropout+l2")


def test_spaces_come_from_the_regularizers_and_hold_the_learning_rate() -> None:
    _, (none, both), _ = cells_of("study.strategies=[none,l2+max_norm]")
    rate = Range("optimizer.lr", 1e-4, 1e-2, log=True)
    assert none.space == (rate,)
    assert both.strategy == "l2+max_norm"
    assert both.space == (
        rate,
        Range("regularizer.l2.strength", 1e-6, 1e-1, log=True, off=0.0),
        Range("regularizer.max_norm.max_norm", 1.0, 5.0, off=float("inf")),
    )


@pytest.mark.parametrize("typed", ["++study.space=null", "~study.space"])
def test_without_a_space_each_strategy_searches_its_own_strengths_alone(typed: str) -> None:
    _, (none, dropout), _ = cells_of(typed)
    assert none.space == ()
    assert {one.key for one in dropout.space} == {"regularizer.dropout.input_p", "regularizer.dropout.p"}


@pytest.mark.parametrize("key", ["study.space", "study.space.optimizer.lr", "study.common"])
def test_an_empty_section_is_refused_which_would_change_nothing(key: str) -> None:
    with pytest.raises(ConfigError) as told:
        opened(f"{key}={{}}")
    assert str(told.value) == (
        f"{key}={{}}: is empty, which leaves {key} as it is; name what it is to hold, or say {key}=null"
    )
    assert opened(f"{key}={{a:1}}") == f"++{key}={{a:1}}"


def test_a_key_that_was_taken_out_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^study\.trials: missing; set \+study\.trials=\.\.\.$"):
        read_study("~study.trials")


def test_a_study_may_change_a_space() -> None:
    changed = [
        "+study.space.regularizer.dropout.p.high=0.7",
        "study.space.optimizer.lr=null",
        "+study.space.optimizer.weight_decay={choices:[0,0.1]}",
    ]
    _, (none, dropout), _ = cells_of(*changed)
    assert none.space == (Choice("optimizer.weight_decay", (0, 0.1)),)
    p = next(one for one in dropout.space if one.key == "regularizer.dropout.p")
    assert isinstance(p, Range)
    assert (p.high, p.off) == (0.7, 0.0)
    assert "regularizer.dropout.input_p" not in [one.key for one in dropout.space]


def test_tasks_that_read_alike_are_told_apart() -> None:
    _, found, _ = cells_of("study.tasks=[{data:digits,data.batch_size:[32,64]}]")
    assert len({cell.about for cell in found}) == 2


WRONG = {
    "study.trials=0": "study.trials=0: must be a whole number of 1 or more",
    "study.seeds=0": "study.seeds=0: must be a whole number from 1 to 1000",
    "seeds=2000": "seeds=2000: must be a whole number from 1 to 1000",
    "study.strategies=[none]": "study.strategies=[none]: nothing to compare; name two or more",
    "study.strategies=[none,dropuot]": "study.strategies=dropuot: no such option; did you mean dropout? (choose from ",
    "study.strategies=[none,none+l2]": "study.strategies=none+l2: none stands alone; leave it out",
    "study.strategies=[none,l2+l2]": "study.strategies=l2+l2: names a regularizer twice; leave one out",
    "study.strategies=none": "study.strategies=none: must be a list of 1 or more, each a strategy",
    "study.baseline=l1": "study.baseline=l1: no strategy of this study (there are none, dropout)",
    "study.metric=test/acuracy": (
        "study.metric=test/acuracy: not known; did you mean test/accuracy?",
        "study.metric=test/acuracy: must be one of",
    ),
    "study.direction=up": "study.direction=up: must be one of max, min, or null",
    "study.select_by=test/accuracy": "select_by=test/accuracy: the test judges, it must not choose; take val/accuracy",
    "study.sampler=random": "study.sampler=random: must be one of quasi_random, tpe",
    "study.pruning.rungs=3": "study.pruning.rungs=3: study.pruning is null; give all its keys at once, as in "
    "study.pruning={rungs:3}",
    "study.pruning={eta:3}": "study.pruning={eta:3}: must be null, or as in {eta:3,rungs:3}",
    "study.pruning={eta:3,rungs:999999}": "study.pruning.rungs=999999: must be a whole number of 2 or more, at most 20",
    "study.sampler=tpe study.pruning={eta:3,rungs:2}": (
        "study.pruning={eta:3,rungs:2}: tpe learns from completed trials; set it to null"
    ),
    "study.tasks=[]": "study.tasks: missing; a list of tasks",
    "study.tasks=digits": "study.tasks=digits: must be a list, as in [{data:digits,model:mlp}]",
    "study.tasks=[{data:[]}]": "study.tasks: data=[] holds no value; give one or more",
    "+study.tirals=3": "study.tirals: no such key; did you mean trials?",
    "study.max_seconds=-1": "study.max_seconds=-1: must be a finite number above 0",
    "+study.common.seed=3": "study.common.seed=3: a study sets it itself; leave it out",
    "++study.common.regularizer=l1": "study.common.regularizer=l1: a study sets it itself; leave it out",
    "++study.common.tracking.uri=x": "study.common.tracking.uri=x: applies to the whole study; set tracking.uri=x",
    "++study.common.workers=2": "study.common.workers=2: applies to the whole study; set workers=2",
    "++study.common.optimiser=sgd": "study.common.optimiser=sgd: no such key of a run; did you mean optimizer?",
    "study.common=5": "study.common=5: must be overrides, as in {trainer:{max_epochs:30}}, or null",
    "study.tasks=[{data:digits,seed:3}]": "study.tasks.seed=[3]: a study sets it itself; leave it out",
    "study.tasks=[{data:digits,regularizer:l1}]": "study.tasks.regularizer=[l1]: a study sets it itself; leave it out",
    "study.tasks=[{data:digits,tracking.uri:x}]": (
        "study.tasks.tracking.uri=[x]: applies to the whole study; set tracking.uri=x"
    ),
    "study.space=5": "study.space=5: must be ranges, as in {optimizer:{lr:",
    "++study.space.seed={low:0,high:9}": "study.space.seed={low:0,high:9}: a study sets seeds itself; leave it out",
    "++study.space.data.split_seed={low:0,high:9}": "study.space.data.split_seed={low:0,high:9}: a study sets seeds",
    "++study.space.tracking.weights={choices:[best,none]}": "study.space.tracking.weights={choices:[best,none]}: not",
    "++study.space.data={choices:[digits,wine]}": "study.space.data={choices:[digits,wine]}: not a number",
    "study.trials=1000000000": "study.trials=1000000000: must be a whole number of 1 or more, at most 10000",
    "study.search_seed=1e20": "study.search_seed=1e+20: must be a whole number of 0 or more",
}
WRONG_CELLS = {
    "study.tasks=[{data:digitz}]": "data=digitz: no such option; did you mean digits?",
    "study.tasks=[{data:digits,data.label_nois:1}]": "data.label_nois=1: no such key; did you mean data.label_noise?",
    "study.tasks=[{data:diabetes,data.label_noise:0}] study.strategies=[none,label_smoothing] study.metric=test/rmse": (
        "regularizer=label_smoothing: is for classification and language modeling, and diabetes is a regression"
    ),
    "study.tasks=[{data:digits,model:linear}]": (
        "study.common.model.hidden_sizes=[8]: not a key of this model; it is one of model=gru or model=mlp; take it "
        "out by ~study.common.model.hidden_sizes"
    ),
    "study.tasks=[{data:digits,model:linear,model.hidden_sizes:[4]}]": (
        "study.common.model.hidden_sizes=[8]: not a key of this model; it is one of model=gru or model=mlp; take it "
    ),
    "study.tasks=[{data:digits,data.train_size:-1}]": "data.train_size=-1: must be",
    "study.tasks=[{data:diabetes}] study.metric=test/rmse": (
        "study.common.data.label_noise=0.4: replaces class labels, and diabetes is a regression task"
    ),
    "+study.common.model.hiden_sizes=[4]": "study.common.model.hiden_sizes=[4]: no such key; did you mean",
    "study.space.optimizer.lr.low=1": "study.space.optimizer.lr: the range is empty: low=1 is not below high=0.01",
    "study.space.optimizer.lr.low=0": "study.space.optimizer.lr.low=0: a logarithmic range must begin above 0",
    "study.space.optimizer.lr=3": "study.space.optimizer.lr=3: must be a range, as in {low:1e-4,high:1e-2,log:true}",
    "+study.space.optimizer.lr.choices=[]": "study.space.optimizer.lr.choices=[]: must be a list of one or more values",
    "+study.space.optimizer.lr.lwo=1": "study.space.optimizer.lr.lwo: no such key; did you mean low?",
    "+study.space.optimizer.momentun={low:0,high:0.9}": "optimizer.momentun=0.0: no such key",
    "+study.space.regularizer.dropout.p.high=1.5": "regularizer.dropout.p=1.5: must be a finite number at least 0",
    "study.metric=test/rmse": "study.metric=test/rmse: is for regression, and these runs are classification",
    "+study.common.data.val_fraction=0": (
        "study.select_by=best/val/accuracy: data.val_fraction=0 leaves no rows to measure it on; raise it"
    ),
    "+study.common.data.test_fraction=0": (
        "study.metric=test/accuracy: data.test_fraction=0 leaves no rows to measure it on; raise it"
    ),
    "+study.common.optimizer.lr=0.01": (
        "study.common.optimizer.lr=0.01: is searched; set study.space.optimizer.lr=null to give all trials that value"
    ),
    "+study.space.regularizer.l7.strength.high=1": "study.space.regularizer.l7.strength: no regularizer l7",
}


WRONG_LINES = {
    "study=quick,tabular": "study=quick,tabular: a study is one; start one after the other (a list is written [a,b])",
    "study.trials=4,8": "study.trials=4,8: a study is one; start one after the other (a list is written [a,b])",
    "regularizer=l1": "regularizer=l1: is for one run, and a study has many; set study.strategies=[none,l1]",
    "regularizer.l1.strength=1": (
        "regularizer.l1.strength=1: is for one run, and a study has many; set its range, "
        "study.space.regularizer.l1.strength={low:...,high:...}"
    ),
    "data=digits": "data=digits: is for one run, and a study has many; set study.tasks=[{data:DATA,model:MODEL}]",
    "trainer.max_epochs=9": (
        "trainer.max_epochs=9: is for one run, and a study has many; set study.common.trainer.max_epochs=9"
    ),
}
WRONG_OPTIONS = {
    "workers=0": "workers=0: must be a whole number of 1 or more, at most 1024, or null (as many as there are cores)",
    "workers=x": "workers=x: must be a whole number of 1 or more, at most 1024, or null (as many as there are cores)",
    "dry_run=3": "dry_run=3: must be true or false",
    "+data.train_size=9": (
        "+data.train_size=9: is for one run, and a study has many; set study.common.data.train_size=9"
    ),
    "+dry_rnu=true": "+dry_rnu=true: no such key; did you mean dry_run?",
    "report=5": "report=5: is a section and no value; set report.dir",
    "report.dir=1": "report.dir=1: must be text (a number in quotes, twice) of at most 4000 characters, none of them a "
    "control character, or null",
    "+report.foo=1": "report.foo: no such key; did you mean report.dir?",
    "tracking.weights=bst": "tracking.weights=bst: must be one of best, both, none; did you mean best?",
}


@pytest.mark.parametrize("typed", WRONG_LINES)
def test_what_belongs_to_a_run_is_pointed_to_its_place(typed: str) -> None:
    with pytest.raises(ConfigError) as told:
        Composer("study").compose([typed])
    assert str(told.value) == WRONG_LINES[typed]


@pytest.mark.parametrize("typed", WRONG_OPTIONS)
def test_a_wrong_option_is_told_in_one_line(typed: str) -> None:
    with pytest.raises(ConfigError) as told:
        check_options(config(typed))
    assert str(told.value) == WRONG_OPTIONS[typed]


@pytest.mark.parametrize("typed", WRONG)
def test_a_wrong_definition_is_told_in_one_line(typed: str) -> None:
    with pytest.raises(ConfigError) as told:
        read_study(*typed.split())
    assert str(told.value).startswith(WRONG[typed])
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("typed", WRONG_CELLS)
def test_a_wrong_task_or_space_is_told_in_one_line(typed: str) -> None:
    with pytest.raises(ConfigError) as told:
        cells_of(*typed.split())
    assert str(told.value).startswith(WRONG_CELLS[typed])
    assert "\n" not in str(told.value)


def test_data_in_the_hubs_cache_have_a_name_and_no_file() -> None:
    _, (named, _), _ = cells_of("study.tasks=[{data:huggingface,data.path:org/name}]")
    assert named.content is None


def test_what_a_study_shares_is_taken_out_as_its_message_says() -> None:
    linear = ("study.tasks=[{data:digits,model:linear}]", "study.strategies=[none,l2]")
    _, (cell, _), _ = cells_of(*linear, "~study.common.model.hidden_sizes")
    assert "model.hidden_sizes" not in " ".join(cell.overrides)


def test_what_is_shared_is_told_unless_every_task_says_it_itself() -> None:
    tasks = "study.tasks=[{data:digits,data.train_size:[50,200]},{data:wine,data.train_size:50,trainer.max_epochs:2}]"
    shared = ("data.label_noise=0.4", "data.batch_size=50", "model.hidden_sizes=[8]")
    assert held_fixed(read_study(tasks)) == (*shared, "trainer.max_epochs=1")
    assert held_fixed(read_study()) == ("data.train_size=100", *shared, "trainer.max_epochs=1")
    assert held_fixed(read_study("study.common=null")) == ()


def test_the_open_sections_of_a_study_take_keys_without_a_plus() -> None:
    typed = ["study=quick", "study.common.optimizer=sgd", "study.space.regularizer.l2.strength={low:1,high:2}"]
    made = Composer("study").compose(prepare(["--multirun", *typed], "study")[1:])
    assert made.study.common.optimizer == "sgd"
    assert made.study.common.trainer.max_epochs == 20
    assert made.study.space.regularizer.l2.strength == {"low": 1, "high": 2}
    with pytest.raises(ConfigError, match=r"^study.commn.x=3: no such key; did you mean study.common\?$"):
        prepare(["--multirun", "study=quick", "study.commn.x=3"], "study")
