"""Errors about wrong settings of a run, and valid settings; for strengths see `test_regularizer_errors`."""

import pytest

from reglab.cli import prepare_arguments
from reglab.config.check_run import check
from reglab.schema.errors import ConfigError
from tests.errors import config_error

# By override: the setting, and words of the problem and the remedy.
WRONG = {
    # names and grammar
    "regularizer=dropuot": "regularizer=dropuot: no such option ... dropout?",
    "regularizr=l1": "regularizr=l1: no such key ... regularizer?",
    "experiment=nope": "experiment=nope: no such option ... compare, decoder,",
    "hydra/launcher=jobblib": "hydra/launcher=jobblib: no such option ... joblib? ... basic, joblib",
    "lr=3": "lr=3: no such key; did you mean optimizer.lr?",
    "trainer.max_epoch=3": "trainer.max_epoch=3: no such key ... trainer.max_epochs?",
    "optimizer.momentum=.9": "optimizer.momentum=.9: not a key ... optimizer=sgd",
    "data.path=x": "data.path=x: not a key ... data=csv",
    "+optimizer.foo=2": "optimizer.foo=2: no such key (keys of optimizer: amsgrad,",
    "+model.hiden_sizes=[3]": "model.hiden_sizes=[3]: no such key ... model.hidden_sizes?",
    "+trainer.logger=false": "trainer.logger=false: not a setting of a run ... MLflow",
    "+foo=1": "foo: no such key; leave it out",
    "+seed=2": "+seed: exists ... without the +",
    "~foo": "~foo: no such key",
    "~regularizer": "regularizer: missing ... regularizer=none",
    "~optimizer.lr": "~optimizer.lr: default of the class ... set ",
    "foo": "foo: no value; write foo=VALUE",
    "=1": "=1: no key; write KEY=1",
    "model.hidden_sizes=[1,2": "model.hidden_sizes=[1,2: [ and ] do not match",
    "data.name='a": "data.name='a: key=value ... quote it",
    "data.path=~/a.csv": "data.path=~/a.csv: ~ ... write data.path=$HOME/a.csv",
    "seed=1,2": "seed=1,2: several values ... sweep ... -m",
    "seed=range(0,3)": "seed=range(0,3): several values ... sweep ... -m",
    "experiment=compare": "experiment=compare: a sweep ... -m",
    "seed=${nope}": "nope: missing; data.seed refers to it",
    "~seed": "seed: missing; data.seed refers to it",
    "epochs=3": "epochs=3: no such key ... trainer.max_epochs?",
    "hidden=[3]": "hidden=[3]: no such key ... model.hidden_sizes?",
    "regularizer=": "regularizer=: no such option (choose from ",
    "seed=???": "seed=???: a value ... seed=VALUE",
    "optimizer=null": "optimizer=null: no such option ... adam, adamw, sgd",
    # data
    "data=csv": "data.path=null: required; set data.path=FILE.csv",
    "data=csv data.path=/nope.csv data.target=y": "data.path=/nope.csv: no such file",
    "data=diabetes data.label_noise=.1": "data.label_noise=0.1: class labels ... diabetes is a regression",
    "data.val_fraction=.6 data.test_fraction=.5": "data.val_fraction=0.6: data.test_fraction=0.5 ... no row",
    "data.batch_size=.5": "data.batch_size=0.5: whole number of 1 or more, or null",
    # model, optimizer, trainer, tracking
    "model.hidden_sizes=[128,-3]": "model.hidden_sizes=[128,-3]: list ... of 1 or more",
    "model.norm=bathc": "model.norm=bathc: none, batch, layer ... batch?",
    "model=cnn model.kernel_size=2": "model.kernel_size=2: odd whole number",
    "optimizer.lr=0": "optimizer.lr=0: finite number above 0",
    "optimizer.betas=[.9]": "optimizer.betas=[0.9]: two numbers ... below 1",
    "trainer.precision=bf16-true": "trainer.precision=bf16-true: significant bits ... use bf16-mixed",
    "trainer.precision=16-mixed": "trainer.precision=16-mixed: GPU ... use bf16-mixed",
    "trainer.max_epochs=0": "trainer.max_epochs=0: whole number of 1 or more",
    "+trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0: whole number of 1 or more",
    "trainer.max_steps=-2": "trainer.max_steps=-2: must be",
    "trainer.threads=0": "trainer.threads=0: must be",
    "tracking.uri=sqlite:////nope/x.db": "tracking.uri=sqlite:////nope/x.db: folder /nope",
    "tracking.weights=bst": "tracking.weights=bst: best, both, none ... best?",
    # the sweep's report
    "select_by=test/accuracy": "select_by=test/accuracy: test metric ... best/val/",
    "trainer.accumulate_grad_batches=2": "trainer.accumulate_grad_batches=2: +trainer.accumulate_grad_batches=2",
    "trainer.accumulate_grad_batch=2": "trainer.accumulate_grad_batch=2: mean +trainer.accumulate_grad_batches?",
    "optimizer.amsgard=true": "optimizer.amsgard=true: did you mean +optimizer.amsgrad?",
    "trainer.devices=2": "trainer.devices=2: not a setting ... one device",
    "model.target=my_net.Net": "model.target=my_net.Net: not a key ... model=torch",
    "metric=test/acuracy": "metric=test/acuracy: no such option ... test/accuracy?",
    "direction=up": "direction=up: one of max, min, or null",
    "seed=-1": "seed=-1: must be a whole number of 0 or more",
    "resume=yes": "resume=yes: must be true or false, or null",
    # only in sweeps
    "metric=test/balanced_accuracy direction=max select_by=val/loss": (
        "metric=test/balanced_accuracy: only in sweeps ... -m"
    ),
    **{
        f"{key}={value}": f"{key}={value}: has an effect only in sweeps"
        for key, value in {
            "workers": 2,
            "fail_fast": "true",
            "sweep.name": "a",
            "direction": "max",
            "baseline": "l1",
            "select_by": "val/loss",
            "hydra/launcher": "joblib",
            "hydra.sweep.dir": "x",
            "hydra.sweep.subdir": "x",
            "+hydra.launcher.n_jobs": 2,
            "hydra.sweeper._target_": "x",
        }.items()
    },
    "hydra.mode=MULTIRUN": "hydra.mode=MULTIRUN: Hydra sets it ... (-m ",
    "hydra.job.id=3": "hydra.job.id=3: Hydra sets it",
    "+hydra.job.env_copy=[A]": "+hydra.job.env_copy=[A]: after the checks",
    "hydra.sweeper=x": "hydra.sweeper=x: has an effect only in sweeps",
    "model.hidden_sizes={a:1}": "model.hidden_sizes={a:1}: must be a list",
    "-m seed=0,1 hydra.run.dir=x": "hydra.run.dir=x: only in a single run",
    "-m seed=0,1 hydra={run:{dir:x}}": "hydra.run.dir=x: only in a single run",
    # settings without effect
    "data=[digits,wine]": "data=[digits,wine]: one option ... (-m) ... data=digits",
    "data=wine data.name=x": "data.name=x: data=wine is fixed",
    "model=llama_small data=python_docs model.name=llama": "model.name=llama: model=llama_small is fixed",
    "scheduler.name=foo": "scheduler.name=foo: scheduler=none is fixed",
    "trainer=[fast]": "trainer=[fast]: one option ... trainer=fast",
    "experiment=[seed_l2,decoder]": "experiment=[seed_l2,decoder]: one option",
    "regularizer=[l1,l1]": "regularizer=[l1,l1]: names l1 twice",
    "regularizer=[[l1]]": "regularizer=[[l1]]: list of names ... [dropout,l2]",
    "tracking.parent=deadbeef": "tracking.parent=deadbeef: studies and reruns",
    "+tracking.rerun_of=deadbeef": "+tracking.rerun_of=deadbeef: studies and reruns",
    "tracking={parent:deadbeef}": "tracking.parent=deadbeef: studies and reruns",
    "regularizer={dropout:{p:.3}}": "regularizer.dropout.p=0.3: the strategy is none ... regularizer=dropout",
    "trainer={max_epoch:3}": "trainer.max_epoch=3: no such key ... trainer.max_epochs?",
    "sweep={name:a}": "sweep.name=a: has an effect only in sweeps",
    "data=wine data={name:x,train_size:20}": "data.name=x: data=wine is fixed",
    "model={hidden_sizes:[],norm:batch}": "model.norm=batch: no hidden layer",
    "+report.foo=1": "report.foo=1: no such key (keys of report: dir)",
    "+sweep.foo=1": "sweep.foo=1: no such key; leave it out",
    "report=5": "report=5: is a section ... set report.dir",
    "~trainer.max_epochs": "~trainer.max_epochs: default of the class",
    "~tracking.weights": "tracking.weights: missing; leave out ~tracking.weights",
    "+hydra.foo=1": "+hydra.foo=1: Hydra has no such key",
    "+hydra.job.env_set.OMP_NUM_THREADS=2": "+hydra.job.env_set.OMP_NUM_THREADS=2: after the checks",
    "-m seed=0,1 workers=2 hydra/launcher=joblib hydra.launcher.n_jobs=4": "hydra.launcher.n_jobs=4: workers is typed",
    "+study.seeds=3": "study: no such key ... make study",
    "regularizer=l1 regularizer._space_.l1.strength.low=5": (
        "regularizer._space_.l1.strength.low=5: ranges are searched"
    ),
    "data.label_noise=1e-30": "data.label_noise=1e-30: too small",
    "+trainer.min_epochs=5": "+trainer.min_epochs=5: end early ... regularizer=early_stopping",
    "model=llama data=python_docs data.tokenizer=characters data.vocab_size=999": "data.vocab_size=999: is for",
    # values too large to store or to run
    "seed=100000000000000000000": "seed=100000000000000000000: 0 or more, at most 92233720",
    "data=python_docs model=llama data.vocab_size=999999999": (
        "data.vocab_size=999999999: 257 or more, at most 1000000"
    ),
    "data=python_docs model=llama model.layers=1000000": "model.layers=1000000: whole number of 1 or more",
    "regularizer=adversarial regularizer.adversarial.steps=9999": "regularizer.adversarial.steps=9999: must be",
    "optimizer.lr=1e-300": "optimizer.lr=1e-300: above 0 (as a float32 it is 0)",
    "regularizer=l2 regularizer.l2.strength=1e-300": "regularizer.l2.strength=1e-300: 0 as a float32",
    "data.name='a\x1b[31m'": "data.name=a\\x1b[31m: must be text",
    # sweeps: errors of all jobs are reported before the sweeper starts
    "-m seed=0,1 --cfg job": "--cfg: shows the config of one run; leave out -m",
    "-m regularizer=none,l1 optimizer.lrr=3": "optimizer.lrr=3: no such key ... optimizer.lr?",
}


