"""Definition of a study from its config, and one-line errors for wrong settings."""

import pytest

from reglab.cli import prepare_arguments
from reglab.config.compose import Composer
from reglab.config.selection import open_study_section
from reglab.schema.errors import ConfigError
from reglab.schema.search_space import Choice, Range
from reglab.study.definition import check_options
from tests.errors import config_error
from tests.study.studies import arms_of, config, read_study


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


def test_a_combined_strategy_may_be_written_in_two_ways() -> None:
    assert read_study("study.strategies=[none,dropout+l2]").strategies == ("none", "dropout+l2")
    assert read_study("study.strategies=[none,[dropout,l2]]").strategies == ("none", "dropout+l2")


def test_spaces_come_from_the_regularizers_and_hold_the_learning_rate() -> None:
    _, (none, both), _ = arms_of("study.strategies=[none,l2+max_norm]")
    rate = Range("optimizer.lr", 1e-4, 1e-2, log=True)
    assert none.space == (rate,)
    assert both.strategy == "l2+max_norm"
    assert both.space == (
        rate,
        Range("regularizer.l2.strength", 1e-6, 1e-1, log=True, off=0.0),
        Range("regularizer.max_norm.max_norm", 1.0, 5.0, off=float("inf")),
    )


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["++study.space=null", "~study.space"])
def test_without_a_space_each_strategy_searches_its_own_strengths_alone(typed: str) -> None:
    _, (none, dropout), _ = arms_of(typed)
    assert none.space == ()
    assert {one.key for one in dropout.space} == {"regularizer.dropout.input_p", "regularizer.dropout.p"}


