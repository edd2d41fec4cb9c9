"""The typed price tag: issued documents are read, written and rebuilt unchanged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.schemas.price_tags import PriceTagRead
from pricetag.accounting.bill.inputs import PriceTagInputs
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.canonical import content_sha256, first_difference, known_sha256
from pricetag.accounting.document.factors import read_factors
from pricetag.accounting.document.records import PriceTag
from pricetag.accounting.document.versions import ACCOUNTING_VERSION, REBUILT_VERSIONS
from pricetag.accounting.quantity.record import InvalidDocument
from tests.support import price_tags
from tests.support.golden import NAMES, content, issued
from tests.support.price_tags import compressed_run, owned_run

BUILT = [name for name in NAMES if name.startswith("v3-") and not name.startswith("v3-run")]


def json_of(document: dict[str, Any]) -> Any:
    return json.loads(json.dumps(document))


def run(name: str) -> PriceTagInputs:
    make: Callable[[], PriceTagInputs] = getattr(price_tags, f"{name.removeprefix('v3-')}_run")
    return make()


def test_every_version_is_among_the_issued_ones() -> None:
    versions = {content(name)["provenance"]["accounting_version"] for name in NAMES}
    assert versions >= {"1", "2", "3"}


@pytest.mark.parametrize("name", NAMES)
def test_an_issued_price_tag_survives_reading_and_writing(name: str) -> None:
    document = content(name)
    written = PriceTag.from_dict(document).as_dict()
    assert first_difference(document, json_of(written)) is None
    sha256 = issued(name)["content_sha256"]
    assert sha256 in known_sha256(written, document["provenance"]["accounting_version"])


@pytest.mark.parametrize("name", BUILT)
def test_an_issued_price_tag_is_built_again_digit_for_digit(name: str) -> None:
    inputs = replace(run(name), accounting_version="3")
    document = build_price_tag(inputs).as_dict()
    assert first_difference(content(name), json_of(document)) is None
    assert content_sha256(document) == issued(name)["content_sha256"]


@pytest.mark.parametrize("name", BUILT)
def test_a_price_tag_is_built_again_from_its_own_factors(name: str) -> None:
    inputs = replace(
        run(name), accounting_version="3", factors=read_factors(content(name)["provenance"])
    )
    inputs = replace(inputs, name=content(name)["name"])
    assert content_sha256(build_price_tag(inputs).as_dict()) == issued(name)["content_sha256"]


VERSION_4 = {
    "v3-compressed": "48528573c2e5e64cdd82a0ad76613a3f7ce17039eb4a52ef01923ec29cc9e2d7",
    "v3-failed": "a9519e339414c33e3dce47ed5c361f258093164e397daa5a5a8063a91be76ba8",
    "v3-nested": "191bf6a79240d421037f9bc03c21a48c9acaf7937ae8a1ecd612b7f45031275b",
    "v3-owned": "9a2f7a15946893d5d48a8e4ed8eb8882cd6f12ee29cd4b18fb6da08f00be4176",
    "v3-unmetered": "cc307600e570f0de98e96878861c44608396d565f4857b19b73afd5e0700943b",
}
"""Hashes of these runs' price tags, as version 4 issued them."""


@pytest.mark.parametrize("name", BUILT)
def test_version_4_is_built_again_digit_for_digit(name: str) -> None:
    document = build_price_tag(replace(run(name), accounting_version="4")).as_dict()
    assert content_sha256(document) == VERSION_4[name]


@pytest.mark.parametrize("version", REBUILT_VERSIONS)
@pytest.mark.parametrize("make", [compressed_run, owned_run])
def test_a_built_price_tag_equals_what_its_json_is_read_as(
    version: str, make: Callable[[], PriceTagInputs]
) -> None:
    built = build_price_tag(replace(make(), accounting_version=version))
    assert PriceTag.from_dict(json_of(built.as_dict())) == built


