from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from app.api.body import BodyError, check_storable, media_type, parse_json
from app.schemas.common import Moment
from pricetag.recipes.yaml_text import YamlError, parse_yaml

# YAML 1.1 does not quote a text such as 0E0 or 1e5, which here is a number.
EXPONENT = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+")
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).filter(
        lambda text: not EXPONENT.fullmatch(text)
    )
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(alphabet="abc_é", max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(DATA)
def test_json_and_yaml_read_the_same_data(value: Any) -> None:
    check_storable(value)
    assert parse_json(json.dumps(value)) == value
    # JSON is YAML, once escapes of what lies beyond 16 bits are out of the way.
    assert parse_yaml(json.dumps(value, ensure_ascii=False)) == value


@given(DATA)
def test_text_written_by_pyyaml_is_read_back(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True)) == value


@given(st.text(max_size=200))
def test_any_text_is_read_or_rejected(text: str) -> None:
    with contextlib.suppress(YamlError):
        parse_yaml(text)
    with contextlib.suppress(BodyError):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1.0e-4", 1e-4),
        (".5", 0.5),
        ("-3", -3),
        ("007", 7),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-03-01", "2026-03-01"),
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        ("1_000", "1_000"),
        ("true", True),
        ("~", None),
        ("'1'", "1"),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("", None),
    ],
)
def test_yaml_is_read_as_people_mean_it(text: str, value: Any) -> None:
    parsed = parse_yaml(text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("2026-03-29T01:00:00 01:00", "2026-03-29T01:00:00+01:00"),
        ("2026-03-29T01:00 01:00", "2026-03-29T01:00:00+01:00"),
        ("2026-03-29 01:00:00.5 0530", "2026-03-29T01:00:00.500000+05:30"),
        ("2026-03-29 01:00:00Z", "2026-03-29T01:00:00+00:00"),
        ("2026-03-29T01:00:00-01:00", "2026-03-29T01:00:00-01:00"),
    ],
)
def test_a_plus_sign_decoded_as_a_space_is_still_an_offset(sent: str, meant: str) -> None:
    assert TypeAdapter(Moment).validate_python(sent).isoformat() == meant


def test_a_time_without_an_offset_is_still_rejected() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        TypeAdapter(Moment).validate_python("2026-03-29 01:00")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "'a' appears twice at line 2, column 1"),
        ("a: [1", "line 2, column 1"),
        ("--- 1\n--- 2", "another document"),
        ("? [1]\n: 2", "unhashable"),
        ("!!python/name:os.system", "tag"),
        ("- " * 300_000, "deeper than 40"),
        ("[" * 900_000, "deeper than 40"),
        ("- 1\n" * 60_000, "more than 50000"),
        ("9" * 5000, "4300 digits"),
    ],
)
def test_malformed_yaml_is_reported(text: str, message: str) -> None:
    with pytest.raises(YamlError, match=message):
        parse_yaml(text)


def shared(depth: int) -> Any:
    value: Any = ["x"]
    for _ in range(depth):
        value = [value] * 10
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "code", "field"),
    [
        ({"a": [0, "b\x00"]}, "invalid-request", "a.1"),
        ({"a\x00": 1}, "invalid-request", None),
        ({"a": {"b": "\udfff"}}, "invalid-request", "a.b"),
        ({"a": math.inf}, "invalid-request", "a"),
        ({"a": math.nan}, "invalid-request", "a"),
        ({"a": 2**63}, "invalid-request", "a"),
        ({1: 2}, "invalid-request", None),
        ({"a": b"x"}, "invalid-request", "a"),
        ({"a": {1, 2}}, "invalid-request", "a"),
        ([0] * 20_001, "body-too-large", None),
        (shared(9), "body-too-large", None),
        (endless(), "body-too-deep", "0.0.0.0.0.0.0.0"),
    ],
    ids=range(12),
)
def test_values_that_cannot_be_stored_are_rejected(
    value: Any, code: str, field: str | None
) -> None:
    with pytest.raises(BodyError) as caught:
        check_storable(value)
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("Application/JSON; charset=utf-8", "application/json"),
        ("text/yaml", "text/yaml"),
        ("garbage", "text/plain"),
    ],
)
def test_media_types_are_recognized(header: str | None, kind: str) -> None:
    assert media_type(header) == kind