@pytest.mark.parametrize("key", ["study.space", "study.space.optimizer.lr", "study.common"])
def test_an_empty_section_is_refused_which_would_change_nothing(key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_study_section(f"{key}={{}}")
    assert (refused.value.key, refused.value.value) == (key, "{}")
    assert f"{key}=null" in refused.value.remedy
    assert open_study_section(f"{key}={{a:1}}") == f"++{key}={{a:1}}"


def test_a_removed_key_is_missing() -> None:
    with config_error("study.trials: missing; set +study.trials="):
        read_study("~study.trials")


@pytest.mark.slow
def test_a_study_may_change_a_space() -> None:
    changed = [
        "+study.space.regularizer.dropout.p.high=0.7",
        "study.space.optimizer.lr=null",
        "+study.space.optimizer.weight_decay={choices:[0,0.1]}",
    ]
    _, (none, dropout), _ = arms_of(*changed)
    assert none.space == (Choice("optimizer.weight_decay", (0, 0.1)),)
    p = next(one for one in dropout.space if one.key == "regularizer.dropout.p")
    assert isinstance(p, Range)
    assert (p.high, p.off) == (0.7, 0.0)
    assert "regularizer.dropout.input_p" not in [one.key for one in dropout.space]


def test_task_names_are_distinct() -> None:
    _, arms, _ = arms_of("study.tasks=[{data:digits,data.batch_size:[32,64]}]")
    assert len({arm.task_name for arm in arms}) == 2


# By override: the key that begins the message, and words that it contains.
WRONG = {
    "study.trials=0": ("study.trials=0", "1 or more"),
    "study.trials=1000000000": ("study.trials=1000000000", "at most 10000"),
    "study.seeds=0": ("study.seeds=0", "from 1 to 1000"),
    "seeds=2000": ("seeds=2000", "from 1 to 1000"),
    "study.strategies=[none]": ("study.strategies=[none]", "nothing to compare", "two or more"),
    "study.strategies=[none,dropuot]": ("study.strategies=dropuot", "did you mean dropout?"),
    "study.strategies=[none,none+l2]": ("study.strategies=none+l2", "none cannot be combined"),
    "study.strategies=[none,l2+l2]": ("study.strategies=l2+l2", "twice"),
    "study.strategies=none": ("study.strategies=none", "must be a list"),
    "study.baseline=l1": ("study.baseline=l1", "none, dropout"),
    "study.metric=test/acuracy": ("study.metric=test/acuracy", "did you mean test/accuracy?"),
    "study.direction=up": ("study.direction=up", "max, min, or null"),
    "study.select_by=test/accuracy": ("study.select_by=test/accuracy", "val/accuracy"),
    "study.sampler=random": ("study.sampler=random", "one of quasi_random, tpe"),
    "study.pruning.rungs=3": ("study.pruning.rungs=3", "study.pruning is null", "study.pruning={rungs:3}"),
    "study.pruning={eta:3}": ("study.pruning={eta:3}", "{eta:3,rungs:3}"),
    "study.pruning={eta:3,rungs:999999}": ("study.pruning.rungs=999999", "at most 20"),
    "study.sampler=tpe study.pruning={eta:3,rungs:2}": ("study.pruning={eta:3,rungs:2}", "tpe", "set it to null"),
    "study.tasks=[]": ("study.tasks", "missing", "a list of tasks"),
    "study.tasks=digits": ("study.tasks=digits", "[{data:digits,model:mlp}]"),
    "study.tasks=[{data:[]}]": ("study.tasks.data=[]", "empty"),
    "+study.tirals=3": ("study.tirals", "did you mean trials?"),
    "study.max_seconds=-1": ("study.max_seconds=-1", "above 0"),
    "+study.common.seed=3": ("study.common.seed=3", "is set by the study"),
    "++study.common.regularizer=l1": ("study.common.regularizer=l1", "is set by the study"),
    "++study.common.tracking.uri=x": ("study.common.tracking.uri=x", "whole study", "set tracking.uri=x"),
    "++study.common.workers=2": ("study.common.workers=2", "whole study", "set workers=2"),
    "++study.common.optimiser=sgd": ("study.common.optimiser=sgd", "did you mean optimizer?"),
    "study.common=5": ("study.common=5", "{trainer:{max_epochs:30}}", "or null"),
    "study.tasks=[{data:digits,seed:3}]": ("study.tasks.seed=[3]", "is set by the study"),
    "study.tasks=[{data:digits,regularizer:l1}]": ("study.tasks.regularizer=[l1]", "is set by the study"),
    "study.tasks=[{data:digits,tracking.uri:x}]": ("study.tasks.tracking.uri=[x]", "set tracking.uri=x"),
    "study.space=5": ("study.space=5", "{optimizer:{lr:"),
    "++study.space.seed={low:0,high:9}": ("study.space.seed={low:0,high:9}", "seeds are set by the study"),
    "++study.space.data.split_seed={low:0,high:9}": ("study.space.data.split_seed=", "seeds are set by the study"),
    "++study.space.tracking.weights={choices:[best,none]}": ("study.space.tracking.weights=", "cannot be searched"),
    "++study.space.data={choices:[digits,wine]}": ("study.space.data={choices:[digits,wine]}", "cannot be searched"),
    "++study.space.optimzer.lr={low:1,high:2}": ("study.space.optimzer.lr=", "did you mean study.space.optimizer.lr?"),
    "++study.space.dropout.p={low:0,high:1}": ("study.space.dropout.p=", "study.space.regularizer.dropout.p?"),
    "++study.space.lr={low:0,high:1}": ("study.space.lr=", "as in study.space.optimizer.lr"),
    "study.search_seed=1e20": ("study.search_seed=1e+20", "0 or more"),
}
WRONG_ARMS = {
    "study.tasks=[{data:digitz}]": ("data=digitz", "did you mean digits?"),
    "study.tasks=[{data:digits,data.label_nois:1}]": ("data.label_nois=1", "did you mean data.label_noise?"),
    "study.tasks=[{data:diabetes,data.label_noise:0}] study.strategies=[none,label_smoothing] study.metric=test/rmse": (
        "regularizer=label_smoothing",
        "is for classification and language modeling",
    ),
    "study.tasks=[{data:digits,model:linear}]": (
        "study.common.model.hidden_sizes=[8]",
        "not a key of this model",
        "model=mlp",
        "~study.common.model.hidden_sizes",
    ),
    "study.tasks=[{data:digits,model:linear,model.hidden_sizes:[4]}]": ("study.common.model.hidden_sizes=[8]",),
    "study.tasks=[{data:digits,data.train_size:-1}]": ("data.train_size=-1", "must be"),
    "study.tasks=[{data:diabetes}] study.metric=test/rmse": (
        "study.common.data.label_noise=0.4",
        "regression",
        "~study.common.data.label_noise",
    ),
    "+study.common.model.hiden_sizes=[4]": ("study.common.model.hiden_sizes=[4]", "did you mean"),
    "study.space.optimizer.lr.low=1": ("study.space.optimizer.lr", "empty", "low=1 is not below high=0.01"),
    "study.space.optimizer.lr.low=0": ("study.space.optimizer.lr.low=0", "logarithmic", "above 0"),
    "study.space.optimizer.lr=3": ("study.space.optimizer.lr=3", "{low:1e-4,high:1e-2,log:true}"),
    "+study.space.optimizer.lr.choices=[]": ("study.space.optimizer.lr.choices=[]", "one or more values"),
    "+study.space.optimizer.lr.lwo=1": ("study.space.optimizer.lr.lwo", "did you mean low?"),
    "+study.space.optimizer.lrr.high=1": (
        "study.space.optimizer.lrr={high:1}",
        "did you mean study.space.optimizer.lr?",
    ),
    "+study.space.optimizer.lrr=null": ("study.space.optimizer.lrr=null", "did you mean study.space.optimizer.lr?"),
    "+study.space.optimizer.foo={low:0,high:1}": (
        "study.space.optimizer.foo=",
        "no such key (keys of ",
        "weight_decay",
    ),
    "+study.space.optimizer.momentum={low:0,high:0.9}": (
        "study.space.optimizer.momentum=",
        "not a key of this optimizer",
        "set study.common.optimizer=sgd",
    ),
    "+study.space.model.kernel_size={choices:[3,5]}": (
        "study.space.model.kernel_size=",
        "set model=cnn or ",
        "in study.tasks",
    ),
    "+study.space.regularizer.dropout.q={low:0,high:0.9}": (
        "study.space.regularizer.dropout.q=",
        "did you mean study.space.regularizer.dropout.p?",
    ),
    "+study.space.regularizer.dropout={low:0,high:0.9}": (
        "study.space.regularizer.dropout=",
        "did you mean study.space.regularizer.dropout.p?",
    ),
    "+study.space.regularizer.drpout.p.high=0.7": (
        "study.space.regularizer.drpout.p=",
        "no regularizer drpout",
        "did you mean study.space.regularizer.dropout.p?",
    ),
    "+study.space.regularizer.l2.strengt.high=0.7": (  # of a method outside the strategies
        "study.space.regularizer.l2.strengt=",
        "did you mean study.space.regularizer.l2.strength?",
    ),
    "+study.space.regularizer.dropout.p.high=1.5": (
        "study.space.regularizer.dropout.p.high=1.5",
        "must be a finite number at least 0",
    ),
    "+study.space.model.norm={choices:[batch,bathc]}": ("study.space.model.norm.choices=bathc", "did you mean batch?"),
    "study.metric=test/rmse": ("study.metric=test/rmse", "regression", "classification"),
    "+study.common.data.val_fraction=0": ("study.select_by=best/val/accuracy", "data.val_fraction=0", "raise it"),
    "+study.common.data.test_fraction=0": ("study.metric=test/accuracy", "data.test_fraction=0", "raise it"),
    "+study.common.optimizer.lr=0.01": (
        "study.common.optimizer.lr=0.01",
        "is searched",
        "study.space.optimizer.lr=null",
    ),
    "+study.space.regularizer.l7.strength.high=1": ("study.space.regularizer.l7.strength", "no regularizer l7"),
}
WRONG_LINES = {
    "study=quick,tabular": ("study=quick,tabular", "one after the other", "[a,b]"),
    "study.trials=4,8": ("study.trials=4,8", "one after the other"),
    "regularizer=l1": ("regularizer=l1", "study.strategies=[none,l1]"),
    "regularizer.l1.strength=1": (
        "regularizer.l1.strength=1",
        "study.space.regularizer.l1.strength={low:...,high:...}",
    ),
    "data=digits": ("data=digits", "study.tasks=[{data:DATA,model:MODEL}]"),
    "trainer.max_epochs=9": ("trainer.max_epochs=9", "study.common.trainer.max_epochs=9"),
}
WRONG_OPTIONS = {
    "workers=0": ("workers=0", "1 or more", "or null"),
    "workers=x": ("workers=x", "1 or more", "or null"),
    "dry_run=3": ("dry_run=3", "true or false"),
    "+data.train_size=9": ("+data.train_size=9", "study.common.data.train_size=9"),
    "+dry_rnu=true": ("+dry_rnu=true", "did you mean dry_run?"),
    "report=5": ("report=5", "is a section", "report.dir"),
    "report.dir=1": ("report.dir=1", "must be text", "or null"),
    "+report.foo=1": ("report.foo", "did you mean report.dir?"),
    "tracking.weights=bst": ("tracking.weights=bst", "best, both, none", "did you mean best?"),
}


def check_message(error: ConfigError, setting: str, *words: str) -> None:
    """Assert that the message is one line that begins with the setting and contains the words."""
    assert str(error).startswith(setting)
    assert all(word in str(error) for word in words), str(error)
    assert "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG_LINES)
def test_the_keys_of_a_run_are_refused_with_the_key_of_the_study(typed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Composer("study").compose([typed])
    check_message(refused.value, *WRONG_LINES[typed])


@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG_OPTIONS)
def test_a_wrong_option_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_options(config(typed))
    check_message(refused.value, *WRONG_OPTIONS[typed])


@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG)
def test_a_wrong_definition_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_study(*typed.split())
    check_message(refused.value, *WRONG[typed])


