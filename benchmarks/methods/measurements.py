"""What was measured on published models after their runs, kept beside the runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """Predictions of a model on the validation split, in its order.

    Attributes:
        run_id: The run that published the model.
        classes: Number of the predicted class of each sentence.
        right: Whether it is the sentence's class.
    """

    run_id: str
    classes: Sequence[int]
    right: Sequence[bool]

    @property
    def share_right(self) -> float:
        return sum(self.right) / len(self.right)


@dataclass(frozen=True)
class Timing:
    """Time of an inference at batch 1 with one thread, beside the teacher's.

    Attributes:
        run_id: The run that published the model.
        latency_s: Median of its undisturbed calls, s.
        teacher_s: The same of the teacher, mean of just before and just after, s.
        undisturbed: Number of undisturbed calls, the teacher's included.
        calls: Number of all calls.
        processor_share: Least share of the time in which the thread had a processor.
        conditions: Machine, software and date.
    """

    run_id: str
    latency_s: float
    teacher_s: float
    undisturbed: int
    calls: int
    processor_share: float
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        return self.latency_s / self.teacher_s


class Measurements:
    """Files of a state folder that are only appended to; a line that was cut off is skipped."""

    def __init__(self, folder: Path) -> None:
        self._predictions_file = folder / "predictions.jsonl"
        self._timings_file = folder / "timings.jsonl"
        self._predictions = {
            p.run_id: p for p in (_prediction(line) for line in _lines(self._predictions_file))
        }
        self._timings: dict[str, list[Timing]] = {}
        for fields in _lines(self._timings_file):
            self._add(Timing(**fields))

    def predictions(self) -> Mapping[str, Prediction]:
        """Predictions by run."""
        return self._predictions

    def timings(self, run_id: str) -> list[Timing]:
        """Timings of the model of a run, oldest first."""
        return self._timings.get(run_id, [])

    def keep_prediction(self, prediction: Prediction) -> None:
        """Append predictions, a digit for each sentence."""
        self._predictions[prediction.run_id] = prediction
        _append(
            self._predictions_file,
            {
                "run_id": prediction.run_id,
                "classes": "".join(map(str, prediction.classes)),
                "right": "".join(str(int(right)) for right in prediction.right),
            },
        )

    def keep_timing(self, timing: Timing) -> None:
        """Append a timing."""
        self._add(timing)
        _append(self._timings_file, asdict(timing))

    def _add(self, timing: Timing) -> None:
        self._timings.setdefault(timing.run_id, []).append(timing)


def _prediction(fields: Mapping[str, Any]) -> Prediction:
    return Prediction(
        fields["run_id"],
        [int(digit) for digit in fields["classes"]],
        [digit == "1" for digit in fields["right"]],
    )


def _append(file: Path, fields: Mapping[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as out:
        out.write(json.dumps(dict(fields), sort_keys=True) + "\n")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    if not file.exists():
        return
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
