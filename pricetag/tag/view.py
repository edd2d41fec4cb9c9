"""A price tag to show: the typed document, and facts about its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property
from typing import Any

from pricetag.accounting.document.records import DeviceCount, Hardware, PriceTag, StageTag
from pricetag.tag.names import shown_name

LATE = "journal-came-late"
REPRICED = "repriced"


@dataclass(frozen=True)
class TagView:
    """View of one price tag for terminal, reports, pages and notebooks.

    Attributes:
        document: The price tag.
        cause: Why this version was issued, if known.
        newest: The highest of the run's versions, if known.
    """

    document: PriceTag
    cause: str | None = None
    newest: int | None = None

    @classmethod
    def read(cls, document: Mapping[str, Any], cause: str | None = None) -> TagView:
        """The view of a price tag in JSON form.

        Args:
            document: The JSON, which may hold its ``cause`` and ``newest_version`` as well.
            cause: Why this version was issued, if the JSON does not state it.

        Raises:
            InvalidDocument: If it does not have the form of a price tag.
        """
        return cls(
            PriceTag.from_dict(document),
            cause or document.get("cause"),
            document.get("newest_version"),
        )

    @property
    def name(self) -> str:
        """The run's name."""
        return self.document.name or "unnamed"

    @property
    def status(self) -> str:
        """How the run ended: the status of its last attempt."""
        attempts = self.document.attempts
        return attempts[-1].status if attempts else "unknown"

    @property
    def has_several_attempts(self) -> bool:
        """Whether the run was attempted more than once."""
        return len(self.document.attempts) > 1

    @property
    def hardware(self) -> str | None:
        """The accelerators (``8x NVIDIA H100``), or the processor where there were none.

        None where no device is known at all.
        """
        return hardware_text(self.document.hardware)

    @property
    def as_of(self) -> str | None:
        """The day or time (UTC) up to which the factors of a re-priced tag had been entered.

        None where the tag has the factors as they were when it was issued.
        """
        entered = self.document.provenance.as_of
        return as_of_text(entered) if entered else None

    @property
    def repriced(self) -> str | None:
        """How a version was re-priced; None if it was issued from measurements."""
        if self.as_of is not None:
            return f"re-priced with the factors known on {self.as_of}"
        if self.cause == REPRICED:
            return "re-priced with the factors known when it was issued"
        return None

    def version_text(self, newest: int | None = None) -> str:
        """The version, and why it is not the one issued at the end of the run.

        Args:
            newest: The highest of the run's versions, by default as the view knows it.
        """
        number = self.document.version
        newest = self.newest if newest is None else newest
        of = f" of {newest}" if newest is not None and newest != number else ""
        late = "with measurements that arrived late" if self.cause == LATE else None
        why = self.repriced or late
        return f"Version {number}{of}{f': {why}' if why else ''}"

    @cached_property
    def _stages_by_key(self) -> dict[str, StageTag]:
        by_key: dict[str, StageTag] = {}
        for stage in self.document.stages:
            by_key.setdefault(stage.key, stage)
        return by_key

    def stage_name(self, key: str) -> str:
        """The name of the stage with a key, or the key where there is no such stage."""
        stage = self._stages_by_key.get(key)
        return key if stage is None else shown_name(stage)

    @cached_property
    def _parents(self) -> dict[tuple[int, str], str | None]:
        return {(stage.attempt, stage.key): stage.parent for stage in self.document.stages}

    def stage_depth(self, stage: StageTag) -> int:
        """Nesting depth of a stage in its attempt; 0 at the top."""
        visited_keys: list[str] = []
        parent = stage.parent
        while parent is not None and parent not in visited_keys:
            visited_keys.append(parent)
            parent = self._parents.get((stage.attempt, parent))
        return len(visited_keys)


def as_of_text(entered: str) -> str:
    """The time of an as-of price tag: a day where it is the end of one, or a time in UTC."""
    moment = datetime.fromisoformat(entered).astimezone(UTC)
    if moment.time().replace(microsecond=0) == time(23, 59, 59):
        return moment.date().isoformat()
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def hardware_text(hardware: Hardware) -> str | None:
    """The accelerators (``8x NVIDIA H100``), or the processor without any; None if unknown."""
    for kinds in (("gpu",), ("cpu", "host")):
        named = [device for device in hardware.devices if device.kind in kinds]
        if named:
            return ", ".join(map(_counted, named))
    return None


def _counted(device: DeviceCount) -> str:
    name = device.name or "unnamed device"
    return name if device.count == 1 else f"{device.count}x {name}"
