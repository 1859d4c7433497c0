"""`Regularize`: removed hooks, resumed training and refused arguments."""

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from reglab import L1, L2SP, SAM, DropConnect, Dropout, Lookahead, MaxNorm, Orthogonal, Regularize, WeightDecay
from reglab.regularizers import ElasticNet, NuclearNorm, Regularizer, SpectralNorm
from reglab.schema.errors import ConfigError
from tests.errors import config_error
from tests.training.test_regularize import UserModule, trained, weights


def fitted(
    module: UserModule, regularizers: list[Regularizer], epochs: int, checkpoint: str | None = None, **settings: Any
) -> pl.Trainer:
    generator = torch.Generator().manual_seed(1)
    data = TensorDataset(torch.randn(40, 6, generator=generator), torch.randint(3, (40,), generator=generator))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Regularize(regularizers)],
        **settings,
    )
    trainer.fit(module, DataLoader(data, batch_size=10), ckpt_path=checkpoint)
    return trainer


def count_hooks(module: nn.Module) -> int:
    return sum(len(part._forward_hooks) + len(part._forward_pre_hooks) for part in module.modules())


def test_hooks_are_removed_after_training() -> None:
    module = UserModule(through="self")
    trained(module, [Dropout(p=0.5), DropConnect(p=0.1)])
    assert count_hooks(module) == 0
    first = [parameter.clone() for parameter in weights(module)]
    reloaded = UserModule(through="self")
    reloaded.load_state_dict(module.state_dict())
    for net in (module, reloaded):
        trained(net)  # without dropout in both
    assert not torch.equal(weights(module)[0], first[0])
    assert all(torch.equal(a, b) for a, b in zip(weights(module), weights(reloaded), strict=True))


def test_hooks_are_removed_after_an_error() -> None:
    class Failing(UserModule):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            raise RuntimeError("no")

    module = Failing()
    with pytest.raises(RuntimeError, match="no"):
        trained(module, [Dropout(p=0.5)])
    assert count_hooks(module) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "window"),
    [
        (lambda: L2SP(strength=1.0), 1),
        (lambda: Lookahead(alpha=0.5, k=3), 1),
        (lambda: SpectralNorm(), 1),
        (lambda: SAM(rho=0.1), 1),
        (lambda: WeightDecay(strength=0.1), 1),
        (lambda: WeightDecay(strength=0.1), 2),
        (lambda: Lookahead(alpha=0.5, k=3), 3),
    ],
    ids=["l2_sp", "lookahead", "spectral_norm", "sam", "weight_decay", "accumulated", "short window"],
)
def test_a_resumed_training_equals_the_uninterrupted_one(make: Any, window: int, tmp_path: Path) -> None:
    first = str(tmp_path / "first.ckpt")
    fitted(UserModule(), [make()], 2, accumulate_grad_batches=window).save_checkpoint(first)
    uninterrupted, resumed = UserModule(), UserModule()
    fitted(uninterrupted, [make()], 5, accumulate_grad_batches=window)
    fitted(resumed, [make()], 5, first, accumulate_grad_batches=window)
    assert all(torch.equal(a, b) for a, b in zip(weights(uninterrupted), weights(resumed), strict=True))


def test_weights_unfrozen_later_are_pulled_to_their_initial_values() -> None:
    class Unfreezing(UserModule):
        def __init__(self) -> None:
            super().__init__()
            self.net[0].requires_grad_(False)

        def on_train_epoch_start(self) -> None:
            self.net[0].requires_grad_(self.current_epoch >= 1)

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return self.net(batch[0]).sum() * 0

    start, module = weights(UserModule()), Unfreezing()
    fitted(module, [L2SP(strength=1.0)], 3)
    assert all(torch.equal(a, b) for a, b in zip(weights(module), start, strict=True))


