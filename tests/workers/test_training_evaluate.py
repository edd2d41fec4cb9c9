from __future__ import annotations

import pytest

from workers.training.metrics import Score, agreement, correlations

PAIR = ["not_equivalent", "equivalent"]


def test_metrics_of_two_classes_equal_the_written_out_formulas() -> None:
    labels, predicted = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0]
    scores = agreement(predicted, labels, PAIR)
    # Two true positives, one false positive, one false negative, four true negatives.
    assert scores["accuracy"] == Score(6 / 8)
    assert scores["f1"].value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert scores["f1"].of_class == "equivalent"
    assert scores["mcc"].value == pytest.approx((2 * 4 - 1 * 1) / (3 * 3 * 5 * 5) ** 0.5)


def test_f1_refers_to_the_positive_class_whatever_its_number() -> None:
    labels, predicted = [1, 1, 1, 0, 0, 0, 0, 0], [1, 1, 0, 1, 0, 0, 0, 0]
    swapped = agreement([1 - p for p in predicted], [1 - t for t in labels], PAIR[::-1], positive=0)
    assert swapped == agreement(predicted, labels, PAIR, positive=1)


def test_f1_of_more_classes_is_the_mean_over_those_that_occur() -> None:
    scores = agreement([0, 1, 2, 2], [0, 1, 1, 2], ["a", "b", "c", "never"])
    assert scores["f1"].value == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert scores["f1"].of_class == "macro average of 3 classes"


def test_f1_of_a_class_that_neither_occurs_nor_is_predicted_is_not_defined() -> None:
    scores = agreement([0, 0], [0, 0], PAIR)
    assert scores["accuracy"].value == 1
    assert scores["f1"].value is None
    assert scores["f1"].of_class == "equivalent"
    assert scores["f1"].reason == "no example has or is predicted to have the class 'equivalent'"


@pytest.mark.parametrize(("predicted", "labels"), [([0, 0], [0, 1]), ([1, 0], [0, 0])])
def test_f1_without_a_true_positive_is_zero_where_it_is_defined(
    predicted: list[int], labels: list[int]
) -> None:
    assert agreement(predicted, labels, PAIR)["f1"] == Score(0.0, "equivalent")


@pytest.mark.parametrize(
    ("predicted", "labels", "side"),
    [([1, 1, 1], [0, 1, 1], "predictions"), ([0, 1, 1], [1, 1, 1], "labels")],
)
def test_mcc_of_one_class_alone_is_not_defined(
    predicted: list[int], labels: list[int], side: str
) -> None:
    score = agreement(predicted, labels, PAIR)["mcc"]
    assert score == Score(None, None, f"all {side} are of one class")


def test_metrics_of_scores_equal_the_written_out_formulas() -> None:
    scores = correlations([1.0, 2.0, 4.0], [10.0, 20.0, 30.0])
    assert scores["pearson"].value == pytest.approx(0.9819805)
    assert scores["spearman"].value == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("predicted", "labels", "reason"),
    [
        ([1.0, 1.0], [0.5, 1.0], "all predicted scores are equal"),
        ([1.0, 2.0], [0.5, 0.5], "all labels are equal"),
        ([3.0], [0.5], "one example has no correlation"),
    ],
)
def test_a_constant_has_no_correlation_at_all(
    predicted: list[float], labels: list[float], reason: str
) -> None:
    score = Score(None, None, reason)
    assert correlations(predicted, labels) == {"pearson": score, "spearman": score}
