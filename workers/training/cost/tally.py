"""Operations of a training, reported while it runs, so that a crash loses little."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from workers.job.reporter import Reporter
from workers.training.cost.flops import FlopProfile

REPORT_EVERY_S = 2.0
NOT_IN_FORWARD = ("the optimizer",)


class Tally:
    """Operations of one stage in one attempt so far; the reporter keeps the last report.

    Operations of an earlier attempt are booked to that attempt, including those after its last
    checkpoint: their energy was used too.

    Args:
        reporter: The stage's reporter.
        profile: Operations of the model that is trained; method and figures are of this profile.
        uncounted: Further work of the stage whose operations are not counted.

    Attributes:
        stand_for: Number of processes whose batches are counted by those of the first one.
    """

    def __init__(
        self, reporter: Reporter, profile: FlopProfile, uncounted: Sequence[str] = ()
    ) -> None:
        self._reporter = reporter
        self._uncounted = list(uncounted)
        self.profile = profile
        self._next_s = time.monotonic() + REPORT_EVERY_S
        self.dense = 0.0
        self.effective = 0.0
        self.stand_for = 1

    def add(self, dense: float, effective: float) -> None:
        """Add the operations of a batch; reports them every two seconds."""
        self.dense += dense
        self.effective += effective
        if time.monotonic() >= self._next_s:
            self.report()

    def leave_uncounted(self, names: Iterable[str]) -> None:
        """Name further work whose operations are not counted."""
        self._uncounted = list(dict.fromkeys([*self._uncounted, *names]))

    def report(self) -> None:
        """Report the operations so far."""
        self._next_s = time.monotonic() + REPORT_EVERY_S
        others = f"; batches of process 0, times {self.stand_for}" if self.stand_for > 1 else ""
        self._reporter.flops(
            dense=self.dense,
            effective=self.effective,
            low_bit=0.0,
            method=f"{self.profile.method}; forward and backward = 3 forward; "
            f"padded tokens included{others}",
            uncounted=[*self.profile.uncounted, *NOT_IN_FORWARD, *self._uncounted],
        )