def test_both_passes_of_sam_have_the_same_masks() -> None:
    seen: list[Tensor] = []

    class RecordMasks(UserModule):
        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            hidden = self.net[1](self.net[0](batch[0]))
            seen.append(hidden == 0)
            return F.cross_entropy(self.net[2](hidden), batch[1])

        def on_train_batch_start(self, batch: Any, index: int) -> None:
            if self.global_step == 0:
                seen.clear()  # remove the passes that measured the effects

    fitted(RecordMasks(), [SAM(rho=1e-8), Dropout(p=0.5)], 1)
    assert len(seen) == 8
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(seen[0], seen[2])


def test_weights_outside_the_optimizer_do_not_change() -> None:
    module = UserModule()
    start = [weight.clone() for weight in weights(module)]
    module.make = lambda: torch.optim.SGD(module.net[2].parameters(), lr=0.1)
    trained(module, [L1(strength=0.5), MaxNorm(max_norm=0.1), L2SP(strength=1.0)])
    assert torch.equal(weights(module)[0], start[0])
    assert not torch.equal(weights(module)[2], start[2])


def test_a_large_penalty_is_accepted() -> None:
    class Wide(UserModule):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5000, 64)

    module = Wide()
    module.make = lambda: torch.optim.SGD(module.parameters(), lr=1e-12)
    trained(module, [Orthogonal(strength=1e-3)])
    penalty = Orthogonal(strength=1e-3)
    assert penalty.penalty(penalty.weights(module)) > 1e5


def test_dropout_does_not_act_on_the_output_of_the_net() -> None:
    seen: list[Tensor] = []

    class Positive(UserModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softplus())
            self.loss = nn.Sequential(nn.LogSoftmax(-1))  # outside of the net, without weights

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            seen.append(self.net(batch[0]))
            return -self.loss(seen[-1])[:, 0].mean()

    trained(Positive(), [Dropout(p=0.5)])
    assert all((outputs > 0).all() for outputs in seen)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ([Dropout(p=0.5), Dropout(p=0.1)], "regularizer=dropout: given twice"),
        ([MaxNorm(max_norm=1.0), SpectralNorm()], "regularizer=[spectral_norm,max_norm]: singular"),
        ([L1(strength=0.1), NuclearNorm(strength=0.1)], "regularizer=[nuclear_norm,l1]: its step"),
        ([ElasticNet(l1=0.1, l2=0.1), NuclearNorm(strength=0.1)], "regularizer=[nuclear_norm,elastic_net]: step"),
    ],
)
def test_conflicts_are_refused(methods: list[Regularizer], message: str) -> None:
    with config_error(message):
        Regularize(methods)


@pytest.mark.parametrize(
    ("methods", "module", "key"),
    [
        (L1(strength=0.1), "", "regularizers=l1: "),
        ("l1", "", "regularizers=l1: "),
        (None, "", "regularizers=null: "),
        ([L1], "", "regularizers: the class L1 "),
        (["l1"], "", "regularizers: 'l1' "),
        ([L1(strength=0.1)], ["net"], "module=[net]: "),
    ],
)
def test_arguments_of_other_types_are_refused_by_name(methods: Any, module: Any, key: str) -> None:
    with pytest.raises(ConfigError) as error:
        Regularize(methods, module)
    assert str(error.value).startswith(key)


def test_two_callbacks_are_refused() -> None:
    module = UserModule()
    with pytest.raises(ConfigError, match=r"^Regularize: is in callbacks twice"):
        trained(module, [Dropout(p=0.5)], callbacks=[Regularize([L1(strength=0.1)], "net")])
    assert count_hooks(module) == 0


@pytest.mark.slow
def test_dropout_acts_on_a_net_compiled_and_called_before() -> None:
    class Compiled(UserModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.compile(self.net, backend="eager")
            self.net(torch.zeros(2, 6))

    compiled, plain = Compiled(), UserModule()
    for module in (compiled, plain):
        torch.manual_seed(7)
        trained(module, [Dropout(p=0.5)])
    for a, b in zip(weights(compiled), weights(plain), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)
