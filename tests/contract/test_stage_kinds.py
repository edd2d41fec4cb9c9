"""Every stage kind, and an added one, is trained, killed, resumed, published and measured.

So does every task beside classification, on two ranks.

The kind ``clip`` is three files in ``planted/``, as CONTRIBUTING describes; nothing else is
changed for it. All kinds walk in a copy of the checkout that has these three.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pricetag.recipes import REGISTRY, RecipeEntry
from pricetag.recipes.tasks import TASKS
from tests.support.tasks import TASKS as WALKED

ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).parent / "planted"
ADDED = "clip"
KINDS = [*REGISTRY, ADDED]
Life = dict[str, Any]
Events = list[dict[str, Any]]

by_kind = pytest.mark.parametrize("kind", KINDS)
on_ranks = pytest.mark.parametrize("ranks", [1, 2])


def copy_with_planted(folder: Path) -> Path:
    """A checkout with the added kind. Hard links: nothing is written into the files."""
    bytecode = shutil.ignore_patterns("__pycache__")  # others may be writing it
    for room in ("app", "models", "pricetag", "workers", "tests/support"):
        shutil.copytree(ROOT / room, folder / room, ignore=bytecode, copy_function=os.link)
    (folder / "tests" / "__init__.py").touch()
    files = [file for file in PLANTED.rglob("*.py")]
    assert len(files) == 3
    for file in files:
        place = folder / file.relative_to(PLANTED)
        assert not place.exists()
        shutil.copy(file, place)
    return folder


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("kinds")
    copy = copy_with_planted(folder / "checkout")
    (folder / "walk").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.kind_walk", str(folder / "walk")],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    (folder / "walk" / "stderr.txt").write_text(done.stderr)
    yield folder / "walk"
    shutil.rmtree(folder, ignore_errors=True)


def entry_of(kind: str) -> RecipeEntry[Any]:
    """The entry; of the added kind the training traits are all that matters here."""
    return REGISTRY["train" if kind == ADDED else kind]


def life_of(lives: Path, kind: str, ranks: int = 1) -> Life:
    place = lives / f"{kind}-{ranks}.json"
    if not place.exists():
        assert REGISTRY[kind].traits.runs_program
        pytest.fail("a program runs in one process: the walk should not ask for two ranks")
    life: Life = json.loads(place.read_text())
    return life


def ends(attempt: dict[str, Any]) -> list[tuple[str, str]]:
    """Top-level stages and how they ended, without nested stages."""
    inner = {e["kind"] for e in of(attempt, "stage_start") if e["parent"] is not None}
    return [(e["kind"], e["status"]) for e in of(attempt, "stage_end") if e["kind"] not in inner]


def of(attempt: dict[str, Any], type_: str) -> Events:
    return [event for event in attempt["events"] if event["type"] == type_]


def billed(attempt: dict[str, Any], kind: str) -> float:
    """The operations of a kind's stage."""
    (key,) = [event["key"] for event in of(attempt, "stage_start") if event["kind"] == kind]
    return float([event["dense"] for event in of(attempt, "flops") if event["key"] == key][-1])


def was_killed(attempt: dict[str, Any]) -> bool:
    """A rank that waits for one that was killed a moment earlier ends with its own error."""
    return -9 in attempt["codes"] and not {0, None} & set(attempt["codes"])


def expected(kind: str, status: str) -> list[tuple[str, str]]:
    steps = [(kind, status)]
    return [*steps, ("evaluate", status)] if entry_of(kind).traits.evaluates_after else steps


def walks_on(kind: str, ranks: int) -> bool:
    return ranks == 1 or not entry_of(kind).traits.runs_program


CASES = [(kind, ranks) for kind in KINDS for ranks in (1, 2) if walks_on(kind, ranks)]
CALLED = [f"{kind}-{ranks}" for kind, ranks in CASES]


@pytest.mark.parametrize(("kind", "ranks"), CASES, ids=CALLED)
def test_a_stage_runs_to_completion_and_is_evaluated(lives: Path, kind: str, ranks: int) -> None:
    whole = life_of(lives, kind, ranks)["whole"]
    assert whole["codes"] == [0] * ranks  # None would be a rank that waits forever
    assert ends(whole) == expected(kind, "succeeded")


@pytest.mark.parametrize("kind", [k for k in KINDS if entry_of(k).traits.trains])
@pytest.mark.parametrize("attempt", ["whole", "resumed"])
def test_two_ranks_decide_the_same_in_every_step(lives: Path, kind: str, attempt: str) -> None:
    """Masks, grafts and skipped layers, plug-ins' states, rounds, and the weights at the end."""
    first, second = life_of(lives, kind, 2)[attempt]["decided"]
    assert first == second
    assert [note["step"] for note in first if "step" in note]
    assert [note["weights"] for note in first if "weights" in note]


@pytest.mark.parametrize(("kind", "ranks"), CASES, ids=CALLED)
def test_a_stage_is_priced_once(lives: Path, kind: str, ranks: int) -> None:
    """Rank 0 alone reports, each stage once, whatever the number of ranks."""
    whole = life_of(lives, kind, ranks)["whole"]
    assert len(of(whole, "stage_start")) == len(of(whole, "stage_end"))
    assert len({event["key"] for event in of(whole, "stage_start")}) == len(of(whole, "stage_end"))
    alone = life_of(lives, kind, 1)["whole"]
    assert [e["kind"] for e in of(whole, "stage_start")] == [
        e["kind"] for e in of(alone, "stage_start")
    ]


