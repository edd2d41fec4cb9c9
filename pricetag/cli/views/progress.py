"""Live progress of a run: its event stream as a panel or as plain lines."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pricetag.one_line import one_line
from pricetag.tag.figure import figure_of
from pricetag.tag.figures import duration_text, interval_text, with_unit
from pricetag.tag.status import status_text

if TYPE_CHECKING:
    from rich.console import RenderableType

FINAL_STATUSES = frozenset({"succeeded", "failed", "cancelled"})
MAX_SHOWN = 80
"""Maximum length of a name or a message in one row, in characters."""

_MARKS = {
    "running": ">",
    "succeeded": "+",
    "failed": "x",
    "cancelled": "-",
    "interrupted": "-",
    "lost": "-",
    "reused": "=",
    "waiting": " ",
}
STYLES = {
    "succeeded": "green",
    "reused": "green",
    "failed": "red",
    "cancelled": "yellow",
    "canceled": "yellow",
    "interrupted": "yellow",
    "lost": "yellow",
    "running": "cyan",
    "waiting": "dim",
}


@dataclass
class StageProgress:
    """The state of one stage."""

    key: str
    kind: str
    name: str
    status: str = "waiting"
    nested: bool = False
    done: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None
    eta_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None

    @property
    def ratio(self) -> float | None:
        """Share done, 0 to 1; None if unknown."""
        if self.status in ("succeeded", "reused"):
            return 1.0
        if self.done is None or not self.total:
            return None
        return min(1.0, max(0.0, self.done / self.total))


class RunProgress:
    """The live state of one run, from its events; for ``rich.live.Live``.

    Args:
        name: The run's name.
        stage_kinds: Kinds of the recipe's stages, to show those to come.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        stage_kinds: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.status = "queued"
        self.reason: str | None = None
        self.waiting: str | None = None
        self.power_w: float | None = None
        self.power_unknown: Mapping[str, Any] = {}
        self.energy_kwh: float | None = None
        self.projection: Mapping[str, Any] | None = None
        self._kinds = list(stage_kinds)
        self._stages: dict[str, StageProgress] = {}
        self._clock = clock
        # Events have their time in the attempt, so that a run joined late is shown correctly.
        self._last_t_s: float | None = None
        self._heard_s = 0.0

    @property
    def finished(self) -> bool:
        """Whether the run has ended, successfully or not."""
        return self.status in FINAL_STATUSES

    @property
    def elapsed_s(self) -> float | None:
        """Seconds since the attempt began; None before it did."""
        if self._last_t_s is None or self.finished:
            return self._last_t_s
        return self._last_t_s + self._clock() - self._heard_s

    @property
    def stages(self) -> list[StageProgress]:
        """Stages so far, in the order they began."""
        return list(self._stages.values())

    def update(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Processes one event of the run.

        Args:
            kind: ``status``, ``stage``, ``progress`` or ``waiting``; others change nothing
                (``power`` is that of whole devices, of which the run may have a part).
            payload: Content of the event.
        """
        t_s = _number(payload.get("t_s"))
        if t_s is not None:
            self._last_t_s, self._heard_s = t_s, self._clock()
        if kind == "status":
            self._take_status(payload)
        elif kind == "waiting":
            self.waiting = waiting_text(payload)
        elif kind == "stage":
            self._take_stage(payload)
        elif kind == "progress":
            self.projection = payload.get("projection") or self.projection
            self._take_progress(payload)
            self._take_power(payload)
            self.energy_kwh = _latest(payload.get("energy_kwh"), self.energy_kwh)

    def _take_status(self, payload: Mapping[str, Any]) -> None:
        status = str(payload.get("status") or self.status)
        if status == "running" and self.status != "running":
            # A new attempt starts its time and its stages again.
            self._last_t_s, self._heard_s = 0.0, self._clock()
            self._stages.clear()
            self.projection = None
        if status in FINAL_STATUSES and not self.finished:
            self._last_t_s = self.elapsed_s
        self.status = status
        if status != "queued":
            self.waiting = None
        reason = payload.get("reason") or payload.get("status_reason")
        message = reason.get("message") if isinstance(reason, Mapping) else None
        self.reason = None if message is None else str(message)

    def _take_stage(self, payload: Mapping[str, Any]) -> None:
        stage = self._stage(payload)
        stage.status = str(payload.get("status") or "running")
        if stage.status == "running":
            stage.started_s = self.elapsed_s if stage.started_s is None else stage.started_s
        else:
            stage.ended_s = self.elapsed_s

    def _take_progress(self, payload: Mapping[str, Any]) -> None:
        if payload.get("key") is None:
            return
        stage = self._stage(payload)
        if stage.status == "waiting":
            stage.status = "running"
            stage.started_s = self.elapsed_s
        stage.done, stage.total = _number(payload.get("done")), _number(payload.get("total"))
        stage.unit, stage.message = _text(payload.get("unit")), _text(payload.get("message"))
        stage.eta_s = _number(payload.get("eta_s"))

    def _take_power(self, payload: Mapping[str, Any]) -> None:
        """Forgets a power that is no longer current."""
        self.power_w = _number(payload.get("power_w"))
        unknown = payload.get("power_unknown")
        self.power_unknown = unknown if isinstance(unknown, Mapping) else {}

    def _stage(self, payload: Mapping[str, Any]) -> StageProgress:
        key = str(payload.get("key") or payload.get("stage") or "")
        stage = self._stages.get(key)
        if stage is None:
            kind = one_line(str(payload.get("kind") or key), MAX_SHOWN)
            name = one_line(str(payload.get("name") or kind), MAX_SHOWN)
            stage = StageProgress(key, kind, name)
            stage.nested = payload.get("parent_key") is not None
            self._stages[key] = stage
        return stage

    def line(self) -> str:
        """The state in one plain line, for pipes and log files."""
        return " | ".join([self.name, status_text(self.status), *self.details()])

    def details(self) -> list[str]:
        """What the current stage has done, the power, the energy, and why the run waits."""
        parts = []
        current = next((s for s in reversed(self.stages) if s.status == "running"), None)
        if current and not self.finished:
            parts.append(" ".join(filter(None, [current.name, _share(current), _eta(current)])))
        return [*parts, *self._meters(), *self._ahead(), *self._reasons()]

    def _reasons(self) -> list[str]:
        """Why the run waits or has ended."""
        return [text for text in (self.reason, self.waiting) if text]

    def _meters(self) -> list[str]:
        energy = [] if self.energy_kwh is None else [f"{with_unit(self.energy_kwh, 'kWh')} so far"]
        return ([] if self.finished else self._power()) + energy

    def _power(self) -> list[str]:
        """The current power, and the components missing from it."""
        missing = ", ".join(self.power_unknown)
        if self.power_w is not None:
            without = f" without {missing}" if missing else ""
            return [one_line(with_unit(self.power_w, "W") + without, MAX_SHOWN)]
        reasons = "; ".join(f"{id_}: {why}" for id_, why in self.power_unknown.items())
        return [one_line(f"power unknown ({reasons})", MAX_SHOWN)] if reasons else []

    def _ahead(self) -> list[str]:
        """The projected final energy and time, if known."""
        if self.projection is None or self.finished:
            return []
        try:
            figures = self.projection["quantities"]
            energy, time_s = figures["it_energy_kwh"], _number(figures["duration_s"]["value"])
            if _number(energy["value"]) is None:
                return []
        except (KeyError, TypeError):  # an event of another version of the server
            return []
        spread = interval_text(figure_of(energy))
        text = f"{with_unit(energy['value'], energy['unit'])} at the end ({spread})"
        return [text] + ([] if time_s is None else [f"{duration_text(time_s)} in total"])

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        elapsed_s = self.elapsed_s
        head = Text.assemble(
            (self.name, "bold"),
            "  ",
            (status_text(self.status), STYLES.get(self.status, "")),
            f"  {duration_text(elapsed_s)}" if elapsed_s is not None else "",
            overflow="ellipsis",
            no_wrap=True,
        )
        foot = Text("  " + "   ".join(self._meters() or ["no reading yet"]))
        parts: list[RenderableType] = [head, self._rows(), foot]
        if ahead := self._ahead():
            parts.append(Text("  " + "   ".join(ahead), style="dim"))
        parts += [Text("  " + text, style="yellow") for text in self._reasons()]
        return Group(*parts)

    def _rows(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 1))
        for _ in range(2):
            table.add_column(no_wrap=True, overflow="ellipsis", max_width=28)
        table.add_column(width=20)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for stage in self._shown():
            ratio = stage.ratio
            running = stage.status == "running"
            bar: RenderableType = ""
            if ratio is not None or running:
                bar = ProgressBar(
                    total=1.0,
                    completed=ratio or 0.0,
                    pulse=running and ratio is None,
                    width=20,
                    animation_time=self._clock(),
                )
            table.add_row(
                "  " + _MARKS.get(stage.status, " ") + ("  " if stage.nested else ""),
                Text(stage.name, style=STYLES.get(stage.status, "")),
                bar,
                _share(stage) if running else "",
                _eta(stage) if running else self._took(stage),
            )
        return table

    def _shown(self) -> list[StageProgress]:
        begun = self.stages
        top = sum(not stage.nested for stage in begun)
        return begun + [StageProgress(kind, kind, kind) for kind in self._kinds[top:]]

    def _took(self, stage: StageProgress) -> str:
        if stage.status == "reused":
            return "reused"
        if stage.started_s is None or stage.ended_s is None:
            return ""
        return duration_text(stage.ended_s - stage.started_s)


def waiting_text(holder: Mapping[str, Any]) -> str | None:
    """Why no live worker can take a run: of the run itself, or of its event ``waiting``."""
    reason = holder.get("waiting")
    if not isinstance(reason, Mapping):
        return None
    return f"waiting: {reason.get('message')} ({reason.get('hint')})"


def _latest(new: Any, old: float | None) -> float | None:
    number = _number(new)
    return old if number is None else number


def _number(value: Any) -> float | None:
    """A finite number; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond the range of a float
        return None


def _text(value: Any) -> str | None:
    return None if value is None else one_line(str(value), MAX_SHOWN)


def _share(stage: StageProgress) -> str:
    return "" if stage.ratio is None else f"{stage.ratio:.0%}"


def _eta(stage: StageProgress) -> str:
    return "" if stage.eta_s is None else f"{duration_text(stage.eta_s)} left"
