from __future__ import annotations

import pytest

from workers.training.evaluate import agreement, correlations


def test_two_classes_written_out() -> None:
    labels, predicted = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0]
    found = agreement(predicted, labels, classes=2)
    # Two true positives, one false positive, one false negative, four true negatives.
    assert found["accuracy"] == 6 / 8
    assert found["f1"] == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert found["mcc"] == pytest.approx((2 * 4 - 1 * 1) / (3 * 3 * 5 * 5) ** 0.5)


def test_f1_of_more_classes_is_the_mean_over_them() -> None:
    found = agreement([0, 1, 2, 2], [0, 1, 1, 2], classes=3)
    assert found["f1"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)


def test_answering_always_the_same_has_no_correlation_to_the_truth() -> None:
    assert agreement([1, 1, 1], [0, 1, 1], classes=2)["mcc"] == 0.0


def test_scores_written_out() -> None:
    found = correlations([1.0, 2.0, 4.0], [10.0, 20.0, 30.0])
    assert found["pearson"] == pytest.approx(0.9819805)
    assert found["spearman"] == pytest.approx(1.0)


@pytest.mark.parametrize("answers", [[1.0, 1.0], [3.0]])
def test_a_constant_has_no_correlation_at_all(answers: list[float]) -> None:
    labels = [0.5, 1.0][: len(answers)]
    assert correlations(answers, labels) == {"pearson": None, "spearman": None}