@pytest.mark.parametrize(("kind", "ranks"), CASES, ids=CALLED)
def test_a_model_is_published_with_its_card(lives: Path, kind: str, ranks: int) -> None:
    whole = life_of(lives, kind, ranks)["whole"]
    cards = [event["card"] for event in of(whole, "artifact") if event["card"] is not None]
    traits = entry_of(kind).traits
    assert len(cards) == (1 if traits.makes_model else 0)
    for card in cards:
        assert card["kind"] == kind
        assert bool(card["quality"]) == traits.evaluates_after


@pytest.mark.parametrize(
    ("kind", "ranks"),
    [(k, r) for k, r in CASES if r == 1 or entry_of(k).traits.all_ranks],
)
def test_a_killed_stage_resumes_to_the_same_model(lives: Path, kind: str, ranks: int) -> None:
    life = life_of(lives, kind, ranks)
    assert was_killed(life["killed"])
    assert life["resumed"]["codes"] == [0] * ranks
    assert ends(life["resumed"]) == expected(kind, "succeeded")
    if ranks == 1:
        assert ends(life["repeated"]) == expected(kind, "reused")
    assert life["same_weights"]
    resumed = [e["text"] for e in of(life["resumed"], "log") if e["text"].startswith("resuming")]
    assert len(resumed) == (1 if entry_of(kind).traits.trains else 0)


@pytest.mark.parametrize("kind", [k for k in KINDS if entry_of(k).traits.makes_model])
def test_the_published_model_is_loaded_evaluated_and_measured(lives: Path, kind: str) -> None:
    life = life_of(lives, kind)
    reloaded = life["reloaded"]
    assert reloaded is not None
    assert reloaded["codes"] == [0]
    first = [("train", "succeeded")] if entry_of(kind).traits.headless else []
    assert ends(reloaded) == [*first, ("evaluate", "succeeded"), ("measure", "succeeded")]
    figures = {event["name"]: event["value"] for event in of(reloaded, "metric")}
    assert figures["parameters"] > 0
    (card,) = [event["card"] for event in of(life["whole"], "artifact") if event["card"]]
    for name, value in card["quality"].get("validation", {}).items():
        assert figures[name] == value, name


@by_kind
def test_seeds_are_in_the_provenance(lives: Path, kind: str) -> None:
    environments = of(life_of(lives, kind)["whole"], "environment")
    (seeds,) = [event["seeds"] for event in environments if "seeds" in event]
    assert seeds == ({"stages.0": 3} if entry_of(kind).traits.seeds else {})


@by_kind
def test_a_quote_includes_the_work_of_the_stage(lives: Path, kind: str) -> None:
    first, *automatic = life_of(lives, kind)["work"]
    traits = entry_of(kind).traits
    assert (first != [None, None, None]) == (traits.trains or traits.measures_model)
    assert len(automatic) == (1 if traits.evaluates_after else 0)


@by_kind
def test_training_stages_count_their_operations(lives: Path, kind: str) -> None:
    counts = of(life_of(lives, kind)["whole"], "flops")
    assert counts or not entry_of(kind).traits.trains
    assert all(count["dense"] > 0 for count in counts)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if entry_of(kind).traits.trains])
def test_the_operations_of_training_are_those_carried_out(lives: Path, kind: str) -> None:
    """Beside PyTorch's own counter, which watches the training.

    It does not see the fused attention of passes without gradients, a teacher's for example. The
    bill takes a backward pass for two forward ones, although none enters frozen weights.
    """
    whole = life_of(lives, kind)["whole"]
    (key,) = [event["key"] for event in of(whole, "stage_start") if event["kind"] == kind]
    seen = sum(e["operations"] for e in of(whole, "carried_out") if e["key"] == key)
    assert 0.93 * seen <= billed(whole, kind) <= 1.08 * seen


# ---- tasks ----


def task_life(lives: Path, task: str) -> Life:
    life: Life = json.loads((lives / f"task-{task}.json").read_text())
    return life


by_task = pytest.mark.parametrize("task", WALKED)


def test_every_task_is_tested() -> None:
    # The kinds walk on classification; regression differs from it in loss and metrics alone.
    assert set(WALKED) | {"classification", "regression"} == set(TASKS)


@by_task
def test_a_task_is_trained_and_published_on_two_ranks(lives: Path, task: str) -> None:
    whole = task_life(lives, task)["whole"]
    assert whole["codes"] == [0, 0]
    assert ends(whole) == expected("train", "succeeded")
    (card,) = [event["card"] for event in of(whole, "artifact") if event["card"] is not None]
    assert set(card["quality"]["validation"]) == set(TASKS[task].metrics)
    assert all(count["dense"] > 0 for count in of(whole, "flops"))


@by_task
def test_a_task_is_killed_and_resumed_to_the_same_model(lives: Path, task: str) -> None:
    life = task_life(lives, task)
    assert was_killed(life["killed"])
    assert life["resumed"]["codes"] == [0, 0]
    assert ends(life["resumed"]) == expected("train", "succeeded")
    logs = [e["text"] for e in of(life["resumed"], "log")]
    assert sum(text.startswith("resuming") for text in logs) == 1
    assert life["same_weights"]


@by_task
def test_a_published_model_of_a_task_is_evaluated_and_measured(lives: Path, task: str) -> None:
    life = task_life(lives, task)
    assert life["reloaded"]["codes"] == [0]
    assert ends(life["reloaded"]) == [("evaluate", "succeeded"), ("measure", "succeeded")]
    figures = {event["name"]: event["value"] for event in of(life["reloaded"], "metric")}
    (card,) = [event["card"] for event in of(life["whole"], "artifact") if event["card"]]
    for name, value in card["quality"]["validation"].items():
        assert figures[name] == value, name
