import pytest

from pricetag.attempt.charged import Figures
from pricetag.attempt.progress import ProgressBoard, eta_s
from pricetag.attempt.stages import StageBook


def test_stages_are_numbered_in_order_and_inside_each_other() -> None:
    book = StageBook()
    first = book.open(parent_key=None, recipe_index=0, kind="train", name="train", t_s=1.0)
    inner = book.open(parent_key=first.key, recipe_index=None, kind="stage", name="e1", t_s=2.0)
    assert (first.key, inner.key) == ("0", "0.0")
    assert book.innermost() == inner
    assert book.open_keys() == ["0.0", "0"]
    book.close(inner.key)
    assert book.started_s() == 1.0
    book.close(first.key)
    second = book.open(parent_key=None, recipe_index=1, kind="prune", name="prune", t_s=3.0)
    assert (second.key, second.index) == ("1", 2)
    assert book.innermost() == second


def test_progress_has_the_figures_of_the_meter() -> None:
    book = StageBook()
    stage = book.open(parent_key=None, recipe_index=0, kind="train", name="train", t_s=10.0)
    board = ProgressBoard()
    board.update("0", {"done": 25, "total": 100, "unit": "step", "message": None})
    record = board.record(20.0, stage, book.started_s(), Figures(150.0, 7.2e6, {}))
    assert record["eta_s"] == pytest.approx(30.0)
    assert record["energy_kwh"] == pytest.approx(2.0)
    assert (record["key"], record["kind"], record["power_w"]) == ("0", "train", 150.0)


def test_unknown_energy_stays_unknown() -> None:
    figures = Figures(None, None, {"cpu": "it cannot be read"})
    record = ProgressBoard().record(1.0, None, None, figures)
    assert (record["energy_kwh"], record["power_w"], record["eta_s"]) == (None, None, None)
    assert record["power_unknown"] == {"cpu": "it cannot be read"}


@pytest.mark.parametrize(
    ("done", "total", "elapsed", "expected"),
    [(0, 10, 5.0, None), (5, None, 5.0, None), (5, 10, 5.0, 5.0), (11, 10, 5.0, None)],
)
def test_the_remaining_time_is_estimated_from_the_pace(
    done: float, total: float | None, elapsed: float, expected: float | None
) -> None:
    assert eta_s(done, total, elapsed) == expected