def test_version_4_adds_the_error_terms_of_components_and_nothing_else() -> None:
    old, new = (
        build_price_tag(replace(owned_run(), accounting_version=version)).as_dict()
        for version in ("3", "4")
    )
    for holder in (new, *new["stages"], *new["attempts"]):
        for component in holder["components"]:
            error = component.pop("error")
            assert set(error) == {
                "gain_group",
                "gain_std_ratio",
                "edge_std_ratio",
                "multiplicative",
                "bounds_kwh",
                "division_kwh",
            }
    assert new["provenance"].pop("accounting_version") == "4"
    assert old["provenance"].pop("accounting_version") == "3"
    assert new == old


def test_the_error_terms_of_a_component_are_those_of_its_meter() -> None:
    inputs = replace(compressed_run(), accounting_version=ACCOUNTING_VERSION)
    gpu, cpu, _ = build_price_tag(inputs).stages[1].energy.components
    assert gpu.error is not None
    assert gpu.error.gain_group == "gpu:NVIDIA H100 80GB HBM3"
    assert gpu.error.gain_std_ratio == pytest.approx(0.05)
    assert gpu.error.edge_std_ratio == pytest.approx(0.1 / 60 / 6**0.5)
    assert not gpu.error.multiplicative
    assert gpu.error.bounds_kwh is None
    assert cpu.error is not None
    assert cpu.error.multiplicative
    assert cpu.error.gain_group == "cpu:model"
    assert cpu.error.gain_std_ratio == pytest.approx(0.45)


def test_a_calibrated_meter_has_the_error_of_its_calibration() -> None:
    inputs = replace(owned_run(), accounting_version=ACCOUNTING_VERSION)
    gpu = build_price_tag(inputs).energy.components[0]
    assert gpu.error is not None
    assert gpu.error.gain_group == "calibration:gpu:GPU-1"
    assert gpu.error.gain_std_ratio == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("stages", 0, "it_energy_kwh"), "12", "stages[0].it_energy_kwh: must be an object"),
        (("attempts", 1, "number"), "2", "attempts[1].number: must be a whole number"),
        (("flags",), "lost", "flags: must be a list"),
        (("pue", "source"), "guess", "pue.source: must be one of counter"),
        (("pue", "value"), None, "pue: an unknown quantity"),
        (("provenance", "packages"), [], "provenance.packages: must be an object"),
        (("name",), None, "name: must be a text"),
    ],
)
def test_json_of_another_form_is_rejected_with_its_path(
    path: tuple[Any, ...], value: object, message: str
) -> None:
    document = content("v3-compressed")
    holder: Any = document
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    with pytest.raises(InvalidDocument) as error:
        PriceTag.from_dict(document)
    assert message in str(error.value)


def test_a_missing_identity_is_rejected() -> None:
    document = content("v3-failed")
    del document["run_id"]
    with pytest.raises(InvalidDocument, match="run_id: is missing"):
        PriceTag.from_dict(document)


def test_fields_missing_in_an_older_version_are_unknown_with_a_reason() -> None:
    tag = PriceTag.from_dict(content("v1-first-compressed"))
    assert (tag.cost.total.value, tag.cost.total.reason) == (None, "not recorded")
    assert tag.energy.split.gross_kwh.value is None
    assert tag.uncertainty.it_energy == ()
    assert tag.energy.components[0].reserved_ratio is None


@pytest.mark.parametrize("name", NAMES)
def test_the_api_describes_every_issued_price_tag(name: str) -> None:
    stored = {**content(name), "content_sha256": issued(name)["content_sha256"]}
    if len(stored["run_id"]) < 36:
        assert stored["run_id"] in ("3", "5")
    wire = PriceTagRead.model_validate(stored).model_dump(by_alias=True, exclude_unset=True)
    assert first_difference(stored, json_of(wire)) is None


def test_the_api_s_schema_follows_the_records() -> None:
    schema = PriceTagRead.model_json_schema(by_alias=True)
    component = schema["$defs"]["ComponentOfPriceTag"]["properties"]
    assert "reserved for the run" in component["reserved_ratio"]["description"]
    required = schema["$defs"]["FlopsOfPriceTag"]["required"]
    assert required == ["dense", "effective", "low_bit"]
    assert {"schema", "content_sha256", "it_energy_kwh"} <= set(schema["required"])
    assert "cost" in schema["$defs"]["AttemptOfPriceTag"]["properties"]
