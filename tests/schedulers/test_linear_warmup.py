"""Learning rates of linear warmup, computed exactly and set on an optimizer."""

import pytest
import torch

from reglab.schedulers.linear_warmup import LinearWarmup, factor


def test_the_rate_rises_linearly_and_reaches_one_after_the_warmup():
    assert [factor(step, 10, 4, "none") for step in range(10)] == pytest.approx([0.2, 0.4, 0.6, 0.8, *[1.0] * 6])


@pytest.mark.parametrize(("decay", "middle"), [("linear", 0.5), ("cosine", 0.5)])
def test_the_decay_ends_at_zero(decay, middle):
    assert factor(2, 10, 2, decay) == 1.0
    assert factor(6, 10, 2, decay) == pytest.approx(middle)
    assert factor(10, 10, 2, decay) == pytest.approx(0.0, abs=1e-15)


def test_the_optimizer_takes_the_rates():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = LinearWarmup(optimizer, total_steps=8, warmup=0.25, decay="linear")
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.5 * factor(step, 8, 2, "linear") for step in range(8)])


def test_without_a_warmup_the_first_step_has_the_full_rate():
    assert factor(0, 10, 0, "none") == factor(0, 10, 0, "cosine") == 1.0
