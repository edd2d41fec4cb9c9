from __future__ import annotations

import json
from pathlib import Path

import pytest

from pricetag.recipes import RecipeError, load_run_file
from pricetag.recipes.methods.train import Train

YAML = """\
project: text
experiment: sst2
name: quick look
recipe:
  task: classification
  data: {train: t.tsv, validation: d.tsv, text: sentence, label: label}
  model: {config: {hidden_size: 64, num_attention_heads: 2}}
  stages:
    - {kind: train, max_steps: 5, learning_rate: 1e-4}
    - {kind: measure}
"""


def written(folder: Path, text: str, name: str = "job.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def message(path: Path) -> str:
    with pytest.raises(RecipeError) as caught:
        load_run_file(path)
    return caught.value.message


def test_yaml_numbers_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    stage = load_run_file(written(tmp_path, YAML)).recipe.stages[0]
    assert isinstance(stage, Train)
    assert stage.learning_rate == 1e-4


def test_json_and_yaml_describe_the_same(tmp_path: Path) -> None:
    spec = load_run_file(written(tmp_path, YAML))
    text = json.dumps(spec.model_dump(mode="json"))
    assert load_run_file(written(tmp_path, text, "job.json")) == spec


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    assert load_run_file(written(tmp_path, "\ufeff" + YAML)).project == "text"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("project: [1\nname: x\n", "line 2, column 5"),
        ("project: a\nname: b\nproject: c\n", "'project' appears twice at line 3, column 1"),
        ("project:\n\tname: a\n", "line 2 is indented with a tab: YAML allows only spaces"),
        ("a:\n  b: 1\n \t c: 2\n", "line 3 is indented with a tab: YAML allows only spaces"),
        ("a:\r\n  - b\r\n\t- c\r\n", "line 3 is indented with a tab: YAML allows only spaces"),
        ("a: |\n\ttext\n", "line 2 is indented with a tab: YAML allows only spaces"),
        ("a: [1,\n\t2\n", "line 3, column 1"),
        ("a: 2025-13-45\n", "is missing"),
        ("a: !!python/object:os.system x\n", "line 1, column 4"),
        ("- 1\n", "a list"),
        ("null\n", "nothing"),
        (" \n", "The job file is empty."),
        ("", "The job file is empty."),
    ],
)
def test_malformed_yaml_is_reported_with_its_position(tmp_path: Path, text: str, says: str) -> None:
    assert says in message(written(tmp_path, text))


def test_malformed_json_is_reported_with_its_position(tmp_path: Path) -> None:
    path = written(tmp_path, '{"project": "a",\n "name": }', "job.json")
    assert "line 2, column 10" in message(path)


def test_files_that_cannot_be_read_are_errors(tmp_path: Path) -> None:
    assert "cannot read" in message(tmp_path / "none.yaml")
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in message(binary)
    assert "larger" in message(written(tmp_path, "#" * 1_000_001))
