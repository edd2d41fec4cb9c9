"""The queue of each pool on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pricetag.cli.views.tables import ListTable
from pricetag.tag.figures import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

HEADS = (">#", "Run", "~Name", "~Project", ">GPUs", "Starts about (UTC)", "Waits for")
WORDS = {
    "no-worker-in-pool": "a worker",
    "no-worker-large-enough": "a worker",
    "no-worker-allows-commands": "a worker",
    "budget-exceeded": "a budget",
    "not-before": "its time",
    "next-attempt": "its time",
    "places-taken": "a slot",
    "scattered": "slots",
    "starting": "its worker",
}


def queue_view(queue: Mapping[str, Any], pool: str | None = None) -> RenderableType:
    """Each pool: use, waiting runs, their reasons and expected starts.

    Args:
        queue: As returned by the API.
        pool: Name of the requested pool; None for all pools.
    """
    from rich.console import Group
    from rich.text import Text

    if not queue["pools"]:
        where = "" if pool is None else f" in pool '{pool}'"
        option = "" if pool is None else f" --pool {pool}"
        return Text(
            f"No worker is live{where}, and no run waits. Start a worker with: "
            f"pricetag worker{option}"
        )
    parts: list[RenderableType] = []
    for number, state in enumerate(queue["pools"]):
        if number:
            parts.append(Text(""))
        parts.append(Text.assemble((f"Pool {state['pool']}", "bold"), "  ", ", ".join(_use(state))))
        parts += _waiting(state)
    return Group(*parts)


def _use(pool: Mapping[str, Any]) -> Iterator[str]:
    late = pool.get("workers_late")  # an older server does not state it
    yield counted(pool["workers"], "worker") + (f" ({late} late)" if late else "")
    if pool["gpus"]:
        yield f"{pool['gpus_busy']} of {counted(pool['gpus'], 'accelerator')} in use"
    if pool["cpu_slots"]:
        yield f"{pool['cpu_slots_busy']} of {counted(pool['cpu_slots'], 'CPU slot')} in use"
    yield f"{pool['running_count']} running, {pool['waiting_count']} waiting"
    yield f"{pool['finished_last_hour']} finished in the last hour"


def _waiting(pool: Mapping[str, Any]) -> Iterator[RenderableType]:
    from rich.text import Text

    if pool["waiting"]:
        yield ListTable(HEADS, [_row(run) for run in pool["waiting"]])
    for message, positions in _reasons(pool["waiting"]).items():
        yield Text(f"{', '.join(positions)}: {message}", style="yellow")
    shown = len(pool["waiting"]) + pool["waiting_hidden"]
    if pool["waiting_hidden"]:
        yield Text(f"{counted(pool['waiting_hidden'], 'run')} hidden from you", style="dim")
    if pool["waiting_count"] > shown:
        more = pool["waiting_count"] - shown
        yield Text(f"{more} more: --limit shows up to 200 of a pool", style="dim")


def _reasons(waiting: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The reasons that need action, each with the positions of its runs."""
    positions: dict[str, list[str]] = {}
    for run in waiting:
        reason = run["reason"]
        if reason["hint"]:
            message = f"{reason['message']} ({reason['hint']})"
            positions.setdefault(message, []).append(str(run["position"]))
    return positions


def _row(run: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(run["position"]),
        run["run_id"][:8],
        run["name"],
        run["project"],
        str(run["gpus"]),
        _start(run["expected_start"]),
        WORDS[run["reason"]["code"]],
    )


def _start(start: Mapping[str, Any]) -> str:
    if start["at"] is None:
        return "n/a"
    low, at, high = (_minute(start[name]) for name in ("low", "at", "high"))
    if low == high:
        return at
    return f"{at} ({low[-5:]} to {high[-5:]})" if low[:10] == high[:10] else f"{low} to {high}"


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")
