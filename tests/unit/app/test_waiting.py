"""Why a queued run waits, by the workers that are live."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.services.queueing.waiting import Offer, why

SMALL = Offer("lab", gpus=0, cpu_slots=1, allows_commands=False)
LARGE = Offer("lab", gpus=4, cpu_slots=0, allows_commands=False)
OPEN = Offer("lab", gpus=1, cpu_slots=1, allows_commands=True)
ELSEWHERE = Offer("default", gpus=8, cpu_slots=1, allows_commands=True)


@pytest.mark.parametrize(
    ("live", "gpus", "is_program"),
    [
        ([SMALL], 0, False),
        ([LARGE], 4, False),
        ([LARGE], 1, False),
        ([OPEN], 0, True),
        ([OPEN], 1, True),
        ([SMALL, LARGE, OPEN], 1, True),
    ],
)
def test_a_run_that_a_live_worker_can_take_does_not_wait(
    live: Sequence[Offer], gpus: int, is_program: bool
) -> None:
    assert why("lab", gpus, is_program=is_program, live=live) is None


@pytest.mark.parametrize(
    ("live", "gpus", "is_program", "code", "message", "hint"),
    [
        (
            *([], 0, False, "no-worker-in-pool", "no worker serves pool lab"),
            "no worker is live; start one with: pricetag worker --pool lab",
        ),
        (
            *([], 0, True, "no-worker-in-pool", "no worker serves pool lab"),
            "no worker is live; start one with: pricetag worker --pool lab --allow-commands",
        ),
        (
            *([ELSEWHERE], 0, False, "no-worker-in-pool", "no worker serves pool lab"),
            "pools with a live worker: default",
        ),
        (
            *([LARGE, OPEN, ELSEWHERE], 8, False, "no-worker-large-enough"),
            *("no worker of pool lab has 8 accelerators", "the largest has 4"),
        ),
        (
            *([SMALL], 1, True, "no-worker-large-enough"),
            *("no worker of pool lab has 1 accelerator", "its workers have none"),
        ),
        (
            *([LARGE], 0, False, "no-worker-large-enough"),
            "no worker of pool lab takes CPU-only runs",
            "start one with --cpu-slots 1, or ask for an accelerator",
        ),
        (
            *([SMALL, LARGE], 0, True, "no-worker-allows-commands"),
            *("no worker of pool lab allows commands", "start one with --allow-commands"),
        ),
        (
            # The one that allows commands is too small, the large one does not allow them.
            *([OPEN, LARGE, ELSEWHERE], 2, True, "no-worker-allows-commands"),
            "no worker of pool lab with 2 accelerators allows commands",
            "start one with --allow-commands, or use a pool where commands are allowed: default",
        ),
    ],
)
def test_a_run_that_no_live_worker_can_take_waits_for_a_reason(
    live: Sequence[Offer], gpus: int, is_program: bool, code: str, message: str, hint: str
) -> None:
    reason = why("lab", gpus, is_program=is_program, live=live)
    assert reason is not None
    assert (reason.code, reason.message, reason.hint) == (code, message, hint)
    assert reason.pools_served == sorted({worker.pool for worker in live})