@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG, ids=str)
def test_a_wrong_config_is_an_error_about_its_setting(typed):
    with config_error(WRONG[typed]):
        prepare_arguments(typed.split(), "train", check)


RIGHT = [
    "",
    "report.dir=x",
    "regularizer=[none,l1]",
    "regularizer=[r_drop,stochastic_depth] model=residual_cnn",
    "regularizer=max_norm regularizer.max_norm.max_norm=inf",
    "regularizer=dropout regularizer={dropout:{p:.3}}",
    "regularizer=dropout model=linear regularizer.dropout.input_p=.2",
    "regularizer=dropout model=linear +regularizer.dropout.schedule.input_p={kind:linear,start:.2,epochs:3}",
    "regularizer=activity_kl model.activation=sigmoid",
    "regularizer=[stochastic_depth,drop_block,augmentation] model=residual_cnn data=mnist1d",
    "data=seed_noise data.batch_size=null",
    "data.val_fraction=0 data.test_fraction=0",
    "model.hidden_sizes=[] data.train_size=10",
    "optimizer=sgd optimizer.momentum=.9 optimizer.nesterov=true",
    "+optimizer.amsgrad=true scheduler=cosine +scheduler.T_max=10",
    "+trainer.accumulate_grad_batches=2 trainer.limit_train_batches=.5",
    "trainer=gpu trainer.precision=16-mixed",
    "experiment=seed_dropout",
    "--cfg job data=csv",
    "data=wine data.name=wine",
    "model=llama_small data=python_docs model.name=llama_small",
    "model=torch model.target=my_net.Net model.name=x --cfg job",
    "optimizer._target_=torch.optim.RMSprop optimizer.name=rmsprop ~optimizer.betas --cfg job",
]


