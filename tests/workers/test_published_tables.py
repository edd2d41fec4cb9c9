"""Tables in the layouts of published data sets, and what error messages suggest for them."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from pricetag.recipes.tables import TableOptions
from pricetag.recipes.yaml_text import parse_yaml
from tests.support.training import context, recipe
from workers.job.reporter import JobError
from workers.training.data.texts import load_split

STAGE = {"kind": "train", "evaluate": False}

COLA = (
    "gj04\t1\t\tThe cat sat down.\ngj04\t0\t*\tCat the down sat.\nbc01\t1\t\tShe left, he said.\n"
)
TREC = "DESC:manner How did it start ?\nENTY:cremat What films are long ?\nNUM:date When ?\n"
SST5 = "3 a fine , warm film\n0 dull\n4 a joy from start to end\n"
AG_NEWS = '"3","Oil up","Prices rose, ""again"""\n"1","Vote held","Turnout was\nhigh"\n'
MSRP = (
    "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
    '1\t70\t71\t"It rose, he said.\tHe said it "rose.\r\n'
    "0\t80\t81\tRain fell.\tIt was dry.\r\n"
)
IMDB = 'review,sentiment\n"A ""fine"" film.<br /><br />See it, twice.",positive\nDull.,negative\n'
HANS = "sentence;label\nDas war gut, sehr gut;1\nSchlecht;0\n"
SQUAD_LIKE = {"version": "1.1", "data": [{"text": "a b", "meta": {"label": 1}}] * 2}

PAIR = {"text": "#1 String", "text_pair": "#2 String", "label": "Quality"}
COLA_COLUMNS = {"columns": ["source", "label", "mark", "sentence"]}
NEWS = {"header": "none", "label": "1", "text": "2", "text_pair": "3"}
MOVIES = {"text": "review", "label": "sentiment"}
COLA_TEXTS = ["The cat sat down.", "Cat the down sat.", "She left, he said."]
TREC_TEXTS = ["How did it start ?", "What films are long ?", "When ?"]
SST5_TEXTS = ["a fine , warm film", "dull", "a joy from start to end"]
GERMAN = ["Das war gut, sehr gut", "Schlecht"]

PUBLISHED: dict[str, tuple[str, str, dict[str, Any], list[str], list[str]]] = {
    "cola": ("t.tsv", COLA, COLA_COLUMNS, COLA_TEXTS, ["1", "0", "1"]),
    "cola-and-header": (
        "t.tsv",
        COLA,
        {"header": "none", **COLA_COLUMNS},
        COLA_TEXTS,
        ["1", "0", "1"],
    ),
    "cola-by-number": (
        "t.tsv",
        COLA,
        {"header": "none", "text": "4", "label": "2"},
        COLA_TEXTS,
        ["1", "0", "1"],
    ),
    "trec-coarse": (
        "t.txt",
        TREC,
        {"label_separator": ":"},
        TREC_TEXTS,
        ["DESC", "ENTY", "NUM"],
    ),
    "trec-fine": (
        "t.txt",
        TREC,
        {"label_separator": " "},
        TREC_TEXTS,
        ["DESC:manner", "ENTY:cremat", "NUM:date"],
    ),
    "sst-5": ("t.txt", SST5, {"label_separator": " "}, SST5_TEXTS, ["3", "0", "4"]),
    "label-colon-space": ("t.txt", "pos: fine\nneg: dull: no\n", {"label_separator": ":"},
                          ["fine", "dull: no"], ["pos", "neg"]),
    "label-comma": ("t.csv", '1,fine, "warm\n0,dull\n', {"label_separator": ","},
                    ['fine, "warm', "dull"], ["1", "0"]),
    "ag-news": ("t.csv", AG_NEWS, NEWS, ["Oil up", "Vote held"], ["3", "1"]),
    "msrp": ("t.txt", MSRP, PAIR, ['"It rose, he said.', "Rain fell."], ["1", "0"]),
    "msrp-as-csv": (
        "t.csv",
        MSRP,
        {"quote": "none", "separator": "\t", **PAIR},
        ['"It rose, he said.', "Rain fell."],
        ["1", "0"],
    ),
    "imdb": (
        "t.csv",
        IMDB,
        MOVIES,
        ['A "fine" film.<br /><br />See it, twice.', "Dull."],
        ["positive", "negative"],
    ),
    "semicolons": ("t.csv", HANS, {"separator": ";"}, GERMAN, ["1", "0"]),
    "carriage-returns": ("t.tsv", HANS.replace(";", "\t").replace("\n", "\r"), {}, GERMAN,
                         ["1", "0"]),
    "carriage-returns-csv": ("t.csv", HANS.replace("\n", "\r"), {"separator": ";"}, GERMAN,
                             ["1", "0"]),
    "nested": ("t.jsonl", "\n".join(map(json.dumps, SQUAD_LIKE["data"])),
               {"text": "text", "label": "meta.label"}, ["a b"] * 2, ["1", "1"]),
    "records": ("t.json", json.dumps(SQUAD_LIKE, indent=1),
                {"records": "data", "text": "text", "label": "meta.label"}, ["a b"] * 2,
                ["1", "1"]),
    "records-in-one-line": ("t.json", json.dumps({"set": SQUAD_LIKE}),
                            {"records": "set.data", "text": "text", "label": "meta.label"},
                            ["a b"] * 2, ["1", "1"]),
}  # fmt: skip


