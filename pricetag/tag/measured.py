"""Who measured a run, and how far its readings can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pricetag.tag.view import TagView

QUEUE = "queue"
LOCAL = "local"
SLURM = "slurm"
TRUST: Mapping[str, str] = {
    QUEUE: "measured by a worker of the lab",
    LOCAL: "measured by Pricetag's meter on its user's machine, outside the queue: nobody else "
    "has checked the readings or the names of devices",
    SLURM: "measured in a Slurm job, outside the queue: nobody else has checked the readings or "
    "the names of devices",
    "codecarbon": "reported by a CodeCarbon client: that tool's estimates and names of devices, "
    "not measured by Pricetag",
    "import": "imported from a file of another tool: its figures and names of devices, "
    "not measured by Pricetag",
}
"""What each origin of a run means for its figures."""

ORIGINS = tuple(TRUST)
OTHER_TOOLS = frozenset({"codecarbon", "import"})
"""Origins whose figures are those of another tool: no meter of Pricetag was there."""


def origin_of(tag: TagView) -> str:
    """The origin of a price tag; those of the queue do not state one."""
    return tag.document.provenance.origin or QUEUE


def is_metered(tag: TagView) -> bool:
    """Whether Pricetag's own meter measured a run, wherever that was."""
    return origin_of(tag) not in OTHER_TOOLS


def sender_text(measured_by: str) -> str:
    """The program that measured a run, as the sender of the run states it: any text."""
    return f"according to its sender, {measured_by}"


def measured_text(origin: str, measured_by: str | None) -> str:
    """The program, as the sender states it, and the trust in its readings, in words."""
    trust = TRUST.get(origin, f"origin {origin}")
    return f"{sender_text(measured_by)}; {trust}" if measured_by else trust


def reported_text(figures: Iterable[tuple[str, float | None, str | None]]) -> str | None:
    """The figures that another tool reported; None without any.

    Args:
        figures: Name, value and unit of each.
    """
    known = [(name, value, unit) for name, value, unit in figures if value is not None]
    texts = [
        f"{name} {value:.6g} {unit if unit not in (None, '1') else ''}".strip()
        for name, value, unit in known
    ]
    return ", ".join(texts) or None


NOT_THESE = (
    "those of the price tag are made from its energies without its PUE, and with your factors"
)
"""How the figures of the price tag differ from those that another tool reported."""


def measured_remark(tag: TagView) -> str | None:
    """Who measured a run, if no worker did."""
    origin = origin_of(tag)
    if origin == QUEUE:
        return None
    return f"Origin {origin}: {measured_text(origin, tag.document.provenance.measured_by)}"
