"""Options for file formats are rejected where they can have no effect."""

from __future__ import annotations

from typing import Any

import pytest

from pricetag.recipes import RecipeError, parse_recipe
from pricetag.recipes.tables import FILE_SUFFIXES, table_suffix


def parse(**data: Any) -> Any:
    return parse_recipe(
        {
            "task": "classification",
            "data": data,
            "model": "m",
            "stages": [{"kind": "train", "evaluate": False}],
        }
    ).data


@pytest.mark.parametrize(
    ("data", "field", "says"),
    [
        ({"train": "t.jsonl", "header": "none"}, "header", ".csv, .tsv, .txt files only"),
        ({"train": "t.parquet", "encoding": "latin-1"}, "encoding", "files only"),
        ({"train": "t.jsonl", "records": "data"}, "records", ".json files only"),
        ({"train": "t.json.gz", "separator": ";"}, "separator", "files only"),
        ({"train": "t.tsv", "separator": "::"}, "separator", ""),
        ({"train": "t.tsv", "header": False}, "header", ""),
        ({"train": "t.tsv", "header": None, "quote": '"'}, "quote", ""),
        ({"train": "t.tsv", "encoding": "ascii"}, "encoding", ""),
        ({"train": "t.txt", "label_separator": ""}, "label_separator", ""),
        ({"train": "t.txt", "label_separator": ":", "header": "none"}, "header", "remove it"),
        ({"train": "t.txt", "label_separator": ":", "columns": ["a"]}, "columns", "remove it"),
        ({"train": "t.txt", "label_separator": ":", "text_pair": "b"}, "text_pair", "one text"),
        ({"train": "train", "hub": "glue", "quote": "none"}, "quote", "hub data set"),
        ({"train": "t.parquet.gz"}, "train", "no known file format"),
        ({"train": "t.gz"}, "train", "no known file format"),
    ],
)
def test_an_option_without_effect_is_rejected(data: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(**data)
    assert caught.value.field == f"recipe.data.{field}"
    assert says in caught.value.message


def test_options_are_accepted_where_one_split_uses_them() -> None:
    data = parse(train="t.csv.gz", validation="v.jsonl", columns=["sentence", "label"])
    assert data.set_table_options() == ["columns"]
    assert parse(train="t.TSV", header="none", quote="none").quote == "none"


def test_the_suffix_determines_the_format_of_a_file() -> None:
    assert {table_suffix(f"a.b{suffix.upper()}") for suffix in FILE_SUFFIXES} == {
        ".csv",
        ".tsv",
        ".txt",
        ".jsonl",
        ".json",
        ".parquet",
    }
