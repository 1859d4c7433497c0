"""Batches by indexing: content, order and cost."""

import pytest
import torch

from reglab.data.batches import Batches

INPUTS = torch.arange(20.0).reshape(10, 2)
TARGETS = torch.arange(10)


def rows(loader):
    return [batch[1].tolist() for batch in loader]


def flat(batches):
    return [row for batch in batches for row in batch]


def test_the_last_smaller_batch_is_kept():
    loader = Batches(INPUTS, TARGETS, 4, seed=0)
    assert len(loader) == 3
    assert [len(batch) for batch in rows(loader)] == [4, 4, 2]


def test_each_row_occurs_once_with_its_target():
    batches = list(Batches(INPUTS, TARGETS, 3, seed=0))
    assert all(torch.equal(inputs, INPUTS[targets]) for inputs, targets in batches)
    assert sorted(torch.cat([targets for _, targets in batches]).tolist()) == list(range(10))


def test_epochs_differ_and_depend_on_seed_and_epoch_alone():
    loader, again = Batches(INPUTS, TARGETS, 4, seed=0), Batches(INPUTS, TARGETS, 4, seed=0)
    first, second = rows(loader), rows(loader)
    torch.manual_seed(99)  # the global generator has no effect
    assert first != second
    assert [rows(again), rows(again)] == [first, second]
    assert flat(first) == loader.order(0).tolist()
    assert flat(second) == loader.order(1).tolist()
    assert rows(Batches(INPUTS, TARGETS, 4, seed=1)) != first


def test_the_order_does_not_depend_on_the_batch_size():
    assert flat(rows(Batches(INPUTS, TARGETS, 3, seed=0))) == flat(rows(Batches(INPUTS, TARGETS, 7, seed=0)))


def test_the_global_generator_is_unchanged():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    rows(Batches(INPUTS, TARGETS, 4, seed=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_full_batch_is_the_data_itself():
    loader = Batches(INPUTS, TARGETS, None, seed=0)
    assert len(loader) == 1
    for _ in range(2):
        ((inputs, targets),) = loader
        assert inputs is INPUTS
        assert targets is TARGETS


def test_without_a_seed_rows_come_in_order_and_are_not_copied():
    loader = Batches(INPUTS, TARGETS, 4)
    assert rows(loader) == rows(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert next(iter(loader))[0].data_ptr() == INPUTS.data_ptr()


def test_no_rows_no_batches():
    for seed in (None, 0):
        loader = Batches(INPUTS[:0], TARGETS[:0], 4, seed)
        assert len(loader) == 0
        assert rows(loader) == []


@pytest.mark.parametrize("drawn", range(7))
def test_a_plain_loop_resumes_from_a_state(drawn):
    def stream(loader):
        while True:
            yield from rows_of(loader)

    def rows_of(loader):
        for batch in loader:
            yield batch[1].tolist()

    loader = Batches(INPUTS, TARGETS, 4, seed=0)
    batches = stream(loader)
    for _ in range(drawn):
        next(batches)
    resumed = Batches(INPUTS, TARGETS, 4, seed=0)
    resumed.load_state_dict(loader.state_dict())
    going_on = stream(resumed)
    assert [next(going_on) for _ in range(8)] == [next(batches) for _ in range(8)]
