"""Power of the lab now, by node: charged to runs or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.db import Session
from app.schemas.common import Quantity
from app.schemas.overview import DevicePower, DeviceRun, LabPower, NodePower, PowerRead
from app.schemas.stream import DeviceState, LiveRun
from app.services.live import state
from app.services.live.access import audiences
from app.services.live.power import PowerBoard
from app.services.live.state import OwnedRun
from app.services.principals import Principal
from pricetag.accounting.quantity.quantity import SOURCES, Source, weakest

NOTHING = "no meter reports: no worker is live, or its meter cannot be read"
SILENT = "none of its devices reports"
NOT_REPORTING = "the device has stopped reporting"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Power of one device; None if it does not report."""

    state: DeviceState
    power_w: int | None
    share: float


def reserved_shares(runs: Sequence[LiveRun]) -> Mapping[tuple[str, str], float]:
    """The share of each component, by node and ID, that is reserved for running runs."""
    shares: dict[tuple[str, str], float] = defaultdict(float)
    for run in runs:
        if run.node is not None and run.status == "running":
            for component, ratio in zip(run.components, run.reserved_ratios, strict=True):
                shares[run.node, component] += ratio
    return {key: min(share, 1.0) for key, share in shares.items()}


async def read(session: Session, by: Principal, board: PowerBoard) -> PowerRead:
    """Power of every device, with the runs on it that the principal may see.

    Args:
        session: Database session.
        by: The caller.
        board: What workers have sent.
    """
    audience = (await audiences(session, [by]))[by]
    opened = await state.runs(session, None)
    shares = reserved_shares([owned.run for owned in opened])
    runs_on: dict[tuple[str, str], list[OwnedRun]] = defaultdict(list)
    for owned in opened:
        for component in owned.run.components:
            runs_on[owned.run.node or "", component].append(owned)
    present = board.present()
    devices = []
    for device, _, power_w in present:
        key = (device.node, device.component)
        seen = [each.run for each in runs_on[key] if audience and audience.sees(each.project_id)]
        devices.append(
            DevicePower(
                device=device,
                power_w=_of_device(device, power_w),
                share_ratio=shares.get(key, 0.0),
                runs=[DeviceRun.model_validate(run, from_attributes=True) for run in seen],
                hidden_runs=len(runs_on[key]) - len(seen),
            )
        )
    sums = _sums([_Drawn(device, power_w, 0.0) for device, _, power_w in present], NOTHING)
    return PowerRead(at=_newest(present), power_w=sums["power_w"], devices=devices)


def _of_device(device: DeviceState, power_w: int | None) -> Quantity:
    reason = NOT_REPORTING if power_w is None else None
    return _watts(power_w, _source([device.method]), reason)


def _newest(present: Sequence[tuple[DeviceState, int | None, int | None]]) -> datetime | None:
    times = [t0 for _, t0, _ in present if t0 is not None]
    return datetime.fromtimestamp(max(times) / 1000, UTC) if times else None


def lab_power(board: PowerBoard, runs: Sequence[LiveRun]) -> LabPower:
    """Power in the newest second of every device.

    Args:
        board: What workers have sent.
        runs: The running runs.
    """
    shares = reserved_shares(runs)
    present = board.present()
    drawn = [
        _Drawn(device, power_w, shares.get((device.node, device.component), 0.0))
        for device, _, power_w in present
    ]
    by_node: dict[str, list[_Drawn]] = defaultdict(list)
    for each in drawn:
        by_node[each.state.node].append(each)
    return LabPower(
        at=_newest(present),
        **_sums(drawn, NOTHING),
        nodes=[NodePower(node=node, **_sums(own, SILENT)) for node, own in by_node.items()],
    )


def _sums(drawn: Sequence[_Drawn], reason: str) -> dict[str, Any]:
    reporting = [each for each in drawn if each.power_w is not None]
    silent = len(drawn) - len(reporting)
    counts = {"devices": len(drawn), "silent_devices": silent}
    if not reporting:
        unknown = _watts(None, "estimated", reason)
        return {**dict.fromkeys(("power_w", "charged_w", "unallocated_w"), unknown), **counts}
    source = _source([each.state.method for each in reporting])
    total = sum(float(each.power_w or 0) for each in reporting)
    charged = sum((each.power_w or 0) * each.share for each in reporting)
    remark = f"without {silent} that stopped reporting" if silent else None
    return {
        "power_w": _watts(total, source, remark),
        "charged_w": _watts(charged, source, remark),
        "unallocated_w": _watts(total - charged, source, remark),
        **counts,
    }


def _watts(value: float | None, source: Source, reason: str | None) -> Quantity:
    """A power, with a remark; or an unknown one, with the reason."""
    is_known = value is not None
    return Quantity(
        value=value,
        low=None,
        high=None,
        unit="W",
        source=source if is_known else None,
        reason=reason,
    )


def _source(methods: Sequence[str | None]) -> Source:
    """The weakest evidence of some devices; a worker that does not state it counts as modelled."""
    return weakest(*(each if each in SOURCES else "modelled" for each in methods))
