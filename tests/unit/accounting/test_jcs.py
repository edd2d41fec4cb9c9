"""The canonical text of JSON, compared with the examples of RFC 8785."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricetag.accounting.document.jcs import canonical_json, number_text

APPENDIX_B = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}
REFUSED = ["7fffffffffffffff", "7ff0000000000000", "fff0000000000000"]


def double(bits: str) -> float:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))
    return float(value)


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B.items())
def test_numbers_of_appendix_b_are_written_as_specified(bits: str, text: str) -> None:
    assert canonical_json(double(bits)) == text


@pytest.mark.parametrize("bits", REFUSED)
def test_values_that_are_not_json_numbers_are_rejected(bits: str) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"value": double(bits)})


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (5.68e-05, "0.0000568"),  # where Python has an exponent already
        (1e-05, "0.00001"),
        (1e-07, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (1e16, "10000000000000000"),
        (1.2345e20, "123450000000000000000"),
        (0.1, "0.1"),
        (100.0, "100"),
        (-12.5, "-12.5"),
        (2**53 + 1, "9007199254740992"),
        (10**21, "1e+21"),
    ],
)
def test_numbers_at_the_edges_of_notations_are_written_as_specified(
    number: float, text: str
) -> None:
    assert canonical_json(number) == text


def test_the_example_of_section_3_2_2_is_reproduced() -> None:
    source = (
        '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        r'"string": "\u20ac$\u000F\u000aA' + r"'\u0042\u0022\u005c\\\"\/" + '",'
        '"literals": [null, true, false]}'
    )
    assert canonical_json(json.loads(source)) == (
        '{"literals":[null,true,false],'
        '"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        r'"string":"€$\u000f\nA' + "'" + r'B\"\\\\\"/"}'
    )


def test_keys_are_ordered_as_in_section_3_2_3() -> None:
    keys = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"]
    ordered = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert list(json.loads(canonical_json(dict.fromkeys(keys, 0)))) == ordered


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_read_back_to_the_last_bit(number: float) -> None:
    text = number_text(number)
    assert float(text) == number
    assert ("e" in text) == (number != 0 and not 1e-6 <= abs(number) < 1e21)
    assert len(text.split("e")[0].lstrip("-0.").replace(".", "").rstrip("0")) <= 17


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", math])
def test_values_that_are_not_json_are_rejected(value: Any) -> None:
    with pytest.raises(TypeError, match="is not JSON"):
        canonical_json({"value": value})
