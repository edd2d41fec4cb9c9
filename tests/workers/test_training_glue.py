"""GLUE's tasks from files in the official layouts, and their official metrics."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from pricetag.recipes import parse_recipe
from pricetag.recipes.glue import GLUE
from tests.support import glue
from tests.support.recording import RecordingReporter
from tests.support.training import CONFIG, context, job
from workers.job import inputs, steps
from workers.job.file_hashes import FileHashes
from workers.job.pipeline import run
from workers.job.request import JobError
from workers.training.data.labels import positive_class
from workers.training.data.texts import load_split
from workers.training.metrics import agreement, correlations
from workers.training.preparation import reported

TRAIN = {
    "kind": "train",
    "max_steps": 2,
    "batch_size": 8,
    "precision": "fp32",
    "max_length": 32,
    "mid_evaluation": {"every_steps": 1},
}


def described(*stages: dict[str, Any], **data: Any) -> dict[str, Any]:
    task = "regression" if data["glue"] == "stsb" else "classification"
    model = {"config": CONFIG}
    return {"task": task, "data": data, "model": model, "stages": list(stages or [TRAIN])}


def load(root: Path, split: str = "train", **data: Any) -> Any:
    return load_split(context(root, described(**data)), split)


def fault(root: Path, split: str = "train", **data: Any) -> JobError:
    with pytest.raises(JobError) as caught:
        load(root, split, **data)
    return caught.value


def logs(stage: Any) -> list[str]:
    return [event["text"] for event in stage.reporter.of("log")]


def expected(name: str, rows: range) -> tuple[list[str], list[str] | None, list[Any]]:
    texts = [glue.texts(row) for row in rows]
    classes = glue.CLASSES[name]
    seconds = None if GLUE[name].text_pair is None else [second for _, second in texts]
    return [first for first, _ in texts], seconds, [classes[row % len(classes)] for row in rows]


@pytest.mark.parametrize("name", GLUE)
@pytest.mark.parametrize("nested", [True, False], ids=["benchmark folder", "task folder"])
def test_official_files_of_every_task_load(tmp_path: Path, name: str, nested: bool) -> None:
    folder = glue.write(tmp_path / "glue_data", name)
    path = "glue_data" if nested else f"glue_data/{folder.name}"
    splits = {"train": range(24)}
    for number, split in enumerate(GLUE[name].score_splits):
        splits[split] = range(24 + 12 * number, 36 + 12 * number)
    for split, rows in splits.items():
        examples = load(tmp_path, split, glue=name, path=path)
        assert (examples.texts, examples.pairs, examples.labels) == expected(name, rows)
        assert examples.class_names == GLUE[name].labels
        assert examples.where(0) == ("line 1" if name == "cola" else "line 2")


@pytest.mark.parametrize("name", GLUE)
def test_a_test_set_without_labels_is_never_evaluated(tmp_path: Path, name: str) -> None:
    folder = glue.write(tmp_path, name)
    file = f"{folder.name}/test{'_matched' if name == 'mnli' else ''}.tsv"
    error = fault(tmp_path, "test", glue=name, path=folder.name, test=file)
    assert (error.code, error.field) == ("missing-labels", "recipe.data.test")
    assert f"{GLUE[name].title} is evaluated on its validation split" in error.message


@pytest.mark.parametrize("name", GLUE)
@pytest.mark.parametrize("hidden", ["-1", "-1.0", " -1"])
def test_hidden_labels_are_not_labels(tmp_path: Path, name: str, hidden: str) -> None:
    """A test set as it is exported from the hub: its columns, and -1 as label."""
    task = GLUE[name]
    columns = [task.text, *filter(None, [task.text_pair]), "label", "idx"]
    rows = ["\t".join([*["some text"] * (len(columns) - 2), hidden, "0"])] * 2
    glue.save(tmp_path / "hub.tsv", ["\t".join(columns), *rows])
    error = fault(tmp_path, "test", glue=name, path="g", test="hub.tsv")
    assert error.code == "missing-labels"
    assert "line 2" in error.message


@pytest.mark.parametrize("name", GLUE)
def test_files_with_the_columns_of_the_hub_load(tmp_path: Path, name: str) -> None:
    task = GLUE[name]
    columns = ["idx", "label", task.text, *filter(None, [task.text_pair])]
    labels = ["0", "1"] if task.labels else ["0.5", "5"]
    texts = ["some text"] * (len(columns) - 2)
    rows = ["\t".join(["7", label, *texts]) for label in labels]
    glue.save(tmp_path / "train.tsv", ["\t".join(columns), *rows], end="\r\n")
    examples = load(tmp_path, glue=name, path=".")
    assert examples.texts == ["some text"] * 2
    assert examples.labels == (list(task.labels[:2]) if task.labels else [0.5, 5.0])


@pytest.mark.parametrize("name", GLUE)
@pytest.mark.parametrize(
    ("encoding", "advice"),
    [
        ("cp1252", "add encoding: cp1252"),
        ("latin-1", "add encoding: latin-1"),
        ("utf-16", "add encoding: utf-16"),
    ],
)
def test_files_saved_in_another_encoding_load_with_the_option_that_the_message_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, encoding: str, advice: str
) -> None:
    quoted = "\u201cfin\u00e9\u201d" if encoding == "cp1252" else "fin\u00e9"
    monkeypatch.setattr(glue, "texts", lambda row: (f"{quoted} {row}", "a caf\u00e9"))
    folder = glue.write(tmp_path, name)
    for file in folder.iterdir():
        text = file.read_text(encoding="utf-8").removeprefix("\ufeff")
        file.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    data = {"glue": name, "path": folder.name}
    error = fault(tmp_path, **data)
    assert error.code == "unreadable-data"
    assert advice in error.message
    examples = load(tmp_path, **data, encoding=encoding)
    assert (examples.texts, examples.pairs, examples.labels) == expected(name, range(24))


def test_a_list_of_development_examples_is_read_in_the_encoding_of_its_corpus(
    tmp_path: Path,
) -> None:
    msr(tmp_path / "MRPC", ids="dev_ids.tsv")
    for file in (tmp_path / "MRPC").iterdir():
        text = file.read_text(encoding="utf-8").removeprefix("\ufeff")
        file.write_bytes(text.encode("utf-16"))
    data = {"glue": "mrpc", "path": "MRPC", "encoding": "utf-16"}
    assert len(load(tmp_path, "train", **data)) == 4
    assert len(load(tmp_path, "validation", **data)) == 2


def test_a_line_that_does_not_have_the_layout_is_named_with_its_task(tmp_path: Path) -> None:
    folder = glue.write(tmp_path, "cola", train=2)
    with (folder / "train.tsv").open("a") as file:
        file.write("gj04\t1\t\tTwo parts\tof a sentence.\n")
    error = fault(tmp_path, glue="cola", path="CoLA")
    assert error.message == "train.tsv has 5 fields in line 3, but CoLA has 4"


def msr(folder: Path, *, ids: str | None) -> None:
    folder.mkdir()
    head = glue.header("mrpc")
    rows = [glue.line("mrpc", row) for row in range(6)]
    glue.save(folder / "msr_paraphrase_train.txt", [*head, *rows], end="\r\n")
    tests = [glue.line("mrpc", row) for row in range(6, 9)]
    glue.save(folder / "msr_paraphrase_test.txt", [*head, *tests], end="\r\n")
    if ids is not None:
        glue.save(folder / ids, [f"{700 + row}\t{800 + row}" for row in (1, 4)])


@pytest.mark.parametrize("ids", ["dev_ids.tsv", "mrpc_dev_ids.tsv"])
def test_mrpc_is_split_by_its_list_of_development_examples(tmp_path: Path, ids: str) -> None:
    msr(tmp_path / "MRPC", ids=ids)
    data = {"glue": "mrpc", "path": "MRPC"}
    train, dev = (load(tmp_path, split, **data) for split in ("train", "validation"))
    assert train.texts == [glue.texts(row)[0] for row in (0, 2, 3, 5)]
    assert dev.texts == [glue.texts(row)[0] for row in (1, 4)]
    assert dev.labels == ["equivalent", "not_equivalent"]
    assert [dev.where(row) for row in range(2)] == ["line 3", "line 6"]
    labeled = load(tmp_path, "test", **data, test="MRPC/msr_paraphrase_test.txt")
    assert labeled.labels == ["not_equivalent", "equivalent", "not_equivalent"]


def test_mrpc_without_a_list_is_the_corpus_itself_and_the_log_says_so(tmp_path: Path) -> None:
    msr(tmp_path / "MRPC", ids=None)
    stage = context(tmp_path, described(glue="mrpc", path="MRPC"))
    assert len(load_split(stage, "train")) == 6
    assert load_split(stage, "validation").texts == [glue.texts(row)[0] for row in (6, 7, 8)]
    logged = " ".join(logs(stage))
    assert "train data: all of msr_paraphrase_train.txt" in logged
    assert "validation data: msr_paraphrase_test.txt" in logged


def test_broken_rows_of_qqp_are_dropped_and_counted(tmp_path: Path) -> None:
    """A line end within a question leaves two rows with too few cells."""
    folder = glue.write(tmp_path, "qqp", train=4)
    lines = (folder / "train.tsv").read_text().splitlines()
    lines[2:2] = ["9\t18\t19\tHow is it", "that rain falls?\tWhy rain?\t1", "10\ta\tb\tc\td\t0\tx"]
    glue.save(folder / "train.tsv", lines)
    stage = context(tmp_path, described(glue="qqp", path="QQP"))
    examples = load_split(stage, "train")
    assert examples.texts == [glue.texts(row)[0] for row in range(4)]
    assert examples.where(1) == "line 6"
    assert "train data: 3 broken rows dropped, first: line 3" in logs(stage)
    glue.save(folder / "dev.tsv", [*glue.header("qqp"), "only one cell"])
    assert fault(tmp_path, "validation", glue="qqp", path="QQP").code == "empty-data"


@pytest.mark.parametrize("name", [name for name in GLUE if name != "qqp"])
def test_a_broken_row_of_another_task_is_an_error(tmp_path: Path, name: str) -> None:
    folder = glue.write(tmp_path, name)
    with (folder / "train.tsv").open("a") as file:
        file.write("half a row\n")
    error = fault(tmp_path, glue=name, path=folder.name)
    assert error.code == "unreadable-data"
    assert "line" in error.message


@pytest.mark.parametrize(("name", "empty"), [("mnli", "-"), ("qqp", "")])
def test_rows_without_a_label_are_dropped_and_counted(
    tmp_path: Path, name: str, empty: str
) -> None:
    folder = glue.write(tmp_path, name, train=3)
    lines = (folder / "train.tsv").read_text().splitlines()
    lines[2] = lines[2].rpartition("\t")[0] + f"\t{empty}"
    glue.save(folder / "train.tsv", lines)
    stage = context(tmp_path, described(glue=name, path="."))
    examples = load_split(stage, "train")
    assert examples.labels == [expected(name, range(3))[2][row] for row in (0, 2)]
    assert [examples.where(row) for row in range(2)] == ["line 2", "line 4"]
    assert "train data: 1 row without a label dropped" in logs(stage)
    glue.save(folder / "train.tsv", [lines[0], lines[2]])
    assert fault(tmp_path, glue=name, path=".").code == "empty-data"


@pytest.mark.parametrize("score", ["5.001", "-0.1", "six", "nan", "inf", ""])
def test_a_score_of_stsb_is_from_0_to_5(tmp_path: Path, score: str) -> None:
    folder = glue.write(tmp_path, "stsb", train=3)
    lines = (folder / "train.tsv").read_text().splitlines()
    lines[2] = lines[2].rpartition("\t")[0] + f"\t{score}"
    glue.save(folder / "train.tsv", lines)
    error = fault(tmp_path, glue="stsb", path="STS-B")
    assert error.code == "bad-cell"
    assert "line 3" in error.message


HUB_ROWS: dict[str, tuple[str, list[Any], str]] = {
    "mnli": ("validation_mismatched", [2, 0], "validation_mismatched"),
    "mrpc": ("test", [1, 0], "test"),
    "stsb": ("validation", [3.5, 0.0], "validation"),
    "wnli": ("train", [1, 0], "train"),
}


@pytest.mark.parametrize("name", HUB_ROWS)
@pytest.mark.parametrize("hidden", [False, True])
def test_the_hub_is_read_with_its_own_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, hidden: bool
) -> None:
    import datasets

    task = GLUE[name]
    split, labels, hub_split = HUB_ROWS[name]
    labels = [-1, -1] if hidden else labels
    columns = {task.text: ["a", "b"], str(task.text_pair): ["c", "d"], "label": labels}
    labels_of = datasets.ClassLabel(names=list(task.labels)) if task.labels else None
    features = datasets.Features(
        {
            **dict.fromkeys((task.text, str(task.text_pair)), datasets.Value("string")),
            "label": labels_of or datasets.Value("float32"),
        }
    )
    calls: list[Any] = []

    class Builder:
        config = SimpleNamespace(data_files={})

        def download_and_prepare(self) -> None:
            pass

        def as_dataset(self, split: str) -> Any:
            calls.append(split)
            return datasets.Dataset.from_dict(columns, features=features)

    def builder(hub: str, config: str, **_: Any) -> Builder:
        calls.append((hub, config))
        return Builder()

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    data = {"glue": name} | ({"test": "test"} if split == "test" else {})
    stage = context(tmp_path, described(**data))
    stage = replace(stage, job=replace(stage.job, allow_hub=True))
    if hidden:
        with pytest.raises(JobError) as caught:
            load_split(stage, split)
        assert caught.value.code in ("unknown-label", "missing-labels")
        assert "hidden" in caught.value.message
        return
    examples = load_split(stage, split)
    assert calls == [("nyu-mll/glue", name), hub_split]
    assert (examples.texts, examples.pairs) == (["a", "b"], ["c", "d"])
    names = task.labels
    assert examples.labels == ([names[label] for label in labels] if names else labels)


def test_files_that_are_missing_or_of_another_task_are_named(tmp_path: Path) -> None:
    folder = glue.write(tmp_path, "rte")
    assert fault(tmp_path, glue="rte", path="nowhere").field == "recipe.data.path"
    assert fault(tmp_path, glue="rte", path="RTE/train.tsv").code == "missing-file"
    other = fault(tmp_path, glue="sst2", path="RTE")
    assert other.code == "missing-column"
    assert "SST-2's columns (sentence, label)" in other.message
    (folder / "dev.tsv").unlink()
    error = fault(tmp_path, "validation", glue="rte", path="RTE")
    assert (error.code, error.field) == ("missing-file", "recipe.data.path")
    assert "'RTE' has no dev.tsv of RTE; it has: test.tsv, train.tsv" in error.message


def test_links_out_of_the_data_roots_are_not_followed(tmp_path: Path) -> None:
    glue.write(tmp_path / "outside", "rte")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "RTE").symlink_to(tmp_path / "outside" / "RTE")
    assert fault(tmp_path / "root", glue="rte", path="RTE").code == "path-outside-roots"
    (tmp_path / "root" / "g").mkdir()
    (tmp_path / "root" / "g" / "RTE").symlink_to(tmp_path / "outside" / "RTE")
    assert fault(tmp_path / "root", glue="rte", path="g").code == "path-outside-roots"


def test_the_provenance_lists_the_files_that_are_read(tmp_path: Path) -> None:
    msr(tmp_path / "MRPC", ids="dev_ids.tsv")
    recipe = parse_recipe(described(glue="mrpc", path="."))
    task = job(tmp_path, recipe.model_dump(mode="json"))
    hashes = FileHashes(tmp_path / "hashes", lambda: None)
    files = [(one["role"], one["path"]) for one in inputs.describe(task, recipe, None, hashes)]
    both = ["./MRPC/msr_paraphrase_train.txt", "./MRPC/dev_ids.tsv"]
    assert [place for role, place in files if role == "data.train"] == both
    before = steps.data_files(task, recipe)
    (tmp_path / "MRPC" / "dev_ids.tsv").write_text("702\t802\n")
    assert steps.data_files(task, recipe) != before


def test_a_check_before_submission_reads_the_folder(tmp_path: Path) -> None:
    folder = glue.write(tmp_path, "mnli")
    recipe = parse_recipe(described(glue="mnli", path="MNLI"))
    checked: Any = reported(recipe, [tmp_path])
    assert "train, validation, validation_mismatched" in checked.checked[0]
    elsewhere = reported(recipe, [tmp_path / "MNLI"])
    assert isinstance(elsewhere, str)
    assert elsewhere.startswith("recipe.data.path: 'MNLI' is not under")
    (folder / "dev_mismatched.tsv").write_text((folder / "test_mismatched.tsv").read_text())
    fault_text = reported(recipe, [tmp_path])
    assert isinstance(fault_text, str)
    assert "recipe.data.validation_mismatched: dev_mismatched.tsv has no labels" in fault_text


@pytest.mark.parametrize("name", ["cola", "mrpc", "stsb", "mnli"])
def test_a_run_reports_the_official_metrics(tmp_path: Path, name: str) -> None:
    glue.write(tmp_path, name)
    reporter = RecordingReporter()
    run(job(tmp_path, described(TRAIN, {"kind": "evaluate"}, glue=name, path=".")), reporter)
    evaluations = [event["key"] for event in reporter.of("stage_start", kind="evaluate")]
    assert len(evaluations) == 2
    task = GLUE[name]
    for key in evaluations:
        reported_ = [(one["split"], one["name"]) for one in reporter.of("metric", key=key)]
        official = [(split, metric) for split in task.score_splits for metric in task.metrics]
        assert reported_ == official


TWO_CLASSES = [name for name, task in GLUE.items() if task.labels and len(task.labels) == 2]
PREDICTIONS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@pytest.mark.parametrize("name", TWO_CLASSES)
@settings(max_examples=30)
@given(rows=PREDICTIONS, reversed_head=st.booleans())
def test_metrics_of_classes_agree_with_scikit_learn(
    name: str, rows: list[tuple[int, int]], reversed_head: bool
) -> None:
    labels, predicted = [row[0] for row in rows], [row[1] for row in rows]
    task = GLUE[name]
    assert task.labels is not None
    names = list(reversed(task.labels)) if reversed_head else list(task.labels)
    data = parse_recipe(described({"kind": "train", "evaluate": False}, glue=name)).data
    positive = names.index(positive_class(data, names, task.labels))
    number = (lambda value: 1 - value) if reversed_head else (lambda value: value)
    scores = agreement(list(map(number, predicted)), list(map(number, labels)), names, positive)
    expected_accuracy = sklearn_metrics.accuracy_score(labels, predicted)
    assert scores["accuracy"].value == pytest.approx(expected_accuracy, abs=1e-12)
    if 1 in labels + predicted:
        f1 = sklearn_metrics.f1_score(labels, predicted, zero_division=0)
        assert scores["f1"].value == pytest.approx(f1, abs=1e-12)
        assert scores["f1"].of_class == task.labels[1]
    else:
        assert (scores["f1"].value, bool(scores["f1"].reason)) == (None, True)
    if len(set(labels)) == len(set(predicted)) == 2:
        mcc = sklearn_metrics.matthews_corrcoef(labels, predicted)
        assert scores["mcc"].value == pytest.approx(mcc, abs=1e-12)
    else:
        assert (scores["mcc"].value, bool(scores["mcc"].reason)) == (None, True)


@settings(max_examples=60)
@given(rows=st.lists(st.tuples(st.integers(0, 20), st.integers(-30, 80)), min_size=1, max_size=40))
def test_metrics_of_scores_agree_with_scipy(rows: list[tuple[int, int]]) -> None:
    labels, predicted = [row[0] / 4 for row in rows], [row[1] / 8 for row in rows]
    scores = correlations(predicted, labels)
    if len(rows) < 2 or len(set(labels)) == 1 or len(set(predicted)) == 1:
        assert all(score.value is None and score.reason for score in scores.values())
        return
    pearson, spearman = stats.pearsonr(predicted, labels), stats.spearmanr(predicted, labels)
    assert math.isclose(scores["pearson"].value or 0, pearson.statistic, abs_tol=1e-9)
    assert math.isclose(scores["spearman"].value or 0, spearman.statistic, abs_tol=1e-9)
