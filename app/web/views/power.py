"""Power of devices as tiles, and of the lab as sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.schemas.overview import DevicePower, DeviceRun, PowerRead, PowerSum
from app.web.views.figures import FigureView, figure
from pricetag.tag.figures import percent, with_unit

ORDERS = {"node": "By node", "watts": "Most power first", "idle": "Idle first"}
USES = {"": "All", "used": "In use", "idle": "Idle", "silent": "Not reporting"}


@dataclass(frozen=True, slots=True)
class SumView:
    """Power of some devices.

    Attributes:
        total: All of it.
        charged: Part that runs have reserved.
        unallocated: The rest.
        devices: How many there are, and how many of them are silent.
    """

    total: FigureView
    charged: FigureView
    unallocated: FigureView
    devices: str


def power_sum(power: PowerSum) -> SumView:
    """The view of a sum."""
    devices = f"{power.devices} {'device' if power.devices == 1 else 'devices'}"
    if power.silent_devices:
        devices += f", {power.silent_devices} not reporting"
    return SumView(
        figure(power.power_w), figure(power.charged_w), figure(power.unallocated_w), devices
    )


@dataclass(frozen=True, slots=True)
class Tile:
    """A device of the wall.

    Attributes:
        node: Its node.
        component: ID of the component on the node.
        name: Product name.
        kind: Kind of component.
        power: Its power.
        limit_w: Power limit, in W; None if unknown.
        limit: The limit in words.
        share: Share that is reserved for runs, in words.
        is_used: Whether a run uses it.
        is_silent: Whether it has stopped reporting.
        runs: Running runs on it.
        hidden: Other running runs on it, in words.
    """

    node: str
    component: str
    name: str
    kind: str
    power: FigureView
    limit_w: int | None
    limit: str
    share: str
    is_used: bool
    is_silent: bool
    runs: Sequence[DeviceRun]
    hidden: str

    @property
    def watts(self) -> float:
        """For the order; unknown power is the least."""
        return -1.0 if self.power.value is None else self.power.value


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles of one node, or of all nodes with an empty name."""

    node: str | None
    tiles: Sequence[Tile]


@dataclass(frozen=True, slots=True)
class Wall:
    """The wall: tiles in groups, in the requested order.

    Attributes:
        groups: The tiles.
        total: Number of devices before filtering.
        shown: Number of devices on the wall.
    """

    groups: Sequence[Group]
    total: int
    shown: int


def wall(power: PowerRead, *, order: str, use: str, text: str) -> Wall:
    """The devices that the filters select.

    Args:
        power: All devices.
        order: A key of `ORDERS`.
        use: A key of `USES`.
        text: Text in the name of the device, its node, its runs or their users.
    """
    tiles = [_tile(device) for device in power.devices]
    shown = [tile for tile in tiles if _matches(tile, use, text.casefold())]
    if order == "node":
        nodes = sorted({tile.node for tile in shown})
        groups = [Group(node, [tile for tile in shown if tile.node == node]) for node in nodes]
    else:
        key = _most_power if order == "watts" else _idle_first
        groups = [Group(None, sorted(shown, key=key))] if shown else []
    return Wall(groups, len(tiles), len(shown))


def _most_power(tile: Tile) -> tuple[float, str, str]:
    return -tile.watts, tile.node, tile.component


def _idle_first(tile: Tile) -> tuple[bool, bool, float, str, str]:
    return tile.is_silent, tile.is_used, -tile.watts, tile.node, tile.component


def _matches(tile: Tile, use: str, text: str) -> bool:
    states = {"used": tile.is_used, "idle": not tile.is_used, "silent": tile.is_silent}
    if not states.get(use, True) or (use == "idle" and tile.is_silent):
        return False
    names = [tile.node, tile.name, tile.component]
    for run in tile.runs:
        names += [run.name, run.project, run.user or ""]
    return any(text in name.casefold() for name in names)


def _tile(power: DevicePower) -> Tile:
    device = power.device
    limit = "limit not stated" if device.limit_w is None else f"of {with_unit(device.limit_w, 'W')}"
    hidden = power.hidden_runs
    is_used = power.share_ratio > 0
    return Tile(
        node=device.node,
        component=device.component,
        name=device.name,
        kind=device.kind,
        power=figure(power.power_w),
        limit_w=device.limit_w,
        limit=limit,
        share=f"{percent(power.share_ratio)} charged" if is_used else "unallocated",
        is_used=is_used,
        is_silent=not device.reporting,
        runs=power.runs,
        hidden=f"{hidden} private {'run' if hidden == 1 else 'runs'}" if hidden else "",
    )
