"""Combinations that cannot work are rejected, with their field, before a run is stored.

The list is checked where a run is described, over REST and by ``pricetag submit --check``.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from models import Run
from pricetag.cli.app import run as pricetag
from pricetag.recipes import parse_run_spec
from pricetag.recipes.errors import RecipeError
from pricetag.recipes.shapes import FORMAT_FILES
from tests.support.api import Api, fields, problem
from tests.support.bad_combinations import BAD, GOOD, Bad, Stage
from tests.support.commands import Captured, complaint
from workers.training.formats import registry


def place(bad: Bad) -> str:
    return f"recipe.{bad.at}" if bad.at.startswith("data") else f"recipe.stages.{bad.at}"


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_the_message_names_the_field_and_the_error(bad: Bad) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_run_spec(bad.described())
    assert caught.value.field == place(bad)
    assert bad.says in caught.value.message


@pytest.mark.parametrize("stages", GOOD, ids=range(len(GOOD)))
def test_what_can_work_is_accepted(stages: list[Stage]) -> None:
    parse_run_spec(Bad("good", stages, "", "").described())


async def test_the_server_rejects_each_and_stores_no_run(api: Api, session: AsyncSession) -> None:
    for bad in BAD:
        response = await api.member.post("/v1/runs", json=bad.described())
        document = problem(response, 422, "invalid-recipe")
        assert fields(document) == [place(bad)], bad.name
        assert bad.says in json.dumps(document, ensure_ascii=False), bad.name
    stored = select(func.count()).select_from(Run)
    assert (await session.execute(stored)).scalar_one() == 0


def test_a_check_of_the_file_rejects_them_without_a_server(
    capsys: Captured, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    for bad in BAD[::5]:  # it parses the file as the first test does
        file.write_text(json.dumps(bad.described()))
        assert pricetag(["submit", str(file), "--check"]) == 2, bad.name
        assert place(bad) in complaint(capsys), bad.name


def test_files_that_show_a_format_are_those_that_are_written() -> None:
    trainable = {each.name: each.note_file for each in registry.all_formats() if each.trainable}
    assert trainable == FORMAT_FILES
