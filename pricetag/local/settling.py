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
from pricetag.attempt.together import together
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


def attempt_of(recorded: Recorded, number: int | None = None) -> AttemptInput:
    """The attempt with its energy, computed from its readings.

    Args:
        recorded: Its journal.
        number: Its number among those of its run; by default that of the journal.

    Raises:
        UnsettledError: If the journal has no start or no end.
    """
    _require_settled(recorded)
    start, end = recorded.start, recorded.end
    assert end is not None
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
        number=int(start["attempt_number"]) if number is None else number,
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


def settled(*journals: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The run of one or more journals with its price tag, as a JSON document.

    Args:
        *journals: All records of each journal, in order; those of the nodes and restarts of a job
            are attempts of one run.

    Raises:
        UnsettledError: If a journal has no start or no end.
        NotInCatalog: If the site's grid zone is unknown.
    """
    listed, attempts = _attempts(journals)
    recorded = listed[0]
    site = LocalSite.from_record(recorded.start["factors"])
    run = recorded.start["run"]
    content = build_price_tag(
        PriceTagInputs(
            run_id=recorded.start["run_id"],
            name=run["name"],
            version=1,
            attempts=attempts,
            factors=factors_of(site, attempts, listed[-1].opened_at.year),
            accounting_version=ACCOUNTING_VERSION,
            origin=run["origin"],
            measured_by=run.get("measured_by"),
        )
    ).as_dict()
    return {
        "schema": SCHEMA,
        "run": run_record(*listed),
        "price_tag": {**content, HASH: content_sha256(content)},
    }


def rebuilt(tag: Mapping[str, Any], *journals: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The content of a price tag, computed again from its journals and its own factors.

    Args:
        tag: The price tag.
        *journals: All records of each journal, in order.

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
    listed, attempts = _attempts(journals)
    recorded = listed[0]
    inputs = PriceTagInputs(
        run_id=recorded.start["run_id"],
        name=recorded.start["run"]["name"],
        version=tag["version"],
        attempts=attempts,
        factors=read_factors(provenance),
        accounting_version=provenance["accounting_version"],
        seed=provenance["interval_seed"],
        origin=provenance.get("origin"),
        measured_by=provenance.get("measured_by"),
    )
    return build_price_tag(inputs).as_dict()


def _attempts(
    journals: Iterable[Iterable[Mapping[str, Any]]],
) -> tuple[list[Recorded], tuple[AttemptInput, ...]]:
    """The content of journals in the order of time, and their attempts, numbered in this order."""
    listed = [Recorded.of(records) for records in journals]
    for recorded in listed:
        _require_settled(recorded)
    listed.sort(key=lambda each: (each.opened_at, each.start["attempt_id"]))
    if len(listed) == 1:
        return listed, (attempt_of(listed[0]),)
    return listed, tuple(attempt_of(each, number) for number, each in enumerate(listed, 1))


def _require_settled(recorded: Recorded) -> None:
    if not recorded.start or recorded.end is None:
        missing = "start" if not recorded.start else "end"
        raise UnsettledError(f"the journal has no {missing}")


def run_record(*journals: Recorded) -> dict[str, Any]:
    """The run in the form in which the server returns runs, as far as it has the figures.

    Args:
        *journals: The content of its journals, in the order of time.
    """
    start = journals[0].start
    run = start["run"]
    started_at = journals[0].opened_at
    ends = [(each, each.end) for each in journals if each.end is not None]
    is_open = len(ends) < len(journals)
    finished_at = max(
        (each.opened_at + timedelta(seconds=end["t_s"]) for each, end in ends), default=None
    )
    ended = None if is_open else finished_at
    status, reason = "running", None
    if not is_open:
        status, reason = together(
            (_restart(each), end["status"], end.get("reason")) for each, end in ends
        )
    return {
        "id": start["run_id"],
        "name": run["name"],
        "status": STATUSES.get(status, status if status == "running" else "failed"),
        "status_reason": reason,
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


def _restart(recorded: Recorded) -> int:
    scheduler = recorded.environment.get("scheduler") or {}
    return int(scheduler.get("restart") or 0)


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
