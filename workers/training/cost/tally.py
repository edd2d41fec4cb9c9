"""Operations of a training as they are done: told again and again, so that a crash loses little."""

from __future__ import annotations

import time

from workers.job.reporter import Reporter
from workers.training.cost.flops import FlopProfile

TELL_EVERY_S = 2.0
NOT_IN_FORWARD = ("the optimizer",)


class Tally:
    """What one stage of one attempt has done so far; the reporter keeps what it heard last.

    Work that an earlier attempt did is on that attempt's account, also what it lost since its
    last checkpoint: its energy was used too.

    Args:
        reporter: Hears of it.
        profile: Of the model that is trained; the method and the figures are the same one's.
    """

    def __init__(self, reporter: Reporter, profile: FlopProfile) -> None:
        self._reporter = reporter
        self.profile = profile
        self._next_s = time.monotonic() + TELL_EVERY_S
        self.dense = 0.0
        self.effective = 0.0

    def add(self, dense: float, effective: float) -> None:
        """Take in a batch; tells it when it is time."""
        self.dense += dense
        self.effective += effective
        if time.monotonic() >= self._next_s:
            self.tell()

    def tell(self) -> None:
        """Report the operations so far."""
        self._next_s = time.monotonic() + TELL_EVERY_S
        self._reporter.flops(
            dense=self.dense,
            effective=self.effective,
            low_bit=0.0,
            method=f"{self.profile.method}; forward and backward = 3 forward; "
            "padded tokens included",
            uncounted=[*self.profile.uncounted, *NOT_IN_FORWARD],
        )
