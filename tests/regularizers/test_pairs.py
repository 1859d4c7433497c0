"""Properties of all pairs of regularizers, with the settings of `test_table`."""

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, cast

import pytest
import torch

from reglab.regularizers import Regularizer, in_order
from reglab.regularizers._dispatch import Dispatch, overrides
from reglab.regularizers.base import regularizer_classes, snake
from reglab.schema.compatibility import check_conflicts
from reglab.schema.errors import ConfigError
from reglab.schema.task_kinds import kinds_with
from reglab.training.fit import Fit
from tests.regularizers.steps import LANGUAGE, fit_of, same_state, task_of, train
from tests.regularizers.test_table import ROWS, Row

ROW = {row.cls: row for row in ROWS}
STEPS = 3  # the period of lookahead
HOOKS = ("transform_batch", "loss", "before_step", "after_step", "wrap_optimizer")

REFUSED = [
    ("cutmix", "mixup"),
    ("ema", "swa"),
    ("elastic_net", "nuclear_norm"),
    ("focal", "label_smoothing"),
    ("group_lasso", "nuclear_norm"),
    ("l1", "nuclear_norm"),
    ("max_norm", "spectral_norm"),
    ("spectral_norm", "weight_decay"),
]

# The first acts before the second, and the other order would train another model.
BEFORE = {
    ("Cutout", "Mixup"): "mixed labels match the inputs that were mixed",
    ("Mixup", "Adversarial"): "the attack is on the batch that is trained on",
    ("LabelSmoothing", "RDrop"): "both passes have the smoothed loss",
    ("LabelSmoothing", "Flooding"): "the level is for the loss of outputs and labels",
    ("L1", "GroupLasso"): "in this order both steps are the proximal map of the sum",
    ("L1", "MaxNorm"): "the constraint is satisfied after the step",
    ("GroupLasso", "MaxNorm"): "the constraint is satisfied after the step",
    ("SAM", "SpectralNorm"): "both passes divide the weights",
    ("SpectralNorm", "GradientClipping"): "the gradient of the divided weights is clipped",
}

# The second acts on the loss of the first, or draws after it; the loss of all other pairs is a sum.
NOT_ADDED = {
    ("Focal", "Flooding"): "the flooded loss is the focal loss",
    ("Focal", "RDrop"): "the focal loss is the mean of two passes",
    ("LabelSmoothing", "Flooding"): "the flooded loss is the smoothed one",
    ("LabelSmoothing", "RDrop"): "the smoothed loss is the mean of two passes",
    ("RDrop", "Flooding"): "the flooded loss is the mean of two passes",
    ("RDrop", "Jacobian"): "the Jacobian has other dropout masks after the second pass",
}


@functools.cache
def setting(first: str, second: str) -> Row | None:
    """Return a task, shape and model that suit both methods of a pair, or None."""
    pair = ROW[first], ROW[second]
    shapes = {row.shape for row in pair if row.make().input_dims or row.residual or row.kind == LANGUAGE}
    kinds = [(row.kind,) if row.kind == LANGUAGE else kinds_with(row.make().requires_task) for row in pair]
    kind = next((kind for kind in kinds[0] if kind in kinds[1]), None)
    if len(shapes) > 1 or kind is None:
        return None
    activations = [row.activation for row in pair]
    required = [name for name in ("sigmoid", "selu") if name in activations]
    residual, dropout = (any(has) for has in zip(*(row[-2:] for row in pair), strict=True))
    return Row("", {}, {}, kind, [*required, *activations][0], [*shapes, pair[0].shape][0], residual, dropout)


def refused(first: str, second: str) -> bool:
    return tuple(sorted((snake(first), snake(second)))) in REFUSED


PAIRS = [
    (first.cls, second.cls)
    for first, second in itertools.combinations(ROWS, 2)
    if setting(first.cls, second.cls) and not refused(first.cls, second.cls)
]


def setting_of(pair: tuple[str, str]) -> Row:
    row = setting(*pair)
    assert row is not None
    return row


def make(names: Iterable[str], on: Row, *, off: str | None = None) -> list[Regularizer]:
    """Return the methods for a setting, without strengths that perturb token ids, and with `off` at its off values."""
    methods = []
    for name in names:
        strengths = {k: v for k, v in ROW[name].strengths.items() if on.kind != LANGUAGE or k != "input_p"}
        method = ROW[name].make(strengths)
        for key, strength in method.strengths().items() if name == off else ():
            method.get_buffer(key).fill_(cast("float", strength.off))
        methods.append(method)
    return methods


def trained(methods: list[Regularizer], on: Row, steps: int) -> Fit:
    return train(fit_of(on.network(), task_of(on.kind), methods), on.batches(), steps)


@functools.cache
def trained_alone(name: str, on: tuple[Any, ...], steps: int) -> Fit:
    row = Row("", {}, {}, *on)
    return trained(make([name], row), row, steps)


@functools.cache
def draws(name: str, on: tuple[Any, ...]) -> bool:
    """Return whether a step with the method draws random numbers, including those of dropout in the model."""
    row = Row("", {}, {}, *on)
    trained(make([name], row), row, 1)
    return not torch.equal(torch.get_rng_state(), torch.Generator().manual_seed(0).get_state())


