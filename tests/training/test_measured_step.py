"""Training steps outside of training: a repeatable loss that does not change batch, gradients or logs."""

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from reglab.regularizers import L2
from reglab.training.measured_step import UnmeasurableError, first_step, tensors_with_graph, training_step_loss
from tests.regularizers.steps import batch_of, fit_of, network, task_of

TRAINER: Any = SimpleNamespace(precision_plugin=SimpleNamespace(train_step_context=torch.no_grad))


class Plain(pl.LightningModule):
    """Log, change the batch in place and return `result(loss)`."""

    def __init__(self, result: Any = lambda loss: loss) -> None:
        super().__init__()
        self.net = nn.Linear(2, 1)
        self.result = result
        self.indices: list[Any] = []

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Any:
        self.indices.append(batch_idx)
        loss = self.net(batch[0]).square().mean()
        batch[0].zero_()
        self.log("loss", loss)
        self.log_dict({"more": loss})
        return self.result(loss)


class WithoutIndex(Plain):
    def training_step(self, batch: list[Tensor]) -> Tensor:  # type: ignore[override]
        return self.net(batch[0]).mean()


class FromIterator(Plain):
    def training_step(self, dataloader_iter: Any) -> Tensor:  # type: ignore[override]
        raise AssertionError("is not called")


def test_the_first_step_has_some_rows_of_the_batch_and_all_trainable_parameters() -> None:
    model = network()
    next(model.parameters()).requires_grad_(False)
    fit = fit_of(model, task_of("classification"), [L2(0.5)])
    inputs, targets = batch_of("classification")
    before = inputs.clone()
    step = first_step(fit, (inputs, targets), rows=3)
    expected = fit.losses((inputs[:3], targets[:3]))[0]
    assert torch.equal(step.loss(), expected)
    assert torch.equal(step.loss(), expected)
    assert torch.equal(inputs, before)
    ((*trained,),) = step.groups
    assert [id(parameter) for parameter in trained] == [id(parameter) for parameter in list(model.parameters())[1:]]
    assert [type(method) for method in step.regularizers] == [L2]
    assert step.state == [fit]


@pytest.mark.parametrize("result", [lambda loss: loss, lambda loss: {"loss": loss, "more": 1}], ids=["loss", "mapping"])
def test_a_user_step_is_called_with_a_copy_and_without_logging(result: Any) -> None:
    module, batch = Plain(result), [torch.ones(4, 2)]
    loss = training_step_loss(TRAINER, module, batch, 7)
    expected = float(module.net(torch.ones(4, 2)).square().mean().detach())
    assert [float(loss().detach()), float(loss().detach())] == [expected, expected]
    assert module.indices == [7, 7]
    assert torch.equal(batch[0], torch.ones(4, 2))
    assert not {"log", "log_dict"} & set(vars(module))  # the methods of the class are restored


def test_a_step_may_take_no_index() -> None:
    assert training_step_loss(TRAINER, WithoutIndex(), [torch.ones(4, 2)], 0)().shape == ()


def test_a_step_without_a_loss_blames_the_batch_and_one_of_an_iterator_does_not() -> None:
    with pytest.raises(UnmeasurableError, match="no loss") as skipped:
        training_step_loss(TRAINER, Plain(lambda loss: None), [torch.ones(4, 2)], 0)()
    with pytest.raises(UnmeasurableError, match="dataloader_iter") as streamed:
        training_step_loss(TRAINER, FromIterator(), [torch.ones(4, 2)], 0)()
    assert (skipped.value.this_batch, streamed.value.this_batch) == (True, False)


def test_an_error_of_the_step_is_passed_on_and_logging_is_restored() -> None:
    def fail(loss: Tensor) -> Tensor:
        raise RuntimeError("from the step")

    module = Plain(fail)
    with pytest.raises(RuntimeError, match="from the step"):
        training_step_loss(TRAINER, module, [torch.ones(4, 2)], 0)()
    assert "log" not in vars(module)


def test_tensors_with_a_graph_are_copied_without_it() -> None:
    weight = torch.ones(2, requires_grad=True)
    batch = {"x": [weight * torch.ones(4, 2)], "y": torch.ones(3)}
    (tensor,) = tensors_with_graph(batch)
    assert tensor is batch["x"][0]
    assert training_step_loss(TRAINER, Plain(), batch["x"], 0)().isfinite()
