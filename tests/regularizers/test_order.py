"""The order in which regularizers act."""

from reglab.regularizers import L2, SAM, Flooding, Mixup, RDrop, _order


def test_each_constant_has_its_own_place() -> None:
    places = [value for name, value in vars(_order).items() if name.isupper() and type(value) is int]
    assert sorted(places) == list(range(len(places)))  # a duplicate leaves a gap


def test_losses_precede_flooding_and_penalties_and_wrappers_come_last() -> None:
    ordered = _order.in_order([SAM(0.05), L2(1e-3), Flooding(0.1), RDrop(1.0), Mixup(0.2)])
    assert [method.name for method in ordered] == ["mixup", "r_drop", "flooding", "l2", "sam"]
