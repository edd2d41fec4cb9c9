"""Settles a local attempt: from the records of its journal to its price tag.

The price tag follows from the journal alone, which holds the site's factors too, so that anyone
can compute it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pricetag.accounting.bill.inputs import (
    AttemptInput,
    Device,
    Environment,
    FlopsCount,
    Measurement,
    PriceTagInputs,
    QualityInput,
    SecondOpinion,
    StageInput,
)
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.canonical import content_sha256
from pricetag.accounting.document.factors import read_factors
from pricetag.accounting.document.versions import ACCOUNTING_VERSION, REBUILT_VERSIONS
from pricetag.accounting.readings import stage_windows
from pricetag.accounting.readings.component import Component
from pricetag.accounting.readings.reading import Reading
from pricetag.accounting.readings.settled import WHOLE_ATTEMPT, settle
from pricetag.local.factors import factors_of
from pricetag.local.settings import LocalSite

SCHEMA = "pricetag-local/1"
KIND = "command"
"""Kind of local runs, as the server lists them after a push."""
HASH = "content_sha256"
STATUSES = {"succeeded": "succeeded", "cancelled": "cancelled"}
"""Status of a run by that of its only attempt; any other end means that the run failed."""


class CannotRebuild(ValueError):  # noqa: N818 - the name states the problem
    """A price tag was issued by another version of the accounting."""


class UnsettledError(ValueError):
    """A journal has no start or no end."""


@dataclass
class Stage:
    """A stage of the journal; ``end_s`` is None while it is open."""

    key: str
    index: int
    parent_key: str | None
    kind: str
    name: str
    start_s: float
    status: str = "running"
    end_s: float | None = None
    flags: tuple[str, ...] = ()
    flops: FlopsCount | None = None


@dataclass
class Recorded:
    """The content of one journal.

    Attributes:
        start: The ``start`` record; empty before it.
        end: The ``end`` record.
        readings: Readings by component.
        quality: Figures of quality by stage.
        last_s: Time of the last record.
    """

    start: Mapping[str, Any] = field(default_factory=dict)
    end: Mapping[str, Any] | None = None
    readings: dict[str, list[Reading]] = field(default_factory=dict)
    stages: dict[str, Stage] = field(default_factory=dict)
    quality: dict[str, list[QualityInput]] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    second_opinion: Mapping[str, Any] | None = None
    last_s: float = 0.0

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Recorded:
        """Reads the records of a journal, in order."""
        recorded = cls()
        for record in records:
            recorded.last_s = max(recorded.last_s, float(record["t_s"]))
            take = _TAKERS.get(record["type"])
            if take is not None:
                take(recorded, record)
        return recorded

    @property
    def opened_at(self) -> datetime:
        """Zero of the meter's clock."""
        return datetime.fromisoformat(self.start["at"]) - timedelta(seconds=self.start["t_s"])

    def _begin(self, record: Mapping[str, Any]) -> None:
        self.start = record

    def _read(self, record: Mapping[str, Any]) -> None:
        self.readings.setdefault(record["component"], []).append(Reading.from_record(record))

    def _open_stage(self, record: Mapping[str, Any]) -> None:
        names = ("key", "index", "parent_key", "kind", "name")
        stage = Stage(**{name: record[name] for name in names}, start_s=record["t_s"])
        self.stages.setdefault(stage.key, stage)

    def _close_stage(self, record: Mapping[str, Any]) -> None:
        stage = self.stages.get(record["key"])
        if stage is not None and stage.end_s is None:
            stage.end_s = max(record["t_s"], stage.start_s)
            stage.status = record["status"]
            stage.flags = tuple(record.get("flags", ()))

    def _measure(self, record: Mapping[str, Any]) -> None:
        if record.get("quality"):
            names = ("split", "unit", "of_class", "reason")
            given = {name: record.get(name) for name in names}
            item = QualityInput(record["name"], record["value"], **given)
            self.quality.setdefault(record.get("key") or WHOLE_ATTEMPT, []).append(item)

    def _count(self, record: Mapping[str, Any]) -> None:
        stage = self.stages.get(record["key"])
        if stage is not None:
            counts = {name: record.get(name) for name in ("dense", "effective", "low_bit")}
            uncounted = tuple(record.get("uncounted", ()))
            stage.flops = FlopsCount(**counts, method=record.get("method"), uncounted=uncounted)

    def _describe(self, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            if value is not None and name in Environment.__slots__:
                earlier = self.environment.get(name)
                if isinstance(earlier, dict) and isinstance(value, dict):
                    value = {**earlier, **value}
                self.environment[name] = value

    def _compare(self, record: Mapping[str, Any]) -> None:
        self.second_opinion = record

    def _finish(self, record: Mapping[str, Any]) -> None:
        self.end = self.end or record


_TAKERS = {
    "start": Recorded._begin,
    "reading": Recorded._read,
    "stage_start": Recorded._open_stage,
    "stage_end": Recorded._close_stage,
    "metric": Recorded._measure,
    "flops": Recorded._count,
    "environment": Recorded._describe,
    "second_opinion": Recorded._compare,
    "end": Recorded._finish,
}


def attempt_of(recorded: Recorded) -> AttemptInput:
    """The attempt with its energy, computed from its readings.

    Raises:
        UnsettledError: If the journal has no start or no end.
    """
    start, end = recorded.start, recorded.end
    if not start or end is None:
        raise UnsettledError(f"the journal has no {'start' if not start else 'end'}")
    end_s = float(end["t_s"])
    plan = stage_windows.plan(
        recorded.stages.values(),
        end_s=end_s,
        opened_at=recorded.opened_at,
        shares_overlaps=bool(start.get("shares_overlaps")),
    )
    components = tuple(Component.from_dict(component) for component in start["components"])
    windows: dict[str, list[Measurement]] = {}
    for component in components:
        readings = recorded.readings.get(component.id, [])
        for energy in settle(component, readings, plan, end_s, recorded.opened_at).windows:
            by_hour_j = energy.by_hour_j if energy.window.energy_j is not None else {}
            measurement = Measurement(component.id, energy.window, by_hour_j)
            windows.setdefault(energy.stage_key, []).append(measurement)
    return AttemptInput(
        number=int(start["attempt_number"]),
        status=end["status"],
        reason=end.get("reason"),
        started_at=recorded.opened_at.isoformat(),
        duration_s=end_s,
        components=components,
        measurements=tuple(windows.get(WHOLE_ATTEMPT, ())),
        stages=tuple(_stage(stage, windows, recorded, end) for stage in recorded.stages.values()),
        second_opinion=_second_opinion(recorded.second_opinion),
        devices=tuple(Device(d["name"], d.get("uuid")) for d in start["devices"]),
        node_name=start["node_name"],
        environment=Environment(**recorded.environment) if recorded.environment else None,
        site=start["factors"]["site"],
        unread_j=end.get("unread_j") or {},
    )


def settled(records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The run of a journal with its price tag, as a JSON document.

    Args:
        records: All records of the journal, in order.

    Raises:
        UnsettledError: If the journal has no start or no end.
        NotInCatalog: If the site's grid zone is unknown.
    """
    recorded = Recorded.of(records)
    attempt = attempt_of(recorded)
    site = LocalSite.from_record(recorded.start["factors"])
    run = recorded.start["run"]
    content = build_price_tag(
        PriceTagInputs(
            run_id=recorded.start["run_id"],
            name=run["name"],
            version=1,
            attempts=(attempt,),
            factors=factors_of(site, attempt, recorded.opened_at.year),
            accounting_version=ACCOUNTING_VERSION,
            origin=run["origin"],
            measured_by=run.get("measured_by"),
        )
    ).as_dict()
    return {
        "schema": SCHEMA,
        "run": run_record(recorded),
        "price_tag": {**content, HASH: content_sha256(content)},
    }


def rebuilt(records: Iterable[Mapping[str, Any]], tag: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a price tag, computed again from its journal and its own factors.

    Args:
        records: All records of the journal, in order.
        tag: The price tag.

    Raises:
        CannotRebuild: If this version of the accounting does not rebuild it.
        UnsettledError: If the journal has no start or no end.
    """
    provenance = tag["provenance"]
    if provenance["accounting_version"] not in REBUILT_VERSIONS:
        raise CannotRebuild(
            f"it was issued by version {provenance['accounting_version']} of the accounting; this "
            f"is version {ACCOUNTING_VERSION}, whose figures may differ"
        )
    recorded = Recorded.of(records)
    attempt = attempt_of(recorded)  # first: it states which end is missing
    inputs = PriceTagInputs(
        run_id=recorded.start["run_id"],
        name=recorded.start["run"]["name"],
        version=tag["version"],
        attempts=(attempt,),
        factors=read_factors(provenance),
        accounting_version=provenance["accounting_version"],
        seed=provenance["interval_seed"],
        origin=provenance.get("origin"),
        measured_by=provenance.get("measured_by"),
    )
    return build_price_tag(inputs).as_dict()


def run_record(recorded: Recorded) -> dict[str, Any]:
    """The run in the form in which the server returns runs, as far as it has the figures."""
    start, end = recorded.start, recorded.end
    run = start["run"]
    started_at = recorded.opened_at
    ended = None if end is None else started_at + timedelta(seconds=end["t_s"])
    return {
        "id": start["run_id"],
        "name": run["name"],
        "status": "running" if end is None else STATUSES.get(end["status"], "failed"),
        "status_reason": None if end is None else end.get("reason"),
        "origin": run["origin"],
        "measured_by": run.get("measured_by"),
        "project": run["project"],
        "experiment": run["experiment"],
        "tags": run["tags"],
        "kind": KIND,
        "command": run["command"],
        "created_at": started_at.isoformat(),
        "started_at": started_at.isoformat(),
        "finished_at": None if ended is None else ended.isoformat(),
    }


def _stage(
    stage: Stage,
    windows: Mapping[str, list[Measurement]],
    recorded: Recorded,
    end: Mapping[str, Any],
) -> StageInput:
    """A stage; one without its own end ended with its attempt, like its energy."""
    is_open = stage.end_s is None
    return StageInput(
        key=stage.key,
        index=stage.index,
        parent_key=stage.parent_key,
        kind=stage.kind,
        name=stage.name,
        status=end["status"] if is_open else stage.status,
        start_s=stage.start_s,
        end_s=float(end["t_s"]) if is_open else stage.end_s,
        measurements=tuple(windows.get(stage.key, ())),
        flops=stage.flops,
        quality=tuple(recorded.quality.get(stage.key, ())),
    )


def _second_opinion(record: Mapping[str, Any] | None) -> SecondOpinion | None:
    if record is None:
        return None
    fields: dict[str, Any] = {name: record.get(name) for name in SecondOpinion.__slots__}
    return SecondOpinion(**fields)
