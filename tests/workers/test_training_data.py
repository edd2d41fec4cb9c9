from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.support.training import context, recipe
from workers.job.reporter import JobError
from workers.training.data.labels import encode_labels, label_names
from workers.training.data.texts import load_split

TEXTS = ['a "stray quote', "tab-free, comma", "", "naïve ☃ \u2028 line"]
LABELS = ["1", "0", "1", "0"]


def load(folder: Path, name: str, **changes: Any) -> Any:
    data = {"train": name, "text": "sentence", "label": "label", **changes.pop("data", {})}
    stage = {"kind": "train", "evaluate": False}
    return load_split(context(folder, recipe(stage, data=data, **changes)), "train")


def code_of(folder: Path, name: str, **changes: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        load(folder, name, **changes)
    return caught.value


def tsv(rows: list[tuple[str, str]], end: str = "\n") -> str:
    return end.join(["sentence\tlabel", *(f"{text}\t{label}" for text, label in rows)]) + end


ROWS = list(zip(TEXTS, LABELS, strict=True))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_tab_separated_text_is_taken_literally(tmp_path: Path, end: str, mark: bytes) -> None:
    (tmp_path / "t.tsv").write_bytes(mark + tsv(ROWS, end).encode())
    examples = load(tmp_path, "t.tsv")
    assert examples.texts == TEXTS
    assert examples.labels == LABELS


def test_csv_cells_may_have_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = 'label,sentence\r\n1,"said ""no"", twice"\r\n0,"two\nlines"\r\n'
    (tmp_path / "t.csv").write_bytes(text.encode())
    examples = load(tmp_path, "t.csv")
    assert examples.texts == ['said "no", twice', "two\nlines"]
    assert examples.labels == ["1", "0"]


def test_json_lines_json_and_parquet_give_the_same(tmp_path: Path) -> None:
    rows = [{"sentence": text, "label": int(label)} for text, label in ROWS]
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "t.jsonl").write_text(lines + "\n\n", encoding="utf-8")
    (tmp_path / "t.json").write_text(json.dumps(rows), encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.json", "t.parquet"):
        examples = load(tmp_path, name)
        assert (examples.texts, examples.labels) == (TEXTS, LABELS)


def test_pairs_and_scores_are_read(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("a\tb\ts\nx\ty\t0.5\nu\tv\t-2\n")
    columns = {"text": "a", "text_pair": "b", "label": "s"}
    examples = load(tmp_path, "t.tsv", data=columns, task="regression")
    assert (examples.texts, examples.pairs, examples.labels) == (
        ["x", "u"],
        ["y", "v"],
        [0.5, -2.0],
    )
    assert encode_labels(examples, None) == [0.5, -2.0]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("text\tlabel\nx\t1\n", "missing-column", "it has: text, label"),
        ("", "missing-column", "none"),
        ("sentence\tlabel\n", "empty-data", "no rows"),
        ("sentence\tlabel\nx\t1\t2\n", "unreadable-data", "3 fields in line 2"),
        ("sentence\tlabel\nx\t\n", "bad-cell", "line 2, column 'label'"),
        ("sentence\tlabel\n\nx\t\n", "bad-cell", "line 3, column 'label'"),
        ("sentence\tsentence\tlabel\nx\ty\t1\n", "unreadable-data", "one column 'sentence'"),
    ],
)
def test_unusable_tables_are_rejected(tmp_path: Path, content: str, code: str, says: str) -> None:
    (tmp_path / "t.tsv").write_text(content)
    error = code_of(tmp_path, "t.tsv")
    assert (error.code, error.field) == (code, "recipe.data.train")
    assert says in error.message


def test_files_of_the_wrong_kind_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"sentence\tlabel\n\xff\xfe\t1\n")
    (tmp_path / "t.jsonl").write_text('{"sentence": "x", "label": 1}\n{"sentence":\n')
    (tmp_path / "t.parquet").write_bytes(b"no parquet at all")
    (tmp_path / "t.csv").write_text('sentence,label\n"never closed,1\n')
    assert "UTF-8" in code_of(tmp_path, "t.tsv").message
    assert "line 2" in code_of(tmp_path, "t.jsonl").message
    assert "parquet" in code_of(tmp_path, "t.parquet").message
    assert "csv" in code_of(tmp_path, "t.csv").message