def load(folder: Path, name: str, **options: Any) -> Any:
    return load_split(context(folder, recipe(STAGE, data={"train": name, **options})), "train")


def fault(folder: Path, name: str, **options: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        load(folder, name, **options)
    assert caught.value.field == "recipe.data.train"
    return caught.value


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", PUBLISHED)
def test_a_published_layout_is_read_with_its_options(
    tmp_path: Path, case: str, packed: bool
) -> None:
    name, content, options, texts, labels = PUBLISHED[case]
    raw = content.encode()
    if packed:
        name, raw = f"{name}.gz", gzip.compress(raw, mtime=0)
    (tmp_path / name).write_bytes(raw)
    examples = load(tmp_path, name, **options)
    assert (examples.texts, examples.labels) == (texts, labels)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt.gz", "t.jsonl", "t.json"])
def test_text_in_another_encoding_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    rows = [("caf\u00e9 \u00fcber", "1"), ("na\u00efve", "0")]
    separator = "," if name == "t.csv" else "\t"
    text = "".join(f"{sentence}{separator}{label}\n" for sentence, label in rows)
    text = f"sentence{separator}label\n{text}"
    if "json" in name:
        lines = [json.dumps({"sentence": s, "label": n}, ensure_ascii=False) for s, n in rows]
        text = "\n".join(lines) if name == "t.jsonl" else f"[{','.join(lines)}]"
    raw = text.encode(encoding)
    (tmp_path / name).write_bytes(gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
    examples = load(tmp_path, name, encoding=encoding)
    assert (examples.texts, examples.labels) == ([s for s, _ in rows], ["1", "0"])


def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path) -> None:
    for encoding in ("utf-16-le", "utf-16-be", "utf-8"):
        (tmp_path / "t.tsv").write_bytes(f"\ufeff{HANS}".replace(";", "\t").encode(encoding))
        assert load(tmp_path, "t.tsv", encoding=encoding).texts == GERMAN


def test_a_nested_column_of_parquet_is_read(tmp_path: Path) -> None:
    parquet.write_table(pa.Table.from_pylist(SQUAD_LIKE["data"]), tmp_path / "t.parquet")
    examples = load(tmp_path, "t.parquet", text="text", label="meta.label")
    assert (examples.texts, examples.labels) == (["a b"] * 2, ["1", "1"])
    assert fault(tmp_path, "t.parquet", text="text", label="meta.other").code == "missing-column"


SUGGESTED = [
    # name, bytes, options that are wrong, what the message must say
    ("t.tsv", COLA.encode(), {}, "columns: [column_1, label, column_3, sentence]"),
    ("t.tsv", COLA.encode(), {"header": "none"}, "columns: [column_1, label, column_3, sentence]"),
    ("t.csv", COLA.encode(), {}, 'separator: "\\t" and columns: [column_1, label'),
    ("t.csv", HANS.encode(), {}, 'separator: ";"'),
    ("t.csv", HANS.replace(";", "\t").encode(), {}, 'separator: "\\t"'),
    ("t.tsv", HANS.replace(";", ",").encode()[:15], {}, 'separator: ","'),
    ("t.csv", b"b,1\na long text,0\n", {}, "columns: [sentence, label]"),
    ("t.txt", TREC.encode(), {}, 'label_separator: ":"'),
    ("t.txt", SST5.encode(), {}, 'label_separator: " "'),
    ("t.txt", b"__label__a fine film\n__label__b dull\n", {}, 'label_separator: " "'),
    ("t.csv", AG_NEWS.encode(), {"text_pair": "b"}, "columns: [label, sentence, b]"),
    ("t.tsv", b"Sentence\tlabel\na\t1\n", {}, "use 'Sentence'"),
    ("t.csv", b'sentence,label\nok,0\n"he said \\"no\\" twice",0\n', {}, "line 3, column 1"),
    ("t.csv", b'sentence,label\n"a ""b"" c\nd",1\nx,"open\ny,1\n', {}, "opens in line 4, column 3"),
    ("t.csv", b'sentence,label\n"open,1\ny,1\n', {}, "add quote: none"),
    ("t.tsv", "sentence\tlabel\ncaf\u00e9\t1\n".encode("latin-1"), {}, "encoding: latin-1"),
    ("t.tsv", "sentence\tlabel\n\u201cso\u201d\t1\n".encode("cp1252"), {}, "encoding: cp1252"),
    ("t.tsv", "sentence\tlabel\ncaf\u00e9\t1\n".encode("latin-1"), {}, "line 2, byte 18"),
    ("t.tsv", b"sentence\tlabel\nx\x81\t1\n", {"encoding": "cp1252"}, "line 2, byte 16"),
    ("t.tsv", "sentence\tlabel\na\t1\n".encode("utf-16"), {}, "encoding: utf-16"),
    ("t.tsv", "sentence\tlabel\na\t1\n".encode("utf-16-le"), {}, "encoding: utf-16-le"),
    ("t.tsv", "\u4e00\tlabel\n\u4e00\u4e0a\t1\n".encode("utf-16-be"), {}, "encoding: utf-16-be"),
    ("t.tsv", HANS.encode("utf-16-le"), {"encoding": "utf-16"}, "encoding: utf-16-le"),
    ("t.tsv", HANS.encode("utf-16-le"), {"encoding": "utf-16-be"}, "encoding: utf-16-le"),
    ("t.tsv", HANS.encode(), {"encoding": "utf-16-le"}, "remove data.encoding"),
    ("t.tsv", HANS.encode("utf-32"), {}, "convert it to UTF-8"),
    ("t.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", {}, "git lfs pull"),
    ("t.tsv", b"\xef\xbb\xbf" + HANS.encode(), {"encoding": "latin-1"}, "remove encoding"),
    ("t.json", json.dumps(SQUAD_LIKE, indent=1).encode(), {}, "records: data"),
    ("t.json", json.dumps(SQUAD_LIKE).encode(), {}, "records: data"),
    ("t.json", json.dumps({"a": SQUAD_LIKE}).encode(), {"records": "rows"}, "records: a.data"),
    ("t.jsonl", json.dumps(SQUAD_LIKE["data"][0]).encode(), {}, "it has: text, meta.label"),
    ("t.tsv.gz", gzip.compress(HANS.encode(), mtime=0)[:-12], {}, "gzip data have no end"),
    ("t.tsv.gz", HANS.encode(), {}, "not a valid gzip file"),
    ("t.tsv", gzip.compress(HANS.encode(), mtime=0), {}, "name it so that it ends in .gz"),
    ("t.txt", b"pos:don't go\n", {"label_separator": ":"}, "put a space after the colon"),
    ("t.txt", b"3 fine\n4\n", {"label_separator": " "}, "label in line 2"),
    ("t.tsv", COLA.encode(), {"columns": ["a", "label", "sentence"]}, "data.columns names 3"),
    ("t.tsv", COLA.encode(), {"columns": ["a", "b", "c", "d"]}, "data.columns has no column"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "options", "says"), SUGGESTED)
def test_a_message_suggests_the_option_that_helps(
    tmp_path: Path, name: str, raw: bytes, options: dict[str, Any], says: str
) -> None:
    (tmp_path / name).write_bytes(raw)
    error = fault(tmp_path, name, **options)
    assert error.code in ("missing-column", "unreadable-data")
    assert says in error.message
    assert name in error.message or "data.columns" in error.message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", COLA),
        ("t.csv", COLA),
        ("t.csv", HANS),
        ("t.csv", AG_NEWS),
        ("t.txt", TREC),
        ("t.txt", SST5),
        ("t.tsv", HANS.encode("utf-16-le").decode("latin-1")),
        ("t.csv", 'sentence,label\n"stray,1\nx,0\n'),
    ],
)
def test_following_the_suggestions_reads_the_file(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    options: dict[str, Any] = {}
    for _ in range(3):
        try:
            examples = load(tmp_path, name, **options)
        except JobError as error:
            options |= suggested(error.message)
        else:
            assert len(set(examples.labels)) > 1
            assert all(text for text in examples.texts)
            return
    pytest.fail(f"the suggestions {options} do not read the file")


def suggested(message: str) -> dict[str, Any]:
    """The options that a message says to add."""
    written = re.findall(r"(\w+): (\[[^\]]*\]|\"[^\"]*\"|[a-z0-9-]+)", message)
    fields = TableOptions.model_fields
    return {option: parse_yaml(value) for option, value in written if option in fields}


def test_an_empty_file_without_a_header_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_text("\n\n")
    assert fault(tmp_path, "t.tsv", **COLA_COLUMNS).code == "empty-data"


def test_carriage_returns_in_a_file_with_line_feeds_are_text(tmp_path: Path) -> None:
    (tmp_path / "t.tsv").write_bytes(b"sentence\tlabel\na\rb\t1\nc\t0\n")
    assert load(tmp_path, "t.tsv").texts == ["a\rb", "c"]


def test_the_line_of_an_invalid_byte_far_into_a_file_is_reported(tmp_path: Path) -> None:
    head = "sentence\tlabel\n" + "caf\u00e9 au lait\t1\n" * 100_000
    for name, place in (("t.tsv", "file"), ("t.tsv.gz", "unpacked file")):
        raw = head.encode() + b"caf\xe9\t0\n"
        (tmp_path / name).write_bytes(gzip.compress(raw, 1, mtime=0) if "gz" in name else raw)
        where = f"line 100002, byte {len(head.encode()) + 3} of the {place}"
        assert where in fault(tmp_path, name).message


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.jsonl", "t.tsv.gz", "t.jsonl.gz"])
def test_a_file_is_read_in_bounded_memory(tmp_path: Path, name: str) -> None:
    rows, unused = 10_000, "x" * 2000
    if "json" in name:
        line, head = f'{{"sentence": "a", "label": 1, "unused": "{unused}"}}\n', ""
    elif name == "t.txt":
        line, head = f"a\t1\t{unused}\n", "sentence\tlabel\tunused\n"
    else:
        separator = "," if name == "t.csv" else "\t"
        line, head = (
            f"a{separator}1{separator}{unused}\n",
            f"sentence{separator}label{separator}u\n",
        )
    raw = (head + line * rows).encode()
    (tmp_path / name).write_bytes(gzip.compress(raw, 1, mtime=0) if name.endswith(".gz") else raw)
    load(tmp_path, name)  # what is imported on first use is not counted
    tracemalloc.start()
    try:
        examples = load(tmp_path, name)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(examples) == rows
    assert peak < len(raw) / 3
