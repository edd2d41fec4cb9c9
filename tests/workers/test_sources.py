"""Where a model may come from: the data roots or the hub, never the working folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pricetag.recipes import parse_recipe
from tests.support.training import CONFIG, context, job, recipe
from workers.job import hub
from workers.job.request import JobError
from workers.job.sources import resolve_model
from workers.training.data.vocabulary import train_wordpiece


def test_a_hub_name_does_not_select_a_folder_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "why_absent", lambda _: None)
    described = recipe(model="lab/model")
    hub_job = replace(job(tmp_path, described), allow_hub=True)
    resolved_model = resolve_model(hub_job, parse_recipe(described))
    assert resolved_model is not None
    assert resolved_model.hub == "lab/model"
    (tmp_path / "cwd" / "lab" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    with pytest.raises(JobError) as caught:
        resolve_model(hub_job, parse_recipe(described))
    assert caught.value.code == "missing-model"


def test_a_tokenizer_does_not_link_out_of_the_data_roots(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.json"
    (root / "tokenizer").mkdir(parents=True)
    secret.write_text("{}")
    (root / "tokenizer" / "tokenizer.json").symlink_to(secret)
    described = recipe(model={"config": CONFIG, "tokenizer": "tokenizer"})
    with pytest.raises(JobError) as caught:
        train_wordpiece(context(root, described), 300, 32)
    assert (caught.value.code, caught.value.field) == (
        "path-outside-roots",
        "recipe.model.tokenizer",
    )
