"""Every flag of a run or a stage reaches every output, with its explanation."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.reports import FORMATS, build_context, render
from pricetag.accounting.document.records import PriceTag
from pricetag.cli.views import price_tag_view
from pricetag.tag.flags import FLAGS, MOST_NAMED, QUIET, flag_name, flag_text, stage_flags
from pricetag.tag.view import TagView
from tests.support.price_tags import compressed_run, tag
from tests.unit.cli.test_views import drawn

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 3, 2, tzinfo=UTC)
DOCUMENT = PriceTag.from_dict(tag(compressed_run()))
OF_READINGS = {"tick", "late_tick"}
"""Flags of readings, which accounting uses and drops."""


def flagged(*flags: str, stages: int = 1, run: tuple[str, ...] = ()) -> PriceTag:
    """A price tag whose last stages, and whose run, have these flags alone."""
    energy = replace(DOCUMENT.energy, flags=run)
    changed = [
        replace(stage, energy=replace(stage.energy, flags=flags if left <= stages else ()))
        for left, stage in zip(range(len(DOCUMENT.stages), 0, -1), DOCUMENT.stages, strict=True)
    ]
    return replace(DOCUMENT, energy=energy, stages=tuple(changed))


def words(text: str) -> str:
    """The text as letters and digits: formats escape signs and break lines differently."""
    plain = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return "".join(re.findall(r"[a-z0-9]+", plain.lower()))


def rendered(document: PriceTag, fmt: str) -> bytes:
    context = build_context("Flags", "site", [document.as_dict()], generated_at=AT)
    return render(context, fmt).content


def test_the_vocabulary_has_every_flag_that_the_code_sets() -> None:
    """Looks at every line about flags: text literals, and constants by their name."""
    files = [
        file
        for room in ("accounting", "metering")
        for file in ROOT.glob(f"pricetag/{room}/**/*.py")
    ]
    texts = [file.read_text() for file in files]
    constants = dict(
        match for text in texts for match in re.findall(r'^([A-Z_]+) = "([a-z_]+)"$', text, re.M)
    )
    lines = [line for text in texts for line in text.splitlines() if "flags" in line]
    lines += [line for text in texts for line in text.splitlines() if ".flag(" in line]
    literal = {name for line in lines for name in re.findall(r'"([a-z_]+)"', line)}
    named = {name for line in lines for name in re.findall(r"\b[A-Z_]{3,}\b", line)}
    flags = literal | {constants[name] for name in named & constants.keys()}
    assert len(flags & FLAGS.keys()) > 30
    assert flags - FLAGS.keys() - QUIET - OF_READINGS - {"flags", "hypervisor"} == set()


@pytest.mark.parametrize("where", ["run", "stage"])
@pytest.mark.parametrize("fmt", ["cli", "md", "tex", "html"])
def test_every_flag_is_explained_in_every_text_format(fmt: str, where: str) -> None:
    document = flagged(run=tuple(FLAGS)) if where == "run" else flagged(*FLAGS)
    plain = flagged()

    def shown(document: PriceTag) -> str:
        if fmt == "cli":
            return words(drawn(price_tag_view(document.as_dict())))
        return words(rendered(document, fmt).decode())

    text, without = shown(document), shown(plain)
    missing = [flag for flag in FLAGS if words(flag_text(flag)) not in text]
    assert missing == []
    assert sum(words(flag_text(flag)) in without for flag in FLAGS) < 3
    if where == "stage":
        assert all(words(flag_name(flag)) in text for flag in FLAGS)
        assert words("2: Repeated inference") in text


@pytest.mark.parametrize("where", ["run", "stage"])
def test_every_flag_is_in_the_formats_for_programs(where: str) -> None:
    document = flagged(run=tuple(FLAGS)) if where == "run" else flagged(*FLAGS)
    lines = json.loads(rendered(document, "json"))["lines"]
    assert any(set(str(line["flags"]).split()) >= FLAGS.keys() for line in lines)
    assert " ".join(FLAGS) in rendered(document, "csv").decode()


@pytest.mark.parametrize("where", ["run", "stage"])
def test_a_flag_changes_the_pdf(where: str) -> None:
    flag = ("overlapping_stages",)
    document = flagged(run=flag) if where == "run" else flagged(*flag)
    assert rendered(document, "pdf") != rendered(flagged(), "pdf")


def test_the_formats_are_those_tested_here() -> None:
    assert set(FORMATS) == {"md", "tex", "html", "json", "csv", "pdf"}


def test_the_stages_of_a_flag_are_named_up_to_a_number() -> None:
    view = TagView(flagged("gap", stages=len(DOCUMENT.stages)))
    (flag,) = stage_flags(view)
    assert len(flag.stages) == len(DOCUMENT.stages) > MOST_NAMED
    rest = len(flag.stages) - MOST_NAMED
    assert flag.text.endswith(f"and {rest} more stages): some readings are missing")


def test_a_flag_of_all_stages_and_the_run_is_not_repeated() -> None:
    count = len(DOCUMENT.stages)
    assert stage_flags(TagView(flagged("gap", stages=count, run=("gap",)))) == []
    assert len(stage_flags(TagView(flagged("gap", stages=1, run=("gap",))))) == 1
    assert stage_flags(TagView(flagged(*QUIET))) == []


@pytest.mark.parametrize("flag", ["nvml_error_999", "amdsmi_error_-7"])
def test_errors_of_libraries_are_explained(flag: str) -> None:
    assert (
        flag_text(flag) == f"the library {flag.split('_')[0]} reported error {flag.split('_')[2]}"
    )


def test_an_unlisted_flag_of_a_later_version_is_shown(capsys: Any) -> None:
    assert "brand new (" in drawn(price_tag_view(flagged("brand_new").as_dict()))
