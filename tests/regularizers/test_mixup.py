import pytest
import torch
from torch.nn import functional as F

from reglab.regularizers import LabelSmoothing, Mixup, Step
from reglab.regularizers._batch_transforms import beta_draws
from reglab.regularizers._class_probabilities import as_probabilities
from reglab.regularizers.mixup import mixed
from tests.regularizers.steps import batch_of, fit_of, network, same_state, task_of, train

pytestmark = pytest.mark.usefixtures("double")


def test_the_cross_entropy_of_mixed_labels_is_mixed() -> None:
    """CE(soft) = share · CE_a + (1 - share) · CE_b, row by row."""
    task = task_of("classification")
    inputs, targets = batch_of("classification")
    partners, share = torch.randperm(len(inputs)), torch.rand(len(inputs))
    batch = mixed((inputs, as_probabilities(targets, task, inputs.dtype)), partners, share)
    exact_inputs = torch.stack([s * x + (1 - s) * inputs[j] for s, x, j in zip(share, inputs, partners, strict=True)])
    torch.testing.assert_close(batch[0], exact_inputs, rtol=1e-14, atol=1e-15)
    outputs = network()(batch[0])
    first, second = (F.cross_entropy(outputs, labels, reduction="none") for labels in (targets, targets[partners]))
    exact = (share * first + (1 - share) * second).mean()
    torch.testing.assert_close(task.criterion(outputs, batch[1]), exact, rtol=1e-13, atol=0)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_share_of_1_is_the_identity(kind: str) -> None:
    inputs, targets = batch_of(kind)
    soft = as_probabilities(targets, task_of(kind), inputs.dtype)
    out = mixed((inputs, soft), torch.randperm(len(inputs)), torch.ones(len(inputs)))
    assert torch.equal(out[0], inputs)
    assert torch.equal(out[1], soft)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_method_draws_partners_and_a_share_for_each_row(kind: str) -> None:
    method, task, batch = Mixup(0.4), task_of(kind), batch_of(kind)
    step = Step(network(kind), task, batch)
    torch.manual_seed(5)
    out = method.transform_batch(batch, step)
    torch.manual_seed(5)
    partners, share = torch.randperm(24), beta_draws(torch.tensor(0.4), 24)
    exact = mixed((batch[0], as_probabilities(batch[1], task, torch.float64)), partners, share)
    assert torch.equal(out[0], exact[0])
    assert torch.equal(out[1], exact[1])
    assert len(share.unique()) == 24
    if kind == "classification":
        torch.testing.assert_close(out[1].sum(1), torch.ones(24))
        assert torch.equal(batch[1], batch_of(kind)[1]), "the batch itself stays"


def test_off_is_bit_equal_in_a_regression() -> None:
    batches = [batch_of("regression", seed=i) for i in range(3)]
    off, none = (fit_of(network("regression"), task_of("regression"), methods) for methods in ([Mixup(0.0)], []))
    assert same_state(train(off, batches, 50).model, train(none, batches, 50).model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 7, 64, 257])
def test_class_numbers_as_shares_have_the_same_gradients(rows: int, dtype: torch.dtype) -> None:
    """Equal bit for bit, which makes the off value exact; the loss may differ by rounding."""
    logits = (4 * torch.randn(rows, 10, dtype=dtype)).requires_grad_()
    targets = torch.randint(10, (rows,))
    hard, soft = F.cross_entropy(logits, targets), F.cross_entropy(logits, F.one_hot(targets, 10).to(dtype))
    assert torch.equal(torch.autograd.grad(hard, logits)[0], torch.autograd.grad(soft, logits)[0])
    torch.testing.assert_close(hard, soft)


def test_mixed_labels_are_smoothed() -> None:
    batch = batch_of("classification")
    fit = fit_of(network(), task_of("classification"), [LabelSmoothing(0.2), Mixup(1.0)])
    assert [method.name for method in fit.regularizers] == ["mixup", "label_smoothing"]
    torch.manual_seed(5)
    loss = fit(batch)
    torch.manual_seed(5)
    inputs, shares = Mixup(1.0).transform_batch(batch, Step(fit.model, fit.task, batch))
    exact = F.cross_entropy(fit.model(inputs), 0.8 * shares + 0.2 / 3)
    torch.testing.assert_close(loss, exact, rtol=1e-13, atol=0)