@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG_ARMS)
def test_a_wrong_task_or_space_is_refused(typed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        arms_of(*typed.split())
    check_message(refused.value, *WRONG_ARMS[typed])


@pytest.mark.slow
def test_data_in_the_hubs_cache_have_a_name_and_no_file() -> None:
    _, (named, _), _ = arms_of("study.tasks=[{data:huggingface,data.path:org/name}]")
    assert named.content is None


@pytest.mark.slow
def test_an_override_in_study_common_is_removed_by_the_remedy_of_its_error() -> None:
    linear = ("study.tasks=[{data:digits,model:linear}]", "study.strategies=[none,l2]")
    _, (arm, _), _ = arms_of(*linear, "~study.common.model.hidden_sizes")
    assert "model.hidden_sizes" not in " ".join(arm.overrides)


def test_fixed_settings_are_those_that_no_task_replaces() -> None:
    tasks = "study.tasks=[{data:digits,data.train_size:[50,200]},{data:wine,data.train_size:50,trainer.max_epochs:2}]"
    shared = ("data.label_noise=0.4", "data.batch_size=50", "model.hidden_sizes=[8]")
    assert read_study(tasks).fixed == (*shared, "trainer.max_epochs=1")
    assert read_study().fixed == ("data.train_size=100", *shared, "trainer.max_epochs=1")
    assert read_study("study.common=null").fixed == ()


@pytest.mark.slow
def test_the_open_sections_of_a_study_take_keys_without_a_plus() -> None:
    typed = ["study=quick", "study.common.optimizer=sgd", "study.space.regularizer.l2.strength={low:1,high:2}"]
    cfg = Composer("study").compose(prepare_arguments(["--multirun", *typed], "study")[1:])
    assert cfg.study.common.optimizer == "sgd"
    assert cfg.study.common.trainer.max_epochs == 20
    assert cfg.study.space.regularizer.l2.strength == {"low": 1, "high": 2}
    with config_error("study.commn.x=3: no such key ... study.common?"):
        prepare_arguments(["--multirun", "study=quick", "study.commn.x=3"], "study")
