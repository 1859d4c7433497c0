"""Seeds mixed from numbers and names."""

from reglab.seeding import mix


def test_every_part_and_its_type_change_the_seed() -> None:
    seeds = [mix(0), mix(1), mix(0, "order"), mix(0, "init"), mix(0, "order", 1), mix("0")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_it_is_the_same_in_every_process_and_version() -> None:
    assert mix(0, "order", 1) == 7021862330116196507
