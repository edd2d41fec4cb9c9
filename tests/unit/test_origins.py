"""How the origins of compared runs differ: code, hardware, software, variables."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from pricetag.accounting.bill.inputs import Environment, InputFile
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.records import DeviceCount, Hardware, Provenance
from pricetag.metering.devices import VARIABLES as DEVICE_VARIABLES
from pricetag.tag.origins import origin_differences
from pricetag.tag.view import TagView
from tests.unit.accounting import builders as b

ENVIRONMENT = Environment(
    packages={"torch": "2.12.0", "numpy": "2.1.0"},
    python="3.11.9",
    platform="Linux",
    git_commit="0" * 40,
    variables={"OMP_NUM_THREADS": "8", "HF_TOKEN": "***", "PRICETAG_GIT_COMMIT": "0"},
    code={"stages.0": {"path": "src", "commit": None, "sha256": "a" * 64, "files": 2}},
    inputs=(
        InputFile("data.train", "a.tsv", 10, "a" * 64, None),
        InputFile("model", "base/config.json", 20, "c" * 64, None),
    ),
)
NOT_COMPARED = {
    "seeds": "repeats have different seeds",
    "nodes": "the same hardware elsewhere; meters are compared for the ratio",
    "interval_seed": "noise of the intervals",
    "site": "compared for the ratio",
    "as_of": "shows in the factors",
    "factors": "compared for the ratio",
    "outside_stages": "a figure",
}


def view(environment: Environment | None = ENVIRONMENT) -> TagView:
    attempt = replace(b.attempt(components=[b.GPU]), environment=environment)
    inputs = replace(b.inputs(attempt), accounting_version="4")
    return TagView(build_price_tag(inputs))


def changed(tag: TagView, **provenance: Any) -> TagView:
    document = tag.document
    return TagView(replace(document, provenance=replace(document.provenance, **provenance)))


ALWAYS_KNOWN = {"accounting_version", "origin", "measured_by"}
"""A queue's price tags do not state who measured them."""

SAME = view()
OTHER_CODE = {"stages.0": {"path": "src", "sha256": "b" * 64}}
CHANGES: dict[str, tuple[Any, str]] = {
    "code": (OTHER_CODE, "stages.0.code: sha256 aaaaaaaaaaaa (a), sha256 bbbbbbbbbbbb (b)"),
    "inputs": (
        (
            InputFile("data.train", "a.tsv", 10, "b" * 64, None),
            InputFile("model", "base/config.json", 20, "c" * 64, None),
        ),
        "data.train: sha256 aaaaaaaaaaaa (a), sha256 bbbbbbbbbbbb (b)",
    ),
    "packages": (
        {"torch": "2.13.0", "numpy": "2.1.0"},
        "packages.torch: 2.12.0 (a), 2.13.0 (b)",
    ),
    "python": ("3.12.1", "python: 3.11.9 (a), 3.12.1 (b)"),
    "platform": ("macOS", "platform: Linux (a), macOS (b)"),
    "git_commit": ("1" * 40, f"git_commit: {'0' * 40} (a), {'1' * 40} (b)"),
    "variables": (
        {"OMP_NUM_THREADS": "1", "HF_TOKEN": "***"},
        "variables.OMP_NUM_THREADS: 8 (a), 1 (b)",
    ),
    "origin": ("local", "origin: queue (a), local (b)"),
    "measured_by": (
        "pricetag 0.2.0 without a server",
        "measured_by: nothing (a), pricetag 0.2.0 without a server (b)",
    ),
    "accounting_version": ("3", "accounting version: 4 (a), 3 (b)"),
}


def test_repeats_have_the_same_origin() -> None:
    assert origin_differences([SAME], [view(), view()]) == []


def test_every_part_of_the_provenance_is_compared_or_excluded_for_a_reason() -> None:
    names = {field.name for field in fields(Provenance)} - {"absent"}
    assert names == CHANGES.keys() | NOT_COMPARED.keys()


@pytest.mark.parametrize("field", CHANGES)
def test_a_different_part_is_a_difference_on_either_side(field: str) -> None:
    value, line = CHANGES[field]
    other = changed(SAME, **{field: value})
    assert origin_differences([SAME], [other]) == [line]
    within = origin_differences([SAME, other], [SAME])
    assert len(within) == 1
    assert " and " in within[0]


@pytest.mark.parametrize("field", sorted(CHANGES.keys() - ALWAYS_KNOWN))
def test_an_unrecorded_part_is_not_equal_to_a_recorded_one(field: str) -> None:
    empty: Any = {} if field == "packages" else None
    other = changed(SAME, **{field: empty})
    assert len(origin_differences([SAME], [other])) >= 1
    assert origin_differences([other], [other]) == []


def test_older_price_tags_without_records_give_one_line_each() -> None:
    lines = origin_differences([SAME], [changed(view(None), accounting_version="4")])
    assert lines == [
        "code: recorded (a), not recorded (b)",
        "data and model files: recorded (a), not recorded (b)",
        "software: recorded (a), not recorded (b)",
        "variables: recorded (a), not recorded (b)",
    ]


@pytest.mark.parametrize(
    "devices",
    [
        (DeviceCount("gpu", "NVIDIA H100", 1),),
        (DeviceCount("gpu", b.GPU.name, 2),),
        (DeviceCount("gpu", b.GPU.name, 1), DeviceCount("cpu", "AMD EPYC 9554", 1)),
    ],
)
def test_other_hardware_is_a_difference(devices: tuple[DeviceCount, ...]) -> None:
    document = replace(SAME.document, hardware=Hardware(devices, ()))
    (line,) = origin_differences([SAME], [TagView(document)])
    assert line.startswith(f"hardware: 1x {b.GPU.name} (a), ")


def test_device_numbers_make_no_difference() -> None:
    for name in DEVICE_VARIABLES:
        one, two = (changed(SAME, variables={"A": "x", name: value}) for value in ("0", "1"))
        assert origin_differences([one], [two]) == []


def test_many_differences_are_counted() -> None:
    packages = {f"package-{index}": "1" for index in range(20)}
    lines = origin_differences([SAME], [changed(SAME, packages=packages)])
    assert len(lines) == 9
    assert lines[-1] == "and 14 more differences of software"
