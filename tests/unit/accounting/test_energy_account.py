"""Sums of a node's account, with the errors of the meters that were read."""

from __future__ import annotations

import pytest

from pricetag.accounting.bill.node_account import Entry, account

Z = 1.959963984540054
KWH = 3.6e6
GPU = Entry("gpu", "H200", "counter", 0.05, 3 * KWH, 2 * KWH, 1 * KWH, 0.0, 0.0, 10, 0, 0)


def half_width(entries: list[Entry]) -> float:
    total = account(entries).total_kwh
    assert total.value is not None
    assert total.high is not None
    return total.high - total.value


def test_pieces_of_one_product_share_their_error_and_others_do_not() -> None:
    assert half_width([GPU, GPU]) == pytest.approx(Z * 0.05 * 6)
    other = GPU._replace(name="H100")
    assert half_width([GPU, other]) == pytest.approx(Z * 0.05 * 3 * 2**0.5)


def test_the_parts_have_the_error_of_the_meter_they_were_read_with() -> None:
    document = account([GPU])
    assert document.unallocated_kwh.value == 1.0
    assert document.unallocated_kwh.low == pytest.approx(1 - Z * 0.05)
    assert document.charged_kwh.source == "counter"
    assert (document.undecided_kwh.value, document.undecided_kwh.high) == (0.0, 0.0)
    assert (document.overallocated_kwh, document.flags) == (0.0, ())


def test_a_model_is_the_weakest_evidence_and_its_error_a_factor() -> None:
    ram = Entry("ram", "RAM", "modelled", 1.0, KWH, 0.0, KWH, 0.0, 0.0, 10, 0, 0)
    total = account([ram]).total_kwh
    assert total.source == "modelled"
    assert total.low == pytest.approx(2**-Z)
    assert total.high == pytest.approx(2**Z)
    assert account([GPU, ram]).total_kwh.source == "modelled"
    assert account([GPU, ram]).charged_kwh.source == "counter"  # nothing of it is the model's


def test_a_negative_remainder_has_its_interval_reversed() -> None:
    over = GPU._replace(unallocated_j=-KWH, overallocated_j=KWH)
    document = account([over])
    assert document.unallocated_kwh.low == pytest.approx(-1 - Z * 0.05)
    assert document.unallocated_kwh.high == pytest.approx(-1 + Z * 0.05)
    assert (document.overallocated_kwh, document.flags) == (1.0, ("overallocated",))


def test_hours_without_a_remainder_are_named() -> None:
    blind = GPU._replace(
        unallocated_j=0.0, hours=4, unmetered_hours=3, open_hours=1, undecided_hours=1
    )
    document = account([blind])
    assert document.unallocated_kwh.value is None
    assert document.unallocated_kwh.reason == (
        "of 4 component-hours 3 in which the node's own meter did not run throughout"
        " and 1 for which open runs have not reported yet"
    )
    assert document.flags == ("node_not_metered", "runs_open")
    both = account([GPU, blind]).unallocated_kwh
    assert both.value == 1.0
    assert (both.reason or "").startswith("without component-hours of 14: 3 in which")


def test_an_hour_whose_total_is_not_in_yet_is_not_called_unmetered() -> None:
    begun = GPU._replace(unallocated_j=0.0, hours=1, awaited_hours=1)
    document = account([begun])
    assert document.unallocated_kwh.value is None
    assert document.unallocated_kwh.reason == (
        "of 1 component-hours 1 of which the node's own total is not in yet"
        " (it comes up to 60 s late)"
    )
    assert document.flags == ("node_total_awaited",)
    both = account([GPU, begun])
    assert both.unallocated_kwh.value == 1.0
    assert (both.unallocated_kwh.reason or "").startswith(
        "without component-hours of 11: 1 of which the node's"
    )
    assert both.flags == ("node_total_awaited",)


def test_charges_of_running_runs_are_separate_and_the_rest_is_provisional() -> None:
    going = GPU._replace(charged_j=KWH, running_j=KWH, open_hours=2)
    document = account([going])
    assert (document.charged_kwh.value, document.running_kwh.value) == (1.0, 1.0)
    assert document.running_kwh.high == pytest.approx(1 + Z * 0.05)
    assert document.unallocated_kwh.value == 1.0
    assert document.unallocated_kwh.reason == (
        "provisional in 2 component-hours of 10: runs are still going"
    )
    assert document.flags == ("runs_open",)
    assert account([GPU]).running_kwh.value == 0.0
    assert account([GPU]).unallocated_kwh.reason is None


def test_an_account_without_any_figure_is_unknown() -> None:
    document = account([])
    assert document.total_kwh.value is None
    assert document.total_kwh.reason == "nothing was metered in this time"