def test_a_very_long_value_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        prepare_arguments([f"data.name={'a' * 100_000}"], "train", check)
    assert caught.value.key == "data.name"
    assert len(str(caught.value)) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("typed", RIGHT, ids=str)
def test_a_valid_config_passes_unchanged(typed):
    words = typed.split()
    flags = words[words.index("--cfg") :][:2] if "--cfg" in words else []
    assert prepare_arguments(words, "train", check) == [*flags, *(word for word in words if word not in flags)]


def test_a_note_names_the_replaced_value_of_a_repeated_key(capsys):
    assert prepare_arguments(["seed=1", "data=wine", "seed=2"], "train", check) == ["seed=1", "data=wine", "seed=2"]
    assert capsys.readouterr().err.startswith("note: seed=1 is replaced by seed=2,")
    prepare_arguments(["seed=1", "seed=1"], "train", check)
    assert capsys.readouterr().err == ""
    prepare_arguments(["optimizer={lr:1e-3}", "optimizer.lr=1e-2"], "train", check)
    err = capsys.readouterr().err
    assert err.startswith("note: optimizer.lr=0.001 ")
    assert " optimizer.lr=1e-2" in err


def test_a_single_strength_in_a_sweep_becomes_a_choice():
    typed = ["-m", "experiment=compare", "regularizer.l1.strength=1e-3", "regularizer.l2.strength=1,2", "seed=0"]
    expected = ["-m", "experiment=compare", "regularizer.l1.strength=choice(1e-3)", *typed[3:]]
    assert prepare_arguments(typed, "train", check) == expected


def test_a_file_is_suggested(tmp_path):
    (tmp_path / "wine.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"no such file; did you mean .*wine.csv\?"):
        prepare_arguments(["data=csv", f"data.path={tmp_path}/wien.csv", "data.target=y"], "train", check)
    with pytest.raises(ConfigError, match=r"data.target=null: name the column"):
        prepare_arguments(["data=csv", f"data.path={tmp_path}/wine.csv"], "train", check)