def record_calls(methods: list[Regularizer]) -> dict[str, list[str]]:
    """Record the names of methods in the order of the first call of each hook that they override."""
    calls: dict[str, list[str]] = {hook: [] for hook in HOOKS}

    def spied(hook: Callable[..., Any], names: list[str], name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if name not in names:
                names.append(name)
            return hook(*args)

        return call

    for method in methods:
        for hook in HOOKS:
            if overrides(method, hook):
                setattr(method, hook, spied(getattr(method, hook), calls[hook], method.name))
    return calls


every_pair = pytest.mark.parametrize("pair", PAIRS, ids="+".join)
pytestmark = pytest.mark.filterwarnings("ignore:regularizer=alpha_dropout")  # with activity_kl, which requires sigmoids


@pytest.mark.slow
@every_pair
def test_both_methods_of_a_pair_act_in_their_order(pair: tuple[str, str]) -> None:
    on = setting_of(pair)
    methods = make(pair, on)
    calls = record_calls(methods)
    both = trained(methods, on, STEPS)
    assert all(p.isfinite().all() for p in both.model.parameters())
    ordered = in_order(methods)
    assert in_order(methods[::-1]) == ordered == list(both.regularizers)
    for hook in HOOKS:
        names = [method.name for method in ordered if overrides(method, hook)]
        assert calls[hook] == (names[::-1] if hook == "wrap_optimizer" else names), hook
    for name, other in (pair, pair[::-1]):
        if not ROW[name].make().monitors_validation:  # these steps have no evaluations
            assert not same_state(both.model, trained_alone(other, on[3:], STEPS).model), f"{name} has no effect"


@pytest.mark.slow
@every_pair
def test_one_of_a_pair_at_its_off_value_is_bit_equal_to_the_other_method(pair: tuple[str, str]) -> None:
    on = setting_of(pair)
    for off, other in (pair, pair[::-1]):
        strengths = ROW[off].make().strengths().values()
        if not strengths or None in [strength.off for strength in strengths]:
            continue
        if draws(off, on[3:]) and draws(other, on[3:]):
            continue  # a method at its off value draws, too, and shifts the draws of the other
        assert same_state(trained(make(pair, on, off=off), on, 1).model, trained_alone(other, on[3:], 1).model), (
            f"{off} at its off value has an effect beside {other}"
        )


@pytest.mark.parametrize(
    "pair",
    [pair for pair in PAIRS if all(overrides(ROW[name].make(), "loss") for name in pair)],
    ids="+".join,
)
def test_the_added_loss_is_the_sum_of_both(pair: tuple[str, str], double: None) -> None:
    on = setting_of(pair)

    def added(names: Iterable[str]) -> float:
        fit = fit_of(on.network(), task_of(on.kind), make(names, on)).train()
        for parameter in fit.model.parameters():
            parameter.data *= 1.1  # the penalty of l2_sp is 0 at the initial weights
        torch.manual_seed(0)
        loss, data_loss = fit.losses(on.batches()[0])
        return (loss - data_loss).item()

    parts = [added([name]) for name in pair]
    assert 0 not in parts
    equal = added(pair) == pytest.approx(sum(parts), rel=1e-10, abs=1e-13)
    assert equal == (pair not in NOT_ADDED and pair[::-1] not in NOT_ADDED)


@pytest.mark.parametrize(
    "pair",
    [pair for pair in PAIRS if all(overrides(ROW[name].make(), "penalty") for name in pair)],
    ids="+".join,
)
def test_the_logged_penalty_is_the_sum_of_both(pair: tuple[str, str]) -> None:
    on = setting_of(pair)
    fit = fit_of(on.network(), task_of(on.kind), make(pair, on))
    train(fit, on.batches(), 1)
    parts = [Dispatch([method], fit.model).penalty() for method in fit.regularizers]
    assert min(parts) > 0
    assert Dispatch(fit.regularizers, fit.model).penalty() == sum(parts)


@pytest.mark.parametrize("pair", BEFORE, ids="+".join)
def test_the_order_of_a_pair_matters_and_is_the_declared_one(pair: tuple[str, str]) -> None:
    on = setting_of(pair)
    methods = make(pair, on)
    assert in_order(methods[::-1]) == methods

    def trained_in_order(steps: list[Regularizer]) -> Fit:
        model = on.network()
        for method in steps:
            method.attach(model)
        return train(Fit(model, task_of(on.kind), steps), on.batches(), STEPS)

    assert not same_state(trained_in_order(make(pair, on)).model, trained_in_order(make(pair[::-1], on)).model)


def test_refused_pairs_are_the_declared_conflicts() -> None:
    nodes = {
        name: {"_target_": f"{regularizer_classes()[name].__module__}.{regularizer_classes()[name].__name__}"}
        for name in map(snake, ROW)
    }

    def refusal(*names: str) -> ConfigError | None:
        try:
            check_conflicts({name: nodes[name] for name in names})
        except ConfigError as error:
            return error
        return None

    errors = {pair: refusal(*pair) for pair in itertools.combinations(sorted(nodes), 2)}
    assert [pair for pair, error in errors.items() if error] == sorted(REFUSED)
    for (first, second), error in errors.items():
        if error:
            assert error.key == "regularizer"
            assert error.value in (f"[{first},{second}]", f"[{second},{first}]")
