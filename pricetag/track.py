"""Reporting from inside a script that Pricetag runs: stages and figures.

In a ``command`` run the worker sets ``PRICETAG_EVENTS``; ``stage`` and ``log`` then reach
the supervisor, which meters every stage by itself. Outside a metered run both do nothing
but say so once, so that the same script runs anywhere. Hours of work must not end through
their meter: a figure that cannot be kept is told, once for each name, and never raises.

Of several processes of one script (torchrun, Slurm, MPI) the first one reports: there is one
meter for the run, which counts each device once by host, UUID and time, so that a stage that
every rank announced would be counted once a rank. The others' calls do nothing.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import SupportsFloat, SupportsIndex

from pricetag.events import EventChannel, stopped_status

RANK_VARIABLES = (
    *("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_LOCALID"),
    *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK", "MPI_LOCALRANKID"),
)
"""What launchers set; in the first process of a job each that is set is 0."""

MAX_METHOD = 200
"""Characters of a method that are kept."""

_lock = threading.Lock()
_channel: EventChannel | None = None
_opened = False
_told: set[str] = set()


def is_first_rank(environ: Mapping[str, str]) -> bool:
    """Whether this is the one process of its job that reports.

    Args:
        environ: The process's environment.
    """
    return all(environ.get(name, "0").strip() in ("", "0") for name in RANK_VARIABLES)


def _current() -> EventChannel | None:
    global _channel, _opened
    with _lock:
        if not _opened:
            _opened = True
            if not is_first_rank(os.environ):
                return None
            _channel = EventChannel.from_environment()
            if _channel is None:
                sys.stderr.write(
                    "pricetag: not inside a metered run (PRICETAG_EVENTS is not set); "
                    "stages and figures are not recorded\n"
                )
            else:
                atexit.register(_channel.close)
        return _channel


def log(
    *, step: int | None = None, split: str | None = None, quality: bool = False, **metrics: float
) -> None:
    """Reports figures of the running job: ``pricetag.log(loss=0.31, step=200)``.

    NaN and infinity are kept as null, what is no number is left out; the first time that a
    name bears one, a line in the log says so.

    Args:
        step: Training step or epoch the figures belong to.
        split: Data split they were computed on, for example ``validation``.
        quality: Whether they belong on the price tag (accuracy, F1, ...).
        **metrics: The figures by name: numbers, or what ``float`` makes one of.

    Raises:
        EventPipeError: If the supervisor is gone.
    """
    channel = _current()
    if channel is None:
        return
    told_step = None if step is None else _step(step)
    for name, given in metrics.items():
        value = _number(given)
        if value is None:
            _warn(name, f"{name}={given!r:.80} is no number: left out")
            continue
        known = value if math.isfinite(value) else None
        if known is None:
            _warn(name, f"{name} is {value}{_at(told_step)}: kept as null")
        channel.send("metric", name=name, value=known, step=told_step, split=split, quality=quality)


def flops(
    dense: float,
    *,
    effective: float | None = None,
    low_bit: float | None = None,
    method: str = "told by the script",
) -> None:
    """Reports the operations of the stage it is called in: ``pricetag.flops(6 * n * tokens)``.

    Two for a multiply-add, of all processes of the script together. The last call in a stage
    counts, for all that lies in it; a figure that is no finite number from 0 is left out, and a
    line in the log says so.

    Args:
        dense: On all weights.
        effective: On those that are not zero.
        low_bit: On 8-bit numbers.
        method: How they were had, in words; it stands on the price tag.

    Raises:
        EventPipeError: If the supervisor is gone.
    """
    channel = _current()
    if channel is None:
        return
    given = {"dense": dense, "effective": effective, "low_bit": low_bit}
    counts = {name: _count(name, value) for name, value in given.items()}
    if any(count is not None for count in counts.values()):
        channel.send("flops", **counts, method=str(method)[:MAX_METHOD], uncounted=[])


def _count(name: str, given: object) -> float | None:
    count = None if given is None else _number(given)
    if count is not None and math.isfinite(count) and count >= 0:
        return count
    if given is not None:
        _warn(f"flops.{name}", f"flops: {name}={given!r:.80} is no count: left out")
    return None


def progress(done: float, total: float | None = None, unit: str = "step") -> None:
    """Reports how far the running stage is: ``pricetag.progress(3, 10, "epoch")``.

    Raises:
        EventPipeError: If the supervisor is gone.
    """
    channel = _current()
    if channel is None:
        return
    reached = _number(done)
    if reached is None or not math.isfinite(reached):
        _warn("progress", f"progress of {done!r:.80} is no finite number: left out")
        return
    goal = None if total is None else _number(total)
    known = goal if goal is not None and math.isfinite(goal) else None
    channel.send("progress", done=reached, total=known, unit=unit, message=None)


def _number(given: object) -> float | None:
    """``given`` as a number (also of numpy or torch), None where it is none."""
    if isinstance(given, bool) or not isinstance(given, SupportsFloat | SupportsIndex):
        return None
    try:
        return float(given)
    except OverflowError:  # an integer past what a float holds
        return math.inf
    except (TypeError, ValueError, RuntimeError):  # an array of several numbers, say
        return None


def _step(step: object) -> int | None:
    number = _number(step)
    if number is None or not number.is_integer():
        _warn("step", f"step={step!r:.80} is no whole number: left out")
        return None
    return int(number)


def _at(step: int | None) -> str:
    return "" if step is None else f" at step {step}"


def _warn(name: str, text: str) -> None:
    with _lock:
        if name in _told:
            return
        _told.add(name)
    sys.stderr.write(f"pricetag: {text} (told once for each name)\n")


@contextmanager
def stage(name: str, kind: str = "stage") -> Iterator[None]:
    """Meters the block as a stage of its own: ``with pricetag.stage("epoch 1"): ...``.

    Synchronise your device before the block ends: work still queued on a GPU would be
    charged to what follows.

    Args:
        name: What the stage is called on the price tag.
        kind: What sort of work it is.

    Raises:
        EventPipeError: If the supervisor is gone.
    """
    channel = _current()
    if channel is None:
        yield
        return
    key = channel.edge("stage_start", kind=kind, name=name)["key"]
    status = "succeeded"
    try:
        yield
    except BaseException:
        stop = channel.stop_reason
        status = "failed" if stop is None else stopped_status(stop)
        raise
    finally:
        channel.edge("stage_end", key=key, status=status)
