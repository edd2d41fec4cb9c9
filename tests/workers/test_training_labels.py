"""Classes keep their meaning: data, heads, numbers and names are matched by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support import tiny_models
from tests.support.recording import RecordingReporter
from tests.support.training import carry_out, context, recipe
from workers.job.reporter import JobError
from workers.training.data.labels import encode_labels, label_names, positive_class
from workers.training.data.texts import load_split

TINY = {
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "vocab_size": 200,
    "max_position_embeddings": 32,
}
ONE_STEP = {"kind": "train", "max_steps": 1, "learning_rate": 1e-12, "batch_size": 8}
EVALUATE = {"kind": "evaluate"}
TEXTS = [
    f"{how} {what}"
    for how in ["good", "bad", "nice", "awful", "great", "dull"]
    for what in ["a", "b", "c", "d"]
]


def write(folder: Path, labels: list[Any], texts: list[str] = TEXTS, name: str = "t.tsv") -> str:
    rows = "".join(f"{text}\t{label}\n" for text, label in zip(texts, labels, strict=True))
    (folder / name).write_text("sentence\tlabel\n" + rows)
    return name


def asked(folder: Path, *stages: dict[str, Any], model: Any = "m", **data: Any) -> dict[str, Any]:
    named = {"train": "t.tsv", "validation": "t.tsv", **data}
    return recipe(*stages, data=named, model=model)


def score(reporter: RecordingReporter, name: str) -> dict[str, Any]:
    (event,) = reporter.of("metric", name=name)
    return event


def own_answers(folder: Path, head: list[str] | None) -> list[int]:
    """The numbers of the classes that a saved model gives the texts; both occur."""
    for seed in range(50):
        shape = tiny_models.config(labels=head, initializer_range=0.7)
        model = tiny_models.save(folder / "m", shape, seed=seed)
        tokens = tiny_models.tokenizer()(TEXTS, padding=True, return_tensors="pt")
        with torch.no_grad():
            numbers = (
                model(tokens["input_ids"], tokens["attention_mask"]).logits.argmax(-1).tolist()
            )
        if min(numbers.count(0), numbers.count(1)) > 4:
            return [int(number) for number in numbers]
    raise AssertionError("no seed gives a model that tells the texts apart")


HEADS = [
    (["positive", "negative"], ["positive", "negative"], {}),
    (["negative", "positive"], ["negative", "positive"], {}),
    (["POSITIVE", "Negative"], ["positive", "negative"], {}),
    (["LABEL_0", "LABEL_1"], ["0", "1"], {}),
    (["LABEL_0", "LABEL_1"], ["good", "bad"], {"labels": ["good", "bad"]}),
    (["good", "bad"], ["0", "1"], {"labels": ["good", "bad"]}),
    (["1", "0"], ["1", "0"], {}),
    (["True", "False"], ["True", "False"], {}),
    (["True", "False"], ["true", "false"], {}),
]


@pytest.mark.parametrize(("head", "in_data", "options"), HEADS)
def test_a_head_of_the_same_classes_keeps_their_meaning(
    tmp_path: Path, head: list[str], in_data: list[str], options: dict[str, Any]
) -> None:
    numbers = own_answers(tmp_path, head)
    write(tmp_path, [in_data[number] for number in numbers])
    evaluated = carry_out(tmp_path, asked(tmp_path, EVALUATE, **options))
    assert score(evaluated, "accuracy")["value"] == 1.0
    trained = carry_out(tmp_path, asked(tmp_path, ONE_STEP, **options), attempt=2)
    assert score(trained, "accuracy")["value"] == 1.0
    assert score(trained, "f1")["of_class"] == score(evaluated, "f1")["of_class"]


def test_three_classes_in_another_order_keep_their_meaning(tmp_path: Path) -> None:
    head = ["neutral", "entailment", "contradiction"]
    numbers = own_answers(tmp_path, head)
    write(tmp_path, [head[number] for number in numbers[:-1]] + ["contradiction"])
    evaluated = score(carry_out(tmp_path, asked(tmp_path, EVALUATE)), "accuracy")["value"]
    trained = score(carry_out(tmp_path, asked(tmp_path, ONE_STEP), attempt=2), "accuracy")["value"]
    assert trained == evaluated >= (len(numbers) - 1) / len(numbers)


def test_a_head_without_names_is_not_guessed_to_be_in_the_order_of_the_data(tmp_path: Path) -> None:
    own_answers(tmp_path, None)
    write(tmp_path, ["good", "bad"] * 12)
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, asked(tmp_path, EVALUATE))
    assert (caught.value.code, caught.value.field) == ("unknown-label", "recipe.data.validation")
    assert "line 2" in caught.value.message
    assert "set data.labels" in caught.value.message
    reporter = carry_out(tmp_path, asked(tmp_path, ONE_STEP), attempt=2)
    assert any("a new one for bad, good" in event["text"] for event in reporter.of("log"))


def test_numbers_and_names_of_the_same_classes_give_the_same_scores(tmp_path: Path) -> None:
    """The class that F1 is of is GLUE's: equivalent, or 1."""
    train = {"kind": "train", "max_steps": 10, "batch_size": 8, "learning_rate": 3e-3}
    truth = [0 if number % 4 == 0 else 1 for number in range(len(TEXTS))]
    scores = []
    for attempt, names in enumerate(
        (["0", "1"], ["not_equivalent", "equivalent"], ["not_duplicate", "duplicate"]), start=1
    ):
        write(tmp_path, [names[number] for number in truth])
        reporter = carry_out(
            tmp_path, asked(tmp_path, train, model={"config": TINY}), attempt=attempt
        )
        assert score(reporter, "f1")["of_class"] == names[1]
        scores.append([score(reporter, name)["value"] for name in ("accuracy", "f1")])
    assert scores[0][1] > 0.8
    assert scores == [scores[0]] * 3


