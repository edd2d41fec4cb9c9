"""The variant for blind review: whatever a price tag says, only what is listed stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from app.reports.blind import Pseudonyms, blind_price_tag
from app.reports.blind_words import WITHHELD, member_names, stays
from pricetag.accounting.document.canonical import content_sha256
from pricetag.tag.view import TagView
from tests.support.price_tags import compressed_run, failed_run, tag, unmetered_run

CANARY = "canary"
CLOSED = ("source", "schema")
"""Members whose texts cannot be replaced in a document that is to be read."""

documents = pytest.mark.parametrize("inputs", [compressed_run(), failed_run(), unmetered_run()])


def with_canaries(value: Any, path: tuple[str, ...] = ()) -> Any:
    """The document with a name that is to be hidden in every text, and in every free key."""
    if isinstance(value, Mapping):
        return {
            (name if name in member_names() else f"{CANARY} {name}"): with_canaries(
                item, (*path, name)
            )
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [with_canaries(item, path) for item in value]
    if isinstance(value, str) and path[-1] not in CLOSED:
        return f"{CANARY} {value}"
    return value


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, str):
        yield value


@documents
def test_a_text_that_nobody_listed_is_withheld(inputs: Any) -> None:
    document = with_canaries(tag(inputs))
    provenance = document["provenance"]
    provenance["variables"] = {"HOME": f"/home/{CANARY}"}
    provenance["code"] = {"0": {"path": f"/data/{CANARY}"}}
    provenance["inputs"] = [{"role": CANARY, "path": CANARY}]
    assert json.dumps(document).count(CANARY) > 100
    assert CANARY not in json.dumps(blind_price_tag(document, Pseudonyms()))


@documents
def test_figures_hardware_and_regions_stay(inputs: Any) -> None:
    document = tag(inputs)
    blind = blind_price_tag(document, Pseudonyms())
    whole, read = TagView.read(document).document, TagView.read(blind).document
    assert read.as_dict() == blind
    for name in ("duration_s", "it_energy_kwh", "co2e_kg"):
        before, after = getattr(whole.energy, name), getattr(read.energy, name)
        assert (before.value, before.low, before.high, before.source) == (
            *(after.value, after.low, after.high, after.source),
        )
    assert read.hardware.devices == whole.hardware.devices
    zones = [each.provenance.factors.carbon_intensity for each in (whole, read)]
    assert len({factor and factor.zone for factor in zones}) == 1
    assert [stage.kind for stage in read.stages] == [stage.kind for stage in whole.stages]
    assert {"node-7", whole.run_id, whole.name}.isdisjoint(texts(blind))
    assert content_sha256(blind) != content_sha256(document)


def test_one_name_has_one_pseudonym() -> None:
    names = Pseudonyms()
    first, again = (blind_price_tag(tag(compressed_run()), names) for _ in range(2))
    assert first == again
    assert first["hardware"]["nodes"] == first["provenance"]["nodes"] == ["Node A"]
    assert first["name"] == "Run 1"
    other = blind_price_tag(tag(compressed_run()) | {"run_id": "another"}, names)
    assert other["name"] == "Run 2"
    assert other["run_id"] != first["run_id"]
    keys = {stage["key"] for stage in first["stages"]}
    assert {item["stage"] for item in first["quality"]} <= keys
    assert {names.lettered("Site", str(n)) for n in range(28)} >= {"Site A", "Site Z", "Site AB"}


def test_a_factor_names_only_hardware_that_was_metered_or_is_in_the_catalog() -> None:
    document = tag(compressed_run())
    metered, typed = "NVIDIA H100 80GB HBM3", "NVIDIA H100 of Lab X"
    factor = document["provenance"]["factors"]["pue"]
    document["provenance"]["factors"] |= {
        "embodied": [{"subject": name, "factor": factor} for name in (metered, "server", typed)],
        "peaks": {metered: factor, typed: factor},
    }
    factors = blind_price_tag(document, Pseudonyms())["provenance"]["factors"]
    assert [each["subject"] for each in factors["embodied"]] == [metered, "server", WITHHELD]
    assert list(factors["peaks"]) == [metered, WITHHELD]


@pytest.mark.parametrize(
    ("text", "does_stay"),
    [
        ("kWh", True),
        ("2.13.0", True),
        ("2.13.0+lab", False),
        ("2026-03-01T12:00:00+00:00", True),
        ("USD/h", True),
        ("no idle baseline is known", True),
        ("no idle baseline is known at Lab X", False),
        (WITHHELD + "!", False),
    ],
)
def test_what_stays_is_listed_whole(text: str, does_stay: bool) -> None:
    assert stays(text) is does_stay
