"""Training mode is set on all modules except those in eval mode on purpose."""

from typing import Any

import pytest
import torch
from torch import nn

from reglab.training.train_eval_mode import parts_in_eval, set_training


def net(**parts: nn.Module) -> nn.ModuleDict:
    return nn.ModuleDict({"first": nn.Linear(3, 4), "norm": nn.BatchNorm1d(4), "drop": nn.Dropout(0.5), **parts})


def in_eval(model: nn.Module) -> list[str]:
    return [name for name, _ in parts_in_eval(model)]


def frozen(module: nn.Module) -> Any:
    return module.requires_grad_(False)


def test_a_model_in_eval_mode_as_a_whole_trains() -> None:
    model = net().eval()
    assert in_eval(model) == [""]
    assert set_training(model) == [""]
    assert in_eval(model) == []


def test_a_loaded_part_trains_and_is_reported() -> None:
    model = net(loaded=net().eval())
    assert set_training(model) == ["loaded"]
    assert in_eval(model) == []


def test_frozen_normalization_stays() -> None:
    model = net().eval()
    frozen(model.norm)
    model["loaded"] = net().eval()
    frozen(model.loaded.norm)
    set_training(model)
    assert in_eval(model) == ["norm", "loaded.norm"]


@pytest.mark.parametrize("part", ["norm", "drop"])
def test_a_layer_in_eval_mode_by_itself_stays(part: str) -> None:
    model = net()
    model[part].eval()
    assert set_training(model) == []
    assert in_eval(model) == [part]


def test_a_frozen_part_in_eval_mode_stays_and_one_in_training_mode_trains() -> None:
    model = net(extractor=frozen(net()).eval(), other=frozen(net()))
    assert set_training(model) == []
    assert in_eval(model) == ["extractor"]


def test_a_part_outside_the_optimizer_stays_like_a_frozen_one() -> None:
    model = net(teacher=net().eval(), loaded=net().eval())
    owned = {id(parameter) for parameter in (*model.first.parameters(), *model.loaded.first.parameters())}
    assert set_training(model, owned) == ["loaded"]
    assert in_eval(model) == ["teacher", "loaded.norm"]


def test_modes_set_by_an_overridden_train_stay() -> None:
    class Own(nn.Sequential):
        def train(self, mode: bool = True) -> "Own":
            super().train(mode)
            self[1].eval()
            return self

    model = Own(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval()
    assert set_training(model) == [""]
    assert in_eval(model) == ["1"]
    assert torch.equal(model[1].running_mean, torch.zeros(4))
