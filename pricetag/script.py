"""Reports stages and figures from inside a script that Pricetag runs.

In a ``command`` run the worker sets ``PRICETAG_EVENTS``; ``stage`` and ``log`` then reach the
supervisor, which meters every stage separately. Outside a metered run both do nothing except for
one message, so that the same script runs anywhere. Since hours of work must not end because of
their meter, nothing here raises. A figure that cannot be stored is dropped, with one warning per
name, and once the supervisor is gone nothing more is reported.

If a script has several processes (torchrun, Slurm, MPI), only the first one reports: the run has
one meter, which counts each device once by host, UUID and time, so that a stage reported by every
rank would be counted once per rank. Calls in the other processes do nothing.

A forked process (``os.fork``, ``multiprocessing``, workers of a data loader) reports over its own
connection, which its first call opens. The parent of its stages is the stage in which it was
forked.
"""

from __future__ import annotations

import atexit
import math
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import ContextDecorator
from types import TracebackType
from typing import Any

from pricetag import reported, stage_context
from pricetag.events import EventChannel, EventPipeError, stopped_status
from pricetag.one_line import one_line

RANK_VARIABLES = (
    *("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_LOCALID"),
    *("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "PMI_RANK", "MPI_LOCALRANKID"),
)
"""Rank variables of launchers; in a job's first process, all that are set are 0."""

MAX_METHOD = 200
"""Maximum length of a method, in characters."""

_lock = threading.Lock()
_channel: EventChannel | None = None
_opened_by: int | None = None
_warned: set[str] = set()


def is_first_rank(environ: Mapping[str, str]) -> bool:
    """Whether this is the process of its job that reports.

    Args:
        environ: The process's environment.
    """
    return all(environ.get(name, "0").strip() in ("", "0") for name in RANK_VARIABLES)


def _after_fork() -> None:
    """Resets a forked child: the connection is the parent's, and a lock may never be released."""
    global _lock, _channel
    _lock = threading.Lock()
    if _channel is not None:
        _channel.abandon()
        _channel = None


os.register_at_fork(after_in_child=_after_fork)


def _current() -> EventChannel | None:
    """This process's own channel; None outside a metered run."""
    global _channel, _opened_by
    with _lock:
        if _opened_by != os.getpid():
            _opened_by = os.getpid()
            _channel = _open() if is_first_rank(os.environ) else None
        return _channel


def reconnect() -> None:
    """Closes this process's channel: the next event opens the one that is current then."""
    global _channel, _opened_by
    with _lock:
        channel, _channel, _opened_by = _channel, None, None
    if channel is not None:
        channel.close()


def run_name(name: object) -> str:
    """A name as text on one line, whatever it is."""
    return one_line(_name(name)) or "script"


def _open() -> EventChannel | None:
    try:
        channel = EventChannel.from_environment()
    except EventPipeError as error:
        sys.stderr.write(f"pricetag: {error}; stages and figures are not recorded\n")
        return None
    if channel is None:
        sys.stderr.write(
            "pricetag: not inside a metered run (PRICETAG_EVENTS is not set); "
            "stages and figures are not recorded\n"
        )
        return None
    atexit.register(channel.close)
    return channel


def _send(type_: str, **fields: Any) -> None:
    """Send one event of the caller's stage."""
    channel = _current()
    if channel is None:
        return
    stage = stage_context.current()
    try:
        channel.send(type_, key=None if stage is None else stage.key, **fields)
    except EventPipeError as error:
        _give_up(channel, error)


def _edge(channel: EventChannel, type_: str, **fields: Any) -> str | None:
    """Announce a stage edge; returns the stage's key, None without a response."""
    try:
        acknowledgement = channel.edge(type_, **fields)
    except EventPipeError as error:
        _give_up(channel, error)
        return None
    if "error" in acknowledgement:
        _warn(f"edge {acknowledgement['error']}", f"{type_}: {acknowledgement['error']}")
    key = acknowledgement.get("key")
    return None if key is None else str(key)


def _give_up(channel: EventChannel, error: EventPipeError) -> None:
    global _channel
    with _lock:
        if _channel is not channel:
            return
        _channel = None
    sys.stderr.write(f"pricetag: {error}; nothing is recorded from here on\n")


def log(
    *, step: int | None = None, split: str | None = None, quality: bool = False, **metrics: float
) -> None:
    """Reports figures of the running job: ``pricetag.log(loss=0.31, step=200)``.

    NaN and infinity are stored as null; a value that is not a number is dropped. A figure is
    stored without its step or split if those cannot be stored (a step must be a whole number
    within ± 2^63). The first time that this happens to a name, a line is written to the log.

    Args:
        step: Training step or epoch of the figures.
        split: Data split of the figures, for example ``validation``.
        quality: Whether they belong on the price tag (accuracy, F1, ...).
        **metrics: The figures by name: numbers, or values that ``float`` accepts.
    """
    if _current() is None:
        return
    fields = {"step": _step(step), "split": _text("split", split), "quality": _is_true(quality)}
    for name, value in metrics.items():
        figure = reported.number(value)
        if figure is None:
            _warn(name, f"{name}={_shown(value)} is not a number: dropped")
            continue
        finite = figure if math.isfinite(figure) else None
        if finite is None:
            _warn(name, f"{name} is {figure}{_at(fields['step'])}: kept as null")
        _send("metric", name=_name(name), value=finite, **fields)


def flops(
    dense: float,
    *,
    effective: float | None = None,
    low_bit: float | None = None,
    method: str = "told by the script",  # wording: ignore - part of price tags
) -> None:
    """Reports the FLOPs of the current stage: ``pricetag.flops(6 * n * tokens)``.

    A multiply-add counts as two; the figure includes all processes of the script. The last call
    in a stage counts, for the whole stage; a figure that is not a finite number of at least 0 is
    dropped, with a line in the log.

    Args:
        dense: FLOPs on all weights.
        effective: FLOPs on nonzero weights.
        low_bit: Operations on 8-bit numbers.
        method: How they were counted; shown on the price tag.
    """
    if _current() is None:
        return
    figures = {"dense": dense, "effective": effective, "low_bit": low_bit}
    counts = {name: _count(name, value) for name, value in figures.items()}
    if any(count is not None for count in counts.values()):
        how = _text("method", method) or "reported by the script"
        _send("flops", **counts, method=how[:MAX_METHOD], uncounted=[])


def progress(done: float, total: float | None = None, unit: str = "step") -> None:
    """Reports the progress of the current stage: ``pricetag.progress(3, 10, "epoch")``."""
    if _current() is None:
        return
    reached = reported.number(done)
    if reached is None or not math.isfinite(reached):
        _warn("progress", f"progress of {_shown(done)} is not a finite number: dropped")
        return
    goal = None if total is None else reported.number(total)
    end = goal if goal is not None and math.isfinite(goal) else None
    _send("progress", done=reached, total=end, unit=_text("unit", unit), message=None)


class Stage(ContextDecorator):
    """A block of a script that is metered as a stage; made by ``stage``, used in ``with``."""

    def __init__(self, name: str, kind: str) -> None:
        self._given = (name, kind)
        self._is_used = False
        self._entered: list[tuple[EventChannel, stage_context.OpenedStage] | None] = []

    def _recreate_cm(self) -> Stage:
        """As a decorator: each call of the function is its own stage."""
        self._is_used = True
        return Stage(*self._given)

    def __enter__(self) -> None:
        """Begins the stage."""
        self._is_used = True
        self._entered.append(self._begin())
        _open_stages[id(self)] = (self, os.getpid())

    def _begin(self) -> tuple[EventChannel, stage_context.OpenedStage] | None:
        channel = _current()
        if channel is None:
            return None
        name, kind = self._given
        around = stage_context.current()
        key = _edge(
            channel,
            "stage_start",
            kind=_text("kind", kind) or "stage",
            name=_name(name),
            parent=None if around is None else around.key,
        )
        return None if key is None else (channel, stage_context.enter(key))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the stage: it failed if an exception leaves the block, or was cut off."""
        if not self._entered:
            _warn("stage end", f"stage {_shown(self._given[0])} was left without being entered")
            return
        begun = self._entered.pop()
        if not self._entered:
            _open_stages.pop(id(self), None)
        if begun is None:
            return
        channel, entered = begun
        status = "succeeded"
        # A generator around the block that is closed early is not a failure.
        if kind is not None and not issubclass(kind, GeneratorExit):
            stop = channel.stop_reason
            status = "failed" if stop is None else stopped_status(stop)
        if entered.pid != os.getpid():  # a forked child that leaves the block does not end it
            return
        stage_context.leave(entered)
        if _current() is channel:
            _edge(channel, "stage_end", key=entered.key, status=status)

    def __del__(self) -> None:
        """Reports a stage that was created but never entered."""
        if not self._is_used and sys.stderr is not None and not sys.is_finalizing():
            name = _shown(self._given[0])
            _warn(
                f"stage {name}",
                f"stage({name}) was called and never entered, so nothing is metered: write "
                f"`with pricetag.stage({name}):`",
            )


_open_stages: dict[int, tuple[Stage, int]] = {}
"""The open stages, each with the process that entered it."""


def _report_open_stages() -> None:
    """At the end of the program: a stage without an end is charged for all that followed."""
    for opened, pid in list(_open_stages.values()):
        if pid == os.getpid():
            name = _shown(opened._given[0])
            sys.stderr.write(
                f"pricetag: stage {name} was entered and never left: what followed is charged to "
                f"it; write `with pricetag.stage({name}):`\n"
            )


atexit.register(_report_open_stages)


def stage(name: str, kind: str = "stage") -> Stage:
    """Meters the block as its own stage: ``with pricetag.stage("epoch 1"): ...``.

    Synchronize your device before the block ends: work that is still queued on a GPU would be
    charged to the next stage.

    Stages nest by thread and by asyncio task. A thread without its own stage is in the stage
    of the main thread. Stages of several threads or tasks may overlap: energy is then divided
    equally among concurrent stages, and the price tag flags them ``overlapping_stages``.

    A stage that is created without ``with``, or entered and never left, is reported on standard
    error. ``@pricetag.stage("load")`` makes a stage of each call of a function.

    Args:
        name: Name of the stage on the price tag.
        kind: Type of work.
    """
    return Stage(name, kind)


def _count(name: str, value: object) -> float | None:
    count = None if value is None else reported.number(value)
    if count is not None and math.isfinite(count) and count >= 0:
        return count
    if value is not None:
        _warn(f"flops.{name}", f"flops: {name}={_shown(value)} is not a count: dropped")
    return None


def _step(step: object) -> int | None:
    if step is None:
        return None
    number = reported.whole_number(step)
    if number is None:
        _warn("step", f"step={_shown(step)} is not a whole number within ± 2^63: dropped")
    return number


def _is_true(quality: object) -> bool:
    is_true = reported.truth(quality)
    if is_true is None:
        _warn("quality", f"quality={_shown(quality)} is neither true nor false: treated as false")
    return bool(is_true)


def _text(argument: str, value: object) -> str | None:
    if value is None:
        return None
    text = reported.text(value)
    if text is None:
        _warn(argument, f"{argument}={_shown(value)} is not a text: dropped")
    return text


def _name(name: object) -> str:
    """The name as text; without an obvious text its ``repr``, since a name is never dropped."""
    return reported.text(name) or reported.cut(_shown(name))


def _shown(value: object) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:  # a __repr__ that raises
        return f"a {type(value).__name__}"


def _at(step: object) -> str:
    return "" if step is None else f" at step {step}"


def _warn(name: str, text: str) -> None:
    with _lock:
        if name in _warned:
            return
        _warned.add(name)
    sys.stderr.write(f"pricetag: {text} (reported once per name)\n")