def test_missing_files_and_paths_outside_the_roots_are_rejected(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret.tsv"
    root.mkdir()
    secret.write_text(tsv(ROWS))
    (root / "link.tsv").symlink_to(secret)
    assert code_of(root, "none.tsv").code == "missing-file"
    assert code_of(root, "link.tsv").code == "path-outside-roots"
    assert code_of(root, str(secret)).code == "path-outside-roots"


def test_scores_must_be_finite_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("sentence\tlabel\nx\t1.5\ny\tnan\n")
    error = code_of(tmp_path, "t.tsv", task="regression")
    assert (error.code, error.field) == ("bad-cell", "recipe.data.train")
    assert "line 3, column 'label'" in error.message


def test_rows_are_reported_with_the_line_on_which_they_begin(tmp_path: Path) -> None:
    head = 'sentence,label\n"two\nlines",1\n\n'
    (tmp_path / "cell.csv").write_text(head + "x,\n")
    (tmp_path / "ragged.csv").write_text(head + "x\n")
    assert "line 5, column 'label'" in code_of(tmp_path, "cell.csv").message
    assert "1 field in line 5, but its header has 2" in code_of(tmp_path, "ragged.csv").message
    good = '{"sentence": "x", "label": 1}'
    (tmp_path / "t.jsonl").write_text(f'{good}\n\n{{"sentence": "x", "label": null}}\n')
    assert "line 3, column 'label'" in code_of(tmp_path, "t.jsonl").message
    (tmp_path / "t.jsonl").write_text(f'{good}\n\n{{"sentence": "x"}}\n')
    assert "t.jsonl, line 3, has no column 'label'" in code_of(tmp_path, "t.jsonl").message
    (tmp_path / "t.json").write_text(f'[{good}, {{"sentence": 5, "label": 1}}]')
    assert "row 2, column 'sentence'" in code_of(tmp_path, "t.json").message
    rows = [{"sentence": "x", "label": 1}, {"sentence": None, "label": 1}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    assert "row 2, column 'sentence'" in code_of(tmp_path, "t.parquet").message


def test_a_column_that_is_not_used_may_be_there_twice(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("sentence,note,note,label\nx,a,b,1\n")
    assert load(tmp_path, "t.csv").texts == ["x"]
    doubled = pa.table([pa.array(["x"]), pa.array(["y"]), pa.array([1])], ["label"] * 3)
    twice = doubled.rename_columns(["sentence", "sentence", "label"])
    parquet.write_table(twice, tmp_path / "t.parquet")
    error = code_of(tmp_path, "t.parquet")
    assert (error.code, "more than one column 'sentence'" in error.message) == (
        "unreadable-data",
        True,
    )


def test_classes_are_ordered_by_number_then_by_name(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(tsv([("a", "10"), ("b", "2"), ("c", "x"), ("d", "-1")]))
    assert label_names(load(tmp_path, "t.tsv")) == ["-1", "2", "10", "x"]


def test_a_data_set_of_one_class_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(tsv([("a", "1"), ("b", "1")]))
    with pytest.raises(JobError) as caught:
        label_names(load(tmp_path, "t.tsv"))
    assert caught.value.code == "single-class"


def test_labels_that_look_like_one_class_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(tsv([("a", "neg"), ("b", "Pos"), ("c", "pos")]))
    with pytest.raises(JobError, match="'Pos' and 'pos'") as caught:
        label_names(load(tmp_path, "t.tsv"))
    assert (caught.value.code, caught.value.field) == ("labels-alike", "recipe.data.labels")


def test_a_label_unknown_to_the_model_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text(tsv([("a", "1"), ("b", "7")]))
    with pytest.raises(JobError) as caught:
        encode_labels(load(tmp_path, "t.tsv"), ["0", "1"])
    assert caught.value.code == "unknown-label"
    assert "'7'" in caught.value.message


def test_the_hub_is_closed_unless_allowed(tmp_path: Path) -> None:
    error = code_of(tmp_path, "train", data={"hub": "glue", "config": "sst2"})
    assert (error.code, error.field) == ("hub-not-allowed", "recipe.data.hub")


def load_from_hub(folder: Path, name: str) -> Any:
    stage = {"kind": "train", "evaluate": False}
    asked = recipe(stage, data={"train": "train", "hub": name, "label": "label"})
    stage_context = context(folder, asked)
    return load_split(
        replace(stage_context, job=replace(stage_context.job, allow_hub=True)), "train"
    )


@pytest.fixture
def open_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A worker that may use the hub, in a folder with data of its own beside it."""
    here = tmp_path / "cwd"
    (here / "lab" / "set").mkdir(parents=True)
    for folder in (here, here / "lab" / "set"):
        (folder / "train.csv").write_text("sentence,label\nsecret,1\nother,0\n")
    monkeypatch.chdir(here)


@pytest.mark.usefixtures("open_hub")
@pytest.mark.parametrize("name", ["csv", "lab/set"])
def test_a_hub_name_never_reads_the_workers_own_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(JobError) as caught:
        load_from_hub(tmp_path, name)
    assert (caught.value.code, caught.value.field) == ("path-outside-roots", "recipe.data.hub")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("files", "is_read"),
    [
        (["hf://datasets/a/b@0/train.csv"], True),
        (["zip://train.csv::hf://datasets/a/b@0/all.zip"], True),
        (["hf://datasets/a/b@0/train.csv", "/etc/passwd"], False),
        (["https://10.0.0.1/latest/meta-data"], False),
        (["zip://hf://datasets/x::/var/all.zip"], False),
    ],
)
def test_a_data_set_of_the_hub_reads_files_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], is_read: bool
) -> None:
    import datasets

    prepared = []

    class Builder:
        config = SimpleNamespace(data_files={"train": files})

        def download_and_prepare(self) -> None:
            prepared.append(True)

        def as_dataset(self, split: str) -> Any:
            return datasets.Dataset.from_dict({"sentence": ["a", "b"], "label": ["0", "1"]})

    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *a, **k: Builder())
    if is_read:
        assert load_from_hub(tmp_path, "a/b").texts == ["a", "b"]
    else:
        with pytest.raises(JobError) as caught:
            load_from_hub(tmp_path, "a/b")
        assert caught.value.code == "path-outside-roots"
    assert bool(prepared) is is_read


FINE = '{"sentence": "a", "label": 1}\n'


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ('{"sentence": "a \\ud800 b", "label": 1}', "line 2, column 'sentence'"),
        ('{"sentence": "a", "label": "\\udfff"}', "line 2, column 'label'"),
        ('{"sentence": "a", "label": ' + "9" * 5000 + "}", "line 2: cannot be read"),
        (
            '{"sentence": "a", "sentence": "b", "label": 1}',
            "line 2: cannot be read as JSON: the key",
        ),
        ('{"sentence": "a", "label": 1, "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 2"),
    ],
)
def test_json_that_no_table_can_hold_is_reported_with_its_line(
    tmp_path: Path, line: str, where: str
) -> None:
    (tmp_path / "t.jsonl").write_text(FINE + line + "\n")
    error = code_of(tmp_path, "t.jsonl")
    assert error.code == "bad-cell"
    assert where in error.message


def test_a_byte_that_is_not_utf8_is_reported_with_line_and_position(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"sentence\tlabel\na\t1\ncaf\xe9\t0\n")
    error = code_of(tmp_path, "t.tsv")
    assert error.code == "unreadable-data"
    assert "line 3, byte 22 of the file" in error.message


def test_a_file_without_a_header_in_another_encoding_is_read(tmp_path: Path) -> None:
    rows = "gj04\t1\t\tCaf\u00e9 is open.\ngj04\t0\t*\tThey drank the pub.\n"
    columns = {"columns": ["source", "label", "mark", "sentence"]}
    for encoding in ("utf-8", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"):
        (tmp_path / "t.tsv").write_bytes(rows.encode(encoding))
        examples = load(tmp_path, "t.tsv", data={**columns, "encoding": encoding})
        assert examples.texts == ["Caf\u00e9 is open.", "They drank the pub."]
        assert (examples.labels, examples.where(1)) == (["1", "0"], "line 2")


@pytest.mark.parametrize("separator", [";", "|", "\t", ","])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_another_separator_is_used_if_configured(tmp_path: Path, separator: str, name: str) -> None:
    (tmp_path / name).write_text(f"sentence{separator}label\na b{separator}1\n")
    assert load(tmp_path, name, data={"separator": separator}).texts == ["a b"]


def test_a_wrong_encoding_gives_an_error_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"sentence\tlabel\na\t1")
    error = code_of(tmp_path, "t.tsv", data={"encoding": "utf-16"})
    assert error.code == "unreadable-data"
    assert "data.encoding" in error.message
