"""Question answering: SQuAD's JSON and tables, windows, answers, and every stage in between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig

from pricetag.recipes import RecipeError, parse_recipe
from tests.support import tiny_models
from tests.support.questions import question_files, squad
from tests.support.recording import RecordingReporter
from tests.support.texts import SHALLOW
from tests.support.training import TRAIN_TOKENS, carry_out, context, job
from workers.job.pipeline import run
from workers.job.reporter import Interrupted, JobError
from workers.training.answers import Span, best_span, exact_match, f1, normalized
from workers.training.cost.flops import profile
from workers.training.data.questions import Answer, Questions
from workers.training.data.texts import load_split
from workers.training.data.windows import WindowData, cut
from workers.training.model import heads
from workers.training.tasks.question_answering import SpanLoss


def described(*stages: dict[str, Any], **changes: Any) -> dict[str, Any]:
    data = {"train": "data/train.json", "validation": "data/dev.json", **changes.pop("data", {})}
    model = {"config": SHALLOW}
    return {
        "task": "question_answering",
        "data": data,
        "model": model,
        "stages": list(stages or [TRAIN_TOKENS]),
        **changes,
    }


def values(reporter: RecordingReporter, name: str) -> list[float]:
    return [event["value"] for event in reporter.of("metric") if event["name"] == name]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RecordingReporter]:
    """A run of every kind of stage that works on the task."""
    root = question_files(tmp_path_factory.mktemp("qa"), unanswerable=True)
    stages = (
        {**TRAIN_TOKENS, "mid_evaluation": {"every_steps": 3}},
        {"kind": "prune", "sparsity": 0.5, "recovery_epochs": 0.2, "batch_size": 8},
        {"kind": "quantize"},
        {"kind": "evaluate", "splits": ["validation"]},
        {"kind": "measure", "min_seconds": 0.02, "batch_size": 2, "sequence_length": 16},
    )
    return root, carry_out(root, described(*stages, data={"doc_stride": 4}))


def test_every_kind_of_stage_works_on_question_answering(
    finished: tuple[Path, RecordingReporter],
) -> None:
    _, reporter = finished
    # Two during training; after train, prune and quantize; in measure.
    assert len(values(reporter, "exact_match")) == len(values(reporter, "f1")) == 6
    pairs = zip(values(reporter, "exact_match"), values(reporter, "f1"), strict=True)
    assert all(0 <= exact <= overlap <= 1 for exact, overlap in pairs)
    assert values(reporter, "encoder_sparsity")[0] == pytest.approx(0.5, abs=0.01)
    assert values(reporter, "inferences")[0] % 2 == 0
    assert all(event["status"] == "succeeded" for event in reporter.of("stage_end"))


def test_a_published_model_gives_the_same_answers_when_reloaded(
    finished: tuple[Path, RecordingReporter],
) -> None:
    root, reporter = finished
    stages = sorted(path.parent.name for path in (root / "artifacts").rglob("config.json"))
    assert len(stages) == 3
    for name, before in zip(stages, values(reporter, "f1")[2:5], strict=True):
        data = {"validation": "data/dev.json", "doc_stride": 4}
        evaluate = {"kind": "evaluate"}
        again = described(evaluate, model=f"artifacts/1/{name}") | {"data": data}
        reporter_again = carry_out(root, again, work_dir=root / f"again-{name}")
        assert values(reporter_again, "f1") == [before]


def test_a_model_learns_to_answer(tmp_path: Path) -> None:
    root = question_files(tmp_path)
    longer = {**TRAIN_TOKENS, "max_steps": 150, "learning_rate": 5e-3, "warmup_steps": 10}
    reporter = carry_out(root, described(longer))
    assert values(reporter, "f1")[-1] > 0.5


def test_an_interrupted_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    only_train = described({**TRAIN_TOKENS, "evaluate": False})
    whole, halves = question_files(tmp_path / "whole"), question_files(tmp_path / "halves")
    carry_out(whole, only_train)
    with pytest.raises(Interrupted):
        run(job(halves, only_train), RecordingReporter(stop_after=4))
    carry_out(halves, only_train, attempt=2)
    one, other = (
        (root / "work" / "stage-00" / "model" / "model.safetensors").read_bytes()
        for root in (whole, halves)
    )
    assert one == other


# ---- data ----


def load(root: Path, **data: Any) -> Questions:
    questions = load_split(context(root, described(data=data)), "train")
    assert isinstance(questions, Questions)
    return questions


def test_squad_and_a_flat_table_give_the_same_questions(tmp_path: Path) -> None:
    root = question_files(tmp_path)
    from_squad = load(root)
    rows = [
        {
            "question": question,
            "context": text,
            "answer": answers[0].text,
            "answer_start": answers[0].start,
        }
        for question, text, answers in zip(
            from_squad.texts, from_squad.pairs or [], from_squad.answers, strict=True
        )
    ]
    (root / "flat.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (root / "flat.json").write_text(json.dumps(rows))
    for name in ("flat.jsonl", "flat.json"):
        flat = load(root, train=name)
        assert flat.texts == from_squad.texts
        assert flat.pairs == from_squad.pairs
        assert flat.answers == from_squad.answers
    assert not from_squad.may_have_none


def test_an_empty_answer_in_a_table_means_no_answer(tmp_path: Path) -> None:
    text = "question,context,answer,answer_start\nwho?,Ada is.,,\nwho?,Ada is.,Ada,0\n"
    (tmp_path / "t.csv").write_text(text)
    questions = load(tmp_path, train="t.csv")
    assert questions.answers == ((), (Answer("Ada", 0),))
    assert questions.may_have_none


def broken(change: str) -> dict[str, Any]:
    whole = squad(2)
    asked = whole["data"][0]["paragraphs"][1]["qas"][0]
    if change == "no answers":
        asked["answers"] = []
    elif change == "no answers at all":
        del asked["answers"]
    elif change == "elsewhere":
        asked["answers"][0]["answer_start"] += 1
    elif change == "no place":
        asked["answers"][0]["answer_start"] = None
    elif change == "no context":
        whole["data"][0]["paragraphs"][1]["context"] = " "
    elif change == "no qas":
        del whole["data"][0]["paragraphs"][1]["qas"]
    elif change == "empty":
        whole["data"] = []
    return whole


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("no answers", "missing-answers", "question 2"),
        ("no answers at all", "missing-answers", "question 2"),
        ("elsewhere", "bad-cell", "is not in the context at"),
        ("no place", "bad-cell", "question 2"),
        ("no context", "bad-cell", "is empty"),
        ("no qas", "unreadable-data", "shape of SQuAD"),
        ("empty", "empty-data", "no rows"),
    ],
)
def test_broken_questions_are_rejected_before_the_first_stage(
    tmp_path: Path, change: str, code: str, words: str
) -> None:
    root = question_files(tmp_path)
    (root / "data" / "dev.json").write_text(json.dumps(broken(change)))
    reporter = RecordingReporter()
    with pytest.raises(JobError) as caught:
        run(job(root, described()), reporter)
    assert caught.value.code == code
    assert caught.value.field == "recipe.data.validation"
    assert words in caught.value.message
    assert reporter.of("stage_start") == []


def test_options_of_questions_are_rejected_for_other_tasks() -> None:
    other = described(task="masked_lm", data={"doc_stride": 8})
    with pytest.raises(RecipeError) as caught:
        parse_recipe(other)
    assert caught.value.field == "recipe.data.doc_stride"


# ---- windows ----


def questions(text: str, *answers: Answer, question: str = "a b") -> Questions:
    return Questions("train", [question], [text], [], answers=(answers,))


def test_a_long_context_is_cut_into_windows_that_overlap() -> None:
    text = "c d e f 1 2 3 4 5 6"
    asked = questions(text, Answer("6", text.index("6")))
    windows = cut(asked, tiny_models.tokenizer(), limit=10, stride=2)
    # Of 10 tokens 3 are special and 2 the question's: 5 of the context, 2 of them shared.
    parts = [[text[o[0] : o[1]] for o in window.offsets if o is not None] for window in windows]
    assert parts == [list("cdef1"), list("f1234"), list("34 56".replace(" ", ""))]
    assert all(len(window.input_ids) <= 10 for window in windows)
    data = WindowData(windows, asked)
    last = len(windows[2].input_ids) - 2
    assert list(data.labels) == [(0, 0), (0, 0), (last, last)]
    assert [data[n]["index"] for n in range(3)] == [0, 1, 2]


def test_an_answer_that_is_partly_in_a_window_is_not_in_it() -> None:
    text = "c d e f 1 2 3"
    asked = questions(text, Answer("f 1 2", text.index("f")))
    # c d e f 1, then f 1 2 3
    windows = cut(asked, tiny_models.tokenizer(), limit=10, stride=2)
    targets = [window.target(asked.answers[0]) for window in windows]
    assert targets == [(0, 0), (4, 6)]


def test_a_question_longer_than_half_a_window_is_cut() -> None:
    asked = questions("c d e f", question=" ".join("a" * 50))
    windows = cut(asked, tiny_models.tokenizer(), limit=13, stride=8)
    assert all(len(window.input_ids) <= 13 for window in windows)
    places = {o for window in windows for o in window.offsets if o is not None}
    assert places == {(0, 1), (2, 3), (4, 5), (6, 7)}


def test_a_question_without_an_answer_points_at_the_first_token() -> None:
    windows = cut(questions("c d"), tiny_models.tokenizer(), limit=16, stride=2)
    assert windows[0].target(()) == (0, 0)


# ---- answers ----


def test_the_best_span_goes_forwards_within_the_context() -> None:
    offsets = [None, (0, 1), (2, 3), (4, 5), None]
    first = torch.tensor([9.0, 0.0, 1.0, 3.0, 9.0])
    last = torch.tensor([9.0, 2.0, 1.5, 0.0, 9.0])
    # Backwards 3 + 2 and 3 + 1.5 are not allowed; 3 + 0 is the best that is left.
    assert best_span(first, last, offsets) == Span(3.0, 4, 5)
    assert best_span(first, last, [None] * 5) is None


def test_an_answer_has_a_limit_of_tokens() -> None:
    offsets: Any = [(n, n + 1) for n in range(40)]
    first, last = torch.zeros(40), torch.zeros(40)
    first[0], last[35], last[20] = 5.0, 5.0, 4.0
    assert best_span(first, last, offsets) == Span(9.0, 0, 21)


@pytest.mark.parametrize(
    ("predicted", "gold", "exact", "overlap"),
    [
        ("The Eiffel Tower!", ["eiffel tower"], 1.0, 1.0),
        ("in Paris , France", ["Paris", "Paris, France"], 0.0, 0.8),
        ("a dog", ["the cat"], 0.0, 0.0),
        ("dog dog", ["dog"], 0.0, 2 / 3),
        ("", [], 1.0, 1.0),
        ("Paris", [], 0.0, 0.0),
        ("", ["Paris"], 0.0, 0.0),
        ("the", ["a"], 1.0, 1.0),
    ],
)
def test_exact_match_and_f1_as_in_the_official_evaluation(
    predicted: str, gold: list[str], exact: float, overlap: float
) -> None:
    assert exact_match(predicted, gold) == exact
    assert f1(predicted, gold) == pytest.approx(overlap)


def test_articles_are_removed_as_words_and_not_as_parts_of_words() -> None:
    assert normalized(" The  theater, an a-ha  moment. ") == "theater aha moment"


def test_the_loss_is_the_mean_over_first_and_last_token_without_padding() -> None:
    class Outputs:
        start_logits = torch.tensor([[1.0, 2.0, 50.0]])
        end_logits = torch.tensor([[0.0, 0.0, 50.0]])

    class Forward:
        outputs = Outputs()
        inputs = {"attention_mask": torch.tensor([[1, 1, 0]])}  # noqa: RUF012
        labels = torch.tensor([[1, 0]])

    begin = float(torch.log1p(torch.exp(torch.tensor(-1.0))))
    expected = (begin + float(torch.log(torch.tensor(2.0)))) / 2
    forward: Any = Forward()
    assert float(SpanLoss().value(forward)) == pytest.approx(expected)


def test_operations_of_a_bert_span_model_equal_the_closed_form() -> None:
    config = BertConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    counted = profile(config, heads.QUESTION_ANSWERING)
    layer = 2 * 20 * (4 * 32 * 32 + 2 * 32 * 64) + 4 * 20 * 20 * 32
    assert counted.forward(20) == 2 * layer + 2 * 20 * 32 * 2
    assert counted.head == 2 * 32 * 2
