"""Errors about wrong strengths, schedules and combinations of regularizers with data and models."""

import pytest

from reglab.cli import prepare_arguments
from reglab.config.check_run import check
from tests.errors import config_error

# By override: the setting, and words of the problem and the remedy.
WRONG = {
    "regularizer.dropout.p=.3": "regularizer.dropout.p=.3: the strategy is none ... regularizer=dropout",
    "+regularizer.l1.strength=3": "regularizer.l1.strength=3: the strategy is none ... regularizer=l1",
    "regularizer=dropout regularizer.droput.p=.3": (
        "regularizer.droput.p=.3: no such regularizer ... regularizer.dropout.p?"
    ),
    "regularizer=dropout regularizer.dropout.pp=.3": (
        "regularizer.dropout.pp=.3: no such key ... regularizer.dropout.p?"
    ),
    "regularizer=dropout +regularizer.dropout.inputp=.3": (
        "regularizer.dropout.inputp=0.3: no such key ... regularizer.dropout.input_p?"
    ),
    "regularizer=dropout regularizer.dropout.p=1.5": (
        "regularizer.dropout.p=1.5: finite number at least 0 and below 1"
    ),
    "regularizer=dropout regularizer.dropout.p=much": "regularizer.dropout.p=much: finite number",
    "data=diabetes regularizer=label_smoothing": "regularizer=label_smoothing: for classification and",
    "regularizer=r_drop": "regularizer=r_drop: two passes ... random ... add dropout: regularizer=",
    "regularizer=adversarial regularizer.adversarial.steps=0": (
        "regularizer.adversarial.steps=0: finite whole number at least 1"
    ),
    "regularizer=adversarial regularizer.adversarial.steps=1.5": (
        "regularizer.adversarial.steps=1.5: finite whole number at least 1"
    ),
    "model=linear regularizer=dropout": (
        "regularizer=dropout: nothing to act on in model=linear ... activation modules ... regularizer.dropout.input_p"
    ),
    "regularizer=spatial_dropout": (
        "regularizer=spatial_dropout: nothing to act on in model=mlp ... after convolutions ... model=cnn"
    ),
    "model=cnn regularizer=stochastic_depth": (
        "regularizer=stochastic_depth: nothing to act on in model=cnn ... residual blocks ... model=residual_cnn"
    ),
    "regularizer=activity_kl": ("regularizer=activity_kl: relu ... model.activation=sigmoid"),
    "regularizer=cutmix data=breast_cancer": ("regularizer=cutmix: images ... breast_cancer are table rows"),
    "regularizer=cutmix data=diabetes": "regularizer=cutmix: classification ... diabetes is a regression",
    "regularizer=augmentation data=diabetes": (
        "regularizer=augmentation: signals ... images ... diabetes are table rows"
    ),
    "model=cnn data=diabetes": (
        "model=cnn: signals ... images (channels, height, width) ... diabetes are table rows ... model=mlp"
    ),
    "experiment=seed_l2 regularizer=none regularizer.l2.strength=3": (
        "regularizer.l2.strength=3: the strategy is none ... regularizer=l2"
    ),
    "regularizer=l1 +regularizer.l1.schedule=late": "regularizer.l1.schedule=late: must name strengths",
    "regularizer=l1 +regularizer.l1.schedule.strengt.kind=late": (
        "regularizer.l1.schedule.strengt: no such strength ... strength?"
    ),
    "regularizer=dropout +regularizer.dropout.schedule.p={kind:linear,start:1,epochs:3}": (
        "regularizer.dropout.schedule.p.start=1: finite number at least 0 and below 1"
    ),
    "regularizer=[spectral_norm,weight_decay]": ("regularizer=[spectral_norm,weight_decay]: singular value undoes it"),
    "regularizer=spectral_norm regularizer.spectral_norm.strength=1": (
        "regularizer.spectral_norm.strength=1: spectral_norm has no strengths"
    ),
    "regularizer=spectral_norm +regularizer.spectral_norm.foo=1": ("regularizer.spectral_norm.foo=1: no such key"),
    "regularizer=[ema,swa]": "regularizer=[swa,ema]: both ... average",
    "regularizer=swa regularizer.swa.start=1.5": ("regularizer.swa.start=1.5: finite number at least 0 and at most 1"),
    "regularizer=early_stopping data.val_fraction=0": (
        "regularizer=early_stopping: val/loss ... data.val_fraction=0 ... data.val_fraction=0.2"
    ),
    "regularizer=early_stopping regularizer.early_stopping.patience=2.5": (
        "regularizer.early_stopping.patience=2.5: whole number at least 1"
    ),
    "regularizer=l2 regularizer.l2=0.1": "regularizer.l2=0.1: a section ... set regularizer.l2.strength",
    "regularizer=[dropout,l1] regularizer.dropout=null": (
        "regularizer.dropout=null: section ... dropout.p or regularizer.dropout.input_p"
    ),
    "regularizer=l2 ~regularizer.l2": "~regularizer.l2: strategy ... choose ... without it",
    "regularizer=l2 ~regularizer.l2.strength": "~regularizer.l2.strength: strategy ... choose ... without it",
    "regularizer=[dropout,r_drop] regularizer.dropout.p=0": "regularizer=r_drop: two passes ... random",
    "regularizer=sam +trainer.accumulate_grad_batches=2": (
        "regularizer=sam: a second pass ... whole batch ... accumulate_grad_batches=1"
    ),
    "regularizer=dropout regularizer.dropout.p=0.99999999": (
        "regularizer.dropout.p=0.99999999: 1 as a float32 ... finite number at least 0 and below 1"
    ),
    "regularizer=l1 regularizer.l1.strength=1e39": (
        "regularizer.l1.strength=1e+39: inf as a float32 ... finite number at least 0"
    ),
    "regularizer=max_norm regularizer.max_norm.max_norm=1e-46": (
        "regularizer.max_norm.max_norm=1e-46: 0 as a float32 ... number above 0"
    ),
    "regularizer=max_norm regularizer.max_norm.max_norm=.inf": ("regularizer.max_norm.max_norm=.inf: written as inf"),
    "regularizer=dropout model=linear +regularizer.dropout.schedule.input_p={kind:late,since:3}": (
        "regularizer=dropout: nothing to act on in model=linear"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("typed", WRONG, ids=str)
def test_a_wrong_strategy_is_an_error_about_its_setting(typed: str) -> None:
    with config_error(WRONG[typed]):
        prepare_arguments(typed.split(), "train", check)
