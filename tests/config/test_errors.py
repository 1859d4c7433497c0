"""A wrong config: one line that names the key, what it got and what would do, before anything heavy is imported."""

import pytest

from reglab.cli import prepare_arguments
from reglab.config.check_run import check
from reglab.config.command_line import notes_on_ineffective
from reglab.schema.errors import ConfigError

# What is typed, and what the one line must be (its beginning).
WRONG = {
    # names and grammar
    "regularizer=dropuot": "regularizer=dropuot: no such option; did you mean dropout? (choose from ",
    "regularizr=l1": "regularizr=l1: no such key; did you mean regularizer?",
    "experiment=nope": "experiment=nope: no such option (choose from compare, decoder, seed_dropout",
    "hydra/launcher=jobblib": "hydra/launcher=jobblib: no such option; did you mean joblib? (choose from basic, joblib",
    "optimizer.lrr=1": "optimizer.lrr=1: no such key; did you mean optimizer.lr?",
    "lr=3": "lr=3: no such key; did you mean optimizer.lr?",
    "batch_size=3": "batch_size=3: no such key; did you mean data.batch_size?",
    "seeds=1": "seeds=1: no such key; did you mean seed?",
    "trainer.max_epoch=3": "trainer.max_epoch=3: no such key; did you mean trainer.max_epochs?",
    "optimizer.momentum=.9": "optimizer.momentum=.9: not a key of this optimizer; it is one of optimizer=sgd",
    "data.path=x": "data.path=x: not a key of this data; it is one of data=csv",
    "+optimizer.foo=2": "optimizer.foo: no such key (keys of optimizer: amsgrad, ",
    "+model.hiden_sizes=[3]": "model.hiden_sizes: no such key; did you mean hidden_sizes?",
    "+trainer.max_step=3": "trainer.max_step: no such key; did you mean max_steps?",
    "+trainer.logger=false": "trainer.logger=false: not a setting of a run; MLflow keeps",
    "+tracking.urii=x": "tracking.urii: no such key; did you mean uri?",
    "+foo=1": "foo: no such key; leave it out",
    "+seed=2": "+seed: that key exists; set it without the +",
    "~foo": "~foo: no such key",
    "~regularizer": "regularizer: missing; choose one of conf/regularizer, as in regularizer=none",
    "~optimizer.lr": "~optimizer.lr: would use the default of the class, which the config does not show; set ",
    "foo": "foo: no value; write foo=VALUE",
    "=1": "=1: no key; write KEY=1",
    "model.hidden_sizes=[1,2": "model.hidden_sizes=[1,2: [ and ] do not match",
    "data.name='a": "data.name='a: not readable as key=value; quote it",
    "data.path=~/a.csv": "data.path=~/a.csv: ~ is not readable here; write data.path=$HOME/a.csv",
    "seed=1,2": "seed=1,2: several values make a sweep, which needs -m",
    "seed=range(0,3)": "seed=range(0,3): several values make a sweep, which needs -m",
    "experiment=compare": "experiment=compare: is a sweep, which needs -m",
    "seed=${nope}": "nope: missing; data.seed refers to it",
    "~seed": "seed: missing; data.seed refers to it",
    "epochs=3": "epochs=3: no such key; did you mean trainer.max_epochs?",
    "hidden=[3]": "hidden=[3]: no such key; did you mean model.hidden_sizes?",
    "regularizer=": "regularizer=: no such option (choose from ",
    "seed=???": "seed=???: a value must be given, as in seed=VALUE",
    "optimizer=null": "optimizer=null: no such option (choose from adam, adamw, sgd",
    # strengths
    "regularizer.dropout.p=.3": "regularizer.dropout.p=.3: the strategy is none; add regularizer=dropout",
    "+regularizer.l1.strength=3": "regularizer.l1.strength=3: the strategy is none; add regularizer=l1",
    "regularizer=dropout regularizer.droput.p=.3": (
        "regularizer.droput.p=.3: no such regularizer; did you mean regularizer.dropout.p?"
    ),
    "regularizer=dropout regularizer.dropout.pp=.3": (
        "regularizer.dropout.pp=.3: no such key; did you mean regularizer.dropout.p?"
    ),
    "regularizer=dropout +regularizer.dropout.inputp=.3": (
        "regularizer.dropout.inputp: no such key; did you mean input_p?"
    ),
    "regularizer=dropout regularizer.dropout.p=1.5": (
        "regularizer.dropout.p=1.5: must be a finite number at least 0 and below 1"
    ),
    "regularizer=dropout regularizer.dropout.p=-.1": "regularizer.dropout.p=-0.1: must be",
    "regularizer=dropout regularizer.dropout.p=much": "regularizer.dropout.p=much: must be a finite number",
    "regularizer=l2 regularizer.l2.strength=-1": "regularizer.l2.strength=-1: must be a finite number at least 0",
    "regularizer=l2 regularizer.l2.strength=inf": "regularizer.l2.strength=inf: must be a finite number at least 0",
    "regularizer=l2 regularizer.l2.strength=nan": "regularizer.l2.strength=nan: must be",
    "regularizer=max_norm regularizer.max_norm.max_norm=0": "regularizer.max_norm.max_norm=0: must be a number above 0",
    "data=diabetes regularizer=label_smoothing": "regularizer=label_smoothing: is for classification and ",
    "regularizer=r_drop": "regularizer=r_drop: nothing makes two passes over a batch differ; add dropout: regularizer=",
    "regularizer=[input_noise,label_smoothing,r_drop]": "regularizer=r_drop: nothing makes two passes over a batch",
    "data=diabetes regularizer=[dropout,r_drop]": "regularizer=r_drop: is for classification and ",
    "regularizer=adversarial regularizer.adversarial.steps=0": (
        "regularizer.adversarial.steps=0: must be a finite whole number at least 1"
    ),
    "regularizer=adversarial regularizer.adversarial.steps=1.5": (
        "regularizer.adversarial.steps=1.5: must be a finite whole number at least 1"
    ),
    "model=linear regularizer=dropout": (
        "regularizer=dropout: found nothing to act on in model=linear; it needs activation modules (nn.ReLU, ...) "
        "between layers; without them set regularizer.dropout.input_p"
    ),
    "model.hidden_sizes=[] regularizer=dropout": "regularizer=dropout: found nothing to act on in model=mlp; ",
    "model=linear regularizer=gaussian_dropout": (
        "regularizer=gaussian_dropout: found nothing to act on in model=linear; it needs activation modules"
    ),
    "model=linear regularizer=activity_l1": "regularizer=activity_l1: found nothing to act on in model=linear; ",
    "regularizer=spatial_dropout": (
        "regularizer=spatial_dropout: found nothing to act on in model=mlp; it needs activation modules (nn.ReLU, ...) "
        "after convolutions, as in model=cnn"
    ),
    "model=cnn regularizer=stochastic_depth": (
        "regularizer=stochastic_depth: found nothing to act on in model=cnn; it needs residual blocks, "
        "as in model=residual_cnn"
    ),
    "regularizer=activity_kl": (
        "regularizer=activity_kl: is for sigmoid, and this model has relu; set model.activation=sigmoid"
    ),
    "regularizer=cutmix data=breast_cancer": (
        "regularizer=cutmix: is for images (channels, height, width), and breast_cancer has tables (features,); "
        "leave it out"
    ),
    "regularizer=cutmix data=diabetes": "regularizer=cutmix: is for classification, and diabetes is a regression",
    "regularizer=cutout data=diabetes": (
        "regularizer=cutout: is for images (channels, height, width), and diabetes has tables (features,); leave it out"
    ),
    "regularizer=cutout data=mnist1d": (
        "regularizer=cutout: is for images (channels, height, width), and mnist1d has signals (channels, length); "
    ),
    "regularizer=augmentation data=diabetes": (
        "regularizer=augmentation: is for signals (channels, length) or images (channels, height, width), and "
        "diabetes has tables (features,); leave it out"
    ),
    "model=cnn data=diabetes": (
        "model=cnn: is for signals (channels, length) or images (channels, height, width), and "
        "diabetes has tables (features,); use model=mlp"
    ),
    "regularizer=augmentation regularizer.augmentation.shift=1.5": (
        "regularizer.augmentation.shift=1.5: must be a finite number at least 0 and at most 1"
    ),
    "experiment=seed_l2 regularizer=none regularizer.l2.strength=3": (
        "regularizer.l2.strength=3: the strategy is none; add regularizer=l2"
    ),
    "regularizer=l1 +regularizer.l1.schedule=late": "regularizer.l1.schedule=late: must name strengths",
    "regularizer=l1 +regularizer.l1.schedule.strengt.kind=late": (
        "regularizer.l1.schedule.strengt: no such strength; did you mean strength?"
    ),
    "regularizer=l1 +regularizer.l1.schedule.strength.kind=lat": (
        "regularizer.l1.schedule.strength.kind=lat: must be one of constant, linear, early, late; did you mean late?"
    ),
    "regularizer=l1 +regularizer.l1.schedule.strength={kind:late,sinc:3}": (
        "regularizer.l1.schedule.strength.sinc: no such key; did you mean since? (keys: since)"
    ),
    "regularizer=l1 +regularizer.l1.schedule.strength={kind:linear,start:0}": (
        "regularizer.l1.schedule.strength.epochs: missing; kind=linear needs start and epochs"
    ),
    "regularizer=l1 +regularizer.l1.schedule.strength={kind:early,until:0}": (
        "regularizer.l1.schedule.strength.until=0: must be a whole number of 1 or more"
    ),
    "regularizer=dropout +regularizer.dropout.schedule.p={kind:linear,start:1,epochs:3}": (
        "regularizer.dropout.schedule.p.start=1: must be a finite number at least 0 and below 1"
    ),
    "regularizer=max_norm +regularizer.max_norm.schedule.max_norm={kind:linear,start:inf,epochs:3}": (
        "regularizer.max_norm.schedule.max_norm: an infinite strength has no steps in between"
    ),
    "regularizer=[max_norm,spectral_norm]": (
        "regularizer=[spectral_norm,max_norm]: a largest singular value of 1 limits rows to norm 1, and the "
        "division undoes a lower limit; choose one of them"
    ),
    "regularizer=[spectral_norm,weight_decay]": (
        "regularizer=[spectral_norm,weight_decay]: dividing by the largest singular value undoes it; choose one of them"
    ),
    "regularizer=spectral_norm regularizer.spectral_norm.strength=1": (
        "regularizer.spectral_norm.strength=1: spectral_norm has no strengths; leave it out"
    ),
    "regularizer=spectral_norm +regularizer.spectral_norm.foo=1": (
        "regularizer.spectral_norm.foo: no such key; leave it out"
    ),
    "regularizer=spectral_norm +regularizer.spectral_norm.schedule=late": (
        "regularizer.spectral_norm.schedule: spectral_norm has no strengths; leave it out"
    ),
    "regularizer=[ema,swa]": "regularizer=[swa,ema]: both replace the weights by an average; choose one of them",
    "regularizer=swa regularizer.swa.start=1.5": (
        "regularizer.swa.start=1.5: must be a finite number at least 0 and at most 1"
    ),
    "regularizer=early_stopping data.val_fraction=0": (
        "regularizer=early_stopping: acts on val/loss, and data.val_fraction=0 leaves no validation rows; "
        "raise it, as in data.val_fraction=0.2"
    ),
    "regularizer=early_stopping regularizer.early_stopping.patience=2.5": (
        "regularizer.early_stopping.patience=2.5: must be a whole number at least 1"
    ),
    "regularizer=l2 regularizer.l2=0.1": "regularizer.l2=0.1: is a section and no value; set regularizer.l2.strength",
    "regularizer=[dropout,l1] regularizer.dropout=null": (
        "regularizer.dropout=null: is a section and no value; set regularizer.dropout.p or regularizer.dropout.input_p"
    ),
    "regularizer=l2 ~regularizer.l2": "~regularizer.l2: takes a part out of a strategy; choose one without it",
    "regularizer=l2 ~regularizer.l2.strength": "~regularizer.l2.strength: takes a part out of a strategy; choose one",
    "regularizer=[dropout,r_drop] regularizer.dropout.p=0": "regularizer=r_drop: nothing makes two passes over a batch",
    "regularizer=sam +trainer.accumulate_grad_batches=2": (
        "regularizer=sam: a second pass needs the whole batch; take accumulate_grad_batches=1"
    ),
    "regularizer=dropout regularizer.dropout.p=0.99999999": (
        "regularizer.dropout.p=0.99999999: is 1 as a float32, and must be a finite number at least 0 and below 1"
    ),
    "regularizer=l1 regularizer.l1.strength=1e39": (
        "regularizer.l1.strength=1e+39: is inf as a float32, and must be a finite number at least 0"
    ),
    "regularizer=max_norm regularizer.max_norm.max_norm=1e-46": (
        "regularizer.max_norm.max_norm=1e-46: is 0 as a float32, and must be a number above 0"
    ),
    "regularizer=max_norm regularizer.max_norm.max_norm=.inf": (
        "regularizer.max_norm.max_norm=.inf: on the command line infinity is inf"
    ),
    "regularizer=dropout model=linear +regularizer.dropout.schedule.input_p={kind:late,since:3}": (
        "regularizer=dropout: found nothing to act on in model=linear; "
    ),
    "regularizer=l2 +regularizer.l2.schedule.strength=late": (
        "regularizer.l2.schedule.strength=late: must be a kind with its settings, as in {kind:late,since:5}"
    ),
    "regularizer=l2 +regularizer.l2.schedule={kind:late,since:5}": (
        "regularizer.l2.schedule: must name a strength, as in regularizer.l2.schedule.strength={kind:late,since:5}"
    ),
    # data
    "data=csv": "data.path=null: required; set data.path=FILE.csv",
    "data=csv data.path=/nope.csv data.target=y": "data.path=/nope.csv: no such file",
    "data.label_noise=1.5": "data.label_noise=1.5: must be between 0 and 1",
    "data=diabetes data.label_noise=.1": "data.label_noise=0.1: replaces class labels, and diabetes is a regression",
    "data.val_fraction=.6 data.test_fraction=.5": "data.val_fraction=0.6: with data.test_fraction=0.5 no row is left",
    "data.val_fraction=1": "data.val_fraction=1: must be at least 0 and below 1",
    "regularizer=drop_block model=cnn regularizer.drop_block.block_size=2.5": (
        "regularizer.drop_block.block_size=2.5: must be a finite whole number at least 1"
    ),
    "data.train_size=0": "data.train_size=0: must be a whole number of 1 or more, or null",
    "data.batch_size=.5": "data.batch_size=0.5: must be a whole number of 1 or more, or null",
    # model, optimizer, trainer, tracking
    "model.hidden_sizes=[128,-3]": "model.hidden_sizes=[128,-3]: must be a list, each a whole number of 1 or more",
    "model.hidden_sizes=128": "model.hidden_sizes=128: must be a list",
    "model.norm=bathc": "model.norm=bathc: must be one of none, batch, layer; did you mean batch?",
    "model.activation=rellu": "model.activation=rellu: must be one of relu, ",
    "model=residual_cnn model.blocks=0": "model.blocks=0: must be a whole number of 1 or more",
    "model=cnn model.kernel_size=2": "model.kernel_size=2: must be an odd whole number",
    "optimizer.lr=0": "optimizer.lr=0: must be a finite number above 0",
    "optimizer.betas=[.9]": "optimizer.betas=[0.9]: must be two numbers, each at least 0 and below 1",
    "trainer.precision=bf16-true": "trainer.precision=bf16-true: its 8 significant bits lose small",
    "trainer.precision=16-mixed": "trainer.precision=16-mixed: is for GPUs; use bf16-mixed",
    "trainer.max_epochs=0": "trainer.max_epochs=0: must be a whole number of 1 or more",
    "trainer.check_val_every_n_epoch=0": "trainer.check_val_every_n_epoch=0: must be a whole number of 1 or more",
    "+trainer.accumulate_grad_batches=0": "trainer.accumulate_grad_batches=0: must be a whole number of 1 or more",
    "trainer.max_steps=-2": "trainer.max_steps=-2: must be",
    "trainer.threads=0": "trainer.threads=0: must be",
    "tracking.uri=sqlite:////nope/x.db": "tracking.uri=sqlite:////nope/x.db: the folder /nope does not exist",
    "tracking.weights=bst": "tracking.weights=bst: must be one of best, both, none; did you mean best?",
    # the sweep's report
    "select_by=test/accuracy": "select_by=test/accuracy: a test metric judges and must not choose; use best/val/",
    "metric=test/acuracy": "metric=test/acuracy: not known; did you mean test/accuracy?",
    "direction=up": "direction=up: must be one of max, min, or null",
    "seed=-1": "seed=-1: must be a whole number of 0 or more",
    "resume=yes": "resume=yes: must be true or false, or null",
    # of sweeps alone
    "metric=test/balanced_accuracy direction=max select_by=val/loss": (
        "metric=test/balanced_accuracy: has an effect only in sweeps; add -m, or leave it out"
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
    "hydra.mode=MULTIRUN": "hydra.mode=MULTIRUN: Hydra sets it from the command line (-m starts a sweep)",
    "hydra.job.id=3": "hydra.job.id=3: Hydra sets it",
    "+hydra.job.env_copy=[A]": "+hydra.job.env_copy=[A]: would be set after the checks",
    "hydra.sweeper=x": "hydra.sweeper=x: has an effect only in sweeps",
    "model.hidden_sizes={a:1}": "model.hidden_sizes={a:1}: must be a list",
    "-m seed=0,1 hydra.run.dir=x": "hydra.run.dir=x: has an effect only in a single run",
    "-m seed=0,1 hydra={run:{dir:x}}": "hydra.run.dir=x: has an effect only in a single run",
    # what would have no effect
    "data=[digits,wine]": "data=[digits,wine]: must be one option, not a list; in a sweep (-m) several are data=digits",
    "data=wine data.name=x": "data.name=x: the name of data=wine is fixed; leave it out",
    "model.name=x": "model.name=x: the name of model=mlp is fixed; leave it out",
    "model=llama_small data=python_docs model.name=llama": "model.name=llama: the name of model=llama_small is fixed",
    "scheduler.name=foo": "scheduler.name=foo: the name of scheduler=none is fixed",
    "optimizer=sgd optimizer.name=x": "optimizer.name=x: the name of optimizer=sgd is fixed; leave it out",
    "trainer=[fast]": "trainer=[fast]: must be one option, not a list: trainer=fast",
    "experiment=[seed_l2,decoder]": "experiment=[seed_l2,decoder]: must be one option, not a list",
    "regularizer=[l1,l1]": "regularizer=[l1,l1]: names l1 twice; leave one out",
    "regularizer=[[l1]]": "regularizer=[[l1]]: must be a name, or a list of names as in regularizer=[dropout,l2]",
    "tracking.parent=deadbeef": "tracking.parent=deadbeef: sweeps, studies and reruns set tracking.parent themselves",
    "+tracking.rerun_of=deadbeef": "+tracking.rerun_of=deadbeef: sweeps, studies and reruns set tracking.rerun_of",
    "tracking={parent:deadbeef}": "tracking.parent=deadbeef: sweeps, studies and reruns set tracking.parent themselves",
    "regularizer={dropout:{p:.3}}": "regularizer.dropout.p=0.3: the strategy is none; add regularizer=dropout",
    "trainer={max_epoch:3}": "trainer.max_epoch=3: no such key; did you mean trainer.max_epochs?",
    "-m seed=0,1 trainer={max_epoch:3}": "trainer.max_epoch=3: no such key; did you mean trainer.max_epochs?",
    "sweep={name:a}": "sweep.name=a: has an effect only in sweeps",
    "data=wine data={name:x,train_size:20}": "data.name=x: the name of data=wine is fixed; leave it out",
    "model={hidden_sizes:[],norm:batch}": "model.norm=batch: the network has no hidden layer",
    "-m tracking.phase=tune": "tracking.phase=tune: sweeps, studies and reruns set tracking.phase themselves",
    "+report.foo=1": "report.foo: no such key (keys of report: dir)",
    "+sweep.foo=1": "sweep.foo: no such key; leave it out",
    "report=5": "report=5: is a section and no value; set report.dir",
    "~trainer.max_epochs": "~trainer.max_epochs: would use the default of the class, which the config does not show",
    "~tracking.weights": "tracking.weights: missing; leave out ~tracking.weights",
    "~optimizer.weight_decay": "~optimizer.weight_decay: would use the default of the class, which the config",
    "+hydra.foo=1": "+hydra.foo=1: Hydra has no such key",
    "+hydra.job.env_set.OMP_NUM_THREADS=2": "+hydra.job.env_set.OMP_NUM_THREADS=2: would be set after the checks",
    "-m seed=0,1 workers=2 hydra/launcher=joblib hydra.launcher.n_jobs=4": "hydra.launcher.n_jobs=4: workers is typed",
    "+study.seeds=3": "study: no such key; studies are run by make study",
    "regularizer=l1 regularizer._space_.l1.strength.low=5": (
        "regularizer._space_.l1.strength.low=5: ranges are searched"
    ),
    "data.label_noise=1e-30": "data.label_noise=1e-30: is too small to replace any label",
    "+trainer.min_epochs=5": "+trainer.min_epochs=5: training does not end early; add regularizer=early_stopping",
    "+trainer.min_steps=5": "+trainer.min_steps=5: training does not end early",
    "+trainer.benchmark=true": "+trainer.benchmark=true: is for GPUs",
    "data.test_fraction=0 trainer.limit_test_batches=2": "trainer.limit_test_batches=2: there is no test",
    "model.hidden_sizes=[] model.norm=batch": "model.norm=batch: the network has no hidden layer",
    "model=llama data=python_docs data.tokenizer=characters data.vocab_size=999": "data.vocab_size=999: is for",
    # beyond what is stored, or finishes
    "seed=100000000000000000000": "seed=100000000000000000000: must be a whole number of 0 or more, at most 92233720",
    "trainer.threads=1000000": "trainer.threads=1000000: must be a whole number from 1 to 1024",
    "data=python_docs model=llama data.vocab_size=999999999": (
        "data.vocab_size=999999999: must be a whole number of 257 or more, at most 1000000"
    ),
    "data=python_docs model=llama model.layers=1000000": "model.layers=1000000: must be a whole number of 1 or more",
    "regularizer=adversarial regularizer.adversarial.steps=9999": "regularizer.adversarial.steps=9999: must be",
    "optimizer.lr=1e-300": "optimizer.lr=1e-300: must be a finite number above 0 (as a float32 it is 0)",
    "regularizer=l2 regularizer.l2.strength=1e-300": "regularizer.l2.strength=1e-300: is 0 as a float32",
    "data.name='a\x1b[31m'": "data.name=a\\x1b[31m: must be text",
    f"data.name={'a' * 100_000}": "data.name=aaaa",
    # sweeps: errors of all jobs are reported before the sweeper starts
    "-m seed=0,1 --cfg job": "--cfg: shows the config of one run; leave out -m",
    "-m regularizer=none,l1 optimizer.lrr=3": "optimizer.lrr=3: no such key; did you mean optimizer.lr?",
}


@pytest.mark.parametrize("typed", WRONG, ids=str)
def test_a_wrong_config_is_one_line(typed):
    with pytest.raises(ConfigError) as caught:
        prepare_arguments(typed.split(), "train", check)
    assert str(caught.value).startswith(WRONG[typed])
    assert "\n" not in str(caught.value)


WITHOUT_EFFECT = {
    "generate temperature=0 top_k=3": "top_k=3: nothing is drawn at temperature=0",
    "generate generation.seed=0": "generation.seed=0: nothing is drawn at temperature=0",
    "generate passes=8": "passes=8: needs train_mode=true",
    "generate tracking.experiment=a run_id=a1b2": "tracking.experiment=a: selects where to look for the best run",
    "export run_id=a1b2 tracking.experiment=a": "tracking.experiment=a: selects where to look for the best run",
    "study -m seeds=3 study.seeds=5": "study.seeds=5: seeds is typed too and takes precedence; leave out one",
    "generate data.path=book.txt": "data.path=book.txt: generate reads no data",
    "generate tracking={weights:none}": "tracking.weights=none: no such key",
    "study -m study.tasks={data:digits}": "study.tasks={data:digits}: must be a list",
    "report hydra.sweep.dir=x": "hydra.sweep.dir=x: has an effect only in sweeps",
    "evaluate hydra/launcher=joblib": "hydra/launcher=joblib: has an effect only in sweeps",
    "study -m hydra.run.dir=x": "hydra.run.dir=x: has an effect only in a single run",
    "ui tracking.uri=http://127.0.0.1:1 ui.port=5001": "ui.port=5001: tracking.uri is a server",
}


@pytest.mark.parametrize("typed", WITHOUT_EFFECT, ids=str)
def test_what_has_no_effect_beside_the_other_keys_is_refused(typed):
    app, *words = typed.split()
    with pytest.raises(ConfigError) as caught:
        prepare_arguments(words, app)
    assert str(caught.value).startswith(WITHOUT_EFFECT[typed])


def test_it_is_taken_where_it_has_an_effect():
    prepare_arguments(["train_mode=true", "passes=8", "generation.seed=1"], "generate")
    prepare_arguments(["temperature=1", "generation.seed=1", "tracking.experiment=a"], "generate")
    prepare_arguments(["+trainer.min_epochs=2", "regularizer=early_stopping"], "train", check)
    assert prepare_arguments(["data=wine", "-m", "seed=0,1"], "train", check) == ["-m", "data=wine", "seed=0,1"]


def test_another_app_tells_its_own_keys():
    with pytest.raises(ConfigError, match=r"^data=mnist5k: no such key \(keys: baseline, direction, filter, .*\)$"):
        prepare_arguments(["data=mnist5k"], "report")
    with pytest.raises(ConfigError, match=r"^metrics=3: no such key; did you mean metric\?$"):
        prepare_arguments(["metrics=3"], "report")


# Keys of a composed config that an app reads: those of its --help.
ASIDE = {
    "evaluate passes=5": "passes=5: no such key; did you mean mc_dropout?",
    "evaluate phase=single": "phase=single: no such key (keys: code, data, mc_dropout, model, run_id, seed, tracking)",
    "evaluate weights=best": "weights=best: no such key (keys: code, data, mc_dropout, model, run_id, seed, tracking)",
    "evaluate uri=x": "uri=x: no such key; did you mean tracking.uri?",
    "evaluate tracking.ur=x": "tracking.ur=x: no such key; did you mean tracking.uri?",
    "evaluate tracking.phas=x": "tracking.phas=x: no such key (keys of tracking: uri, experiment)",
    "rerun seed=1": (
        "seed=1: no such key (keys: code, data, model, run_id, tracking) (seed is a key of make train, make evaluate)"
    ),
    "status sweep.name=x": "sweep.name=x: no such key; sweep is a section of make train",
    "train study.seeds=3": "study.seeds=3: no such key; study is a section of make study",
    "train study=quick": "study=quick: no such key; studies are run by make study",
    "train mc_dropout=9": "mc_dropout=9: no such key (mc_dropout is a key of make evaluate)",
    "report trainer.max_epochs=3": "trainer.max_epochs=3: no such key; trainer is a section of make train",
    "generate topk=3": "topk=3: no such key; did you mean top_k?",
    "generate seed=1": "seed=1: no such key; did you mean generation.seed?",
    "status experiment=x": "experiment=x: no such key; did you mean tracking.experiment?",
    "study processes=2": "processes=2: no such key; did you mean workers?",
    "train learning_rate=.1": "learning_rate=.1: no such key; did you mean optimizer.lr?",
    "train passes=3": "passes=3: no such key; did you mean trainer.max_epochs?",
}


@pytest.mark.parametrize("typed", ASIDE, ids=str)
def test_an_app_suggests_what_it_reads(typed):
    app, override = typed.split()
    with pytest.raises(ConfigError) as caught:
        prepare_arguments([override], app)
    assert str(caught.value) == ASIDE[typed]


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


@pytest.mark.parametrize("typed", RIGHT, ids=str)
def test_a_right_config_passes_as_it_is(typed):
    words = typed.split()
    flags = words[words.index("--cfg") :][:2] if "--cfg" in words else []
    assert prepare_arguments(words, "train", check) == [*flags, *(word for word in words if word not in flags)]


def test_of_a_key_that_is_given_twice_the_first_value_is_named(capsys):
    assert prepare_arguments(["seed=1", "data=wine", "seed=2"], "train", check) == ["seed=1", "data=wine", "seed=2"]
    assert capsys.readouterr().err == "note: seed=1 is replaced by seed=2, which comes later\n"
    prepare_arguments(["seed=1", "seed=1"], "train", check)
    assert capsys.readouterr().err == ""
    prepare_arguments(["optimizer={lr:1e-3}", "optimizer.lr=1e-2"], "train", check)
    assert "optimizer.lr=0.001 is replaced by optimizer.lr=1e-2" in capsys.readouterr().err


def test_in_a_sweep_a_single_strength_waits_for_its_strategy():
    typed = ["-m", "experiment=compare", "regularizer.l1.strength=1e-3", "regularizer.l2.strength=1,2", "seed=0"]
    handed = ["-m", "experiment=compare", "regularizer.l1.strength=choice(1e-3)", *typed[3:]]
    assert prepare_arguments(typed, "train", check) == handed


def test_a_file_is_suggested(tmp_path):
    (tmp_path / "wine.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ConfigError, match=r"no such file; did you mean .*wine.csv\?"):
        prepare_arguments(["data=csv", f"data.path={tmp_path}/wien.csv", "data.target=y"], "train", check)
    with pytest.raises(ConfigError, match=r"data.target=null: name the column"):
        prepare_arguments(["data=csv", f"data.path={tmp_path}/wine.csv"], "train", check)


def test_a_folder_of_reports_is_noted_in_a_single_run() -> None:
    line = ["seed=1", "report.dir=x"]
    assert notes_on_ineffective(line, "train") == ["report.dir=x has an effect only in sweeps"]
    assert notes_on_ineffective(line, "report") == notes_on_ineffective(line[:1], "train") == []