def test_the_job_names_the_positive_class(tmp_path: Path) -> None:
    own_answers(tmp_path, ["negative", "positive"])
    write(tmp_path, ["negative"] * 4 + ["positive"] * 20)
    by_default = carry_out(tmp_path, asked(tmp_path, EVALUATE))
    by_option = carry_out(tmp_path, asked(tmp_path, EVALUATE, positive_label="negative"), attempt=2)
    assert score(by_default, "f1")["of_class"] == "positive"
    assert score(by_option, "f1")["of_class"] == "negative"
    assert score(by_option, "f1")["value"] != score(by_default, "f1")["value"]
    with pytest.raises(JobError) as caught:
        carry_out(tmp_path, asked(tmp_path, EVALUATE, positive_label="good"), attempt=3)
    assert caught.value.field == "recipe.data.positive_label"


def test_a_score_that_is_not_defined_has_a_reason(tmp_path: Path) -> None:
    numbers = own_answers(tmp_path, ["a", "b"])
    texts = [text for text, number in zip(TEXTS, numbers, strict=True) if number == 0]
    write(tmp_path, ["a"] * len(texts), texts)
    reporter = carry_out(tmp_path, asked(tmp_path, EVALUATE))
    assert score(reporter, "accuracy")["value"] == 1.0
    for name in ("f1", "mcc"):
        assert score(reporter, name)["value"] is None
        assert score(reporter, name)["reason"]


def hub_examples(
    folder: Path, monkeypatch: pytest.MonkeyPatch, numbers: list[int], **data: Any
) -> Any:
    import datasets

    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["not_equivalent", "equivalent"]),
        }
    )
    rows = {"sentence": [f"s{i}" for i in range(len(numbers))], "label": numbers}
    made = datasets.Dataset.from_dict(rows, features=features)
    builder = SimpleNamespace(
        config=SimpleNamespace(data_files={}),
        download_and_prepare=lambda: None,
        as_dataset=lambda split: made,
    )
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *a, **k: builder)
    stage = {"kind": "train", "evaluate": False}
    described = recipe(stage, data={"train": "train", "hub": "lab/mrpc", **data})
    made_for = context(folder, described)
    return load_split(replace(made_for, job=replace(made_for.job, allow_hub=True)), "train")


def test_classes_of_the_hub_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = hub_examples(tmp_path, monkeypatch, [1, 1, 1, 0])
    names = label_names(examples)
    assert names == ["not_equivalent", "equivalent"]
    assert encode_labels(examples, names) == [1, 1, 1, 0]
    assert encode_labels(examples, ["LABEL_0", "LABEL_1"]) == [1, 1, 1, 0]
    assert positive_class(None, names, examples.class_names) == "equivalent"
    assert positive_class(None, names[::-1], examples.class_names) == "equivalent"


def test_hidden_labels_of_the_hub_are_not_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(JobError) as caught:
        hub_examples(tmp_path, monkeypatch, [-1, -1])
    assert caught.value.code == "unknown-label"
    assert "row 1: the label -1" in caught.value.message


def test_a_label_outside_the_job_s_labels_is_reported_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, ["0", "1"] * 11 + ["2", "1"])
    made = context(tmp_path, asked(tmp_path, ONE_STEP, labels=["bad", "good"]))
    with pytest.raises(JobError) as caught:
        load_split(made, "train")
    assert caught.value.code == "unknown-label"
    assert "line 24: label '2'" in caught.value.message
