"""The records of an attempt's journal, as listed in ``docs/explanation/architecture.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from pricetag.one_line import one_line
from pricetag.storable import INT64_MAX, storable, storable_text

INT32_MAX = 2**31 - 1

Key = Annotated[str, Field(min_length=1, max_length=200)]
Seconds = Annotated[float, Field(ge=0, le=1e10)]  # three centuries: within the range of dates
Json = dict[str, Any]

MAX_PATH_BYTES = 2000
"""Maximum length of an artifact's path: the database's index accepts up to 2.7 kB."""

MAX_DEPTH = 100
"""Maximum nesting depth of a record."""

MAX_SHOWN = 500
"""Number of characters of a rejected record that are kept."""


def _short_path(path: str) -> str:
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise ValueError(f"must have at most {MAX_PATH_BYTES} bytes")
    return path


Name = Annotated[str, AfterValidator(one_line)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore")

    seq: Annotated[int, Field(ge=0, le=INT32_MAX)]
    t_s: Seconds
    at: AwareDatetime


class Component(BaseModel):
    """One metered component; unknown fields are kept."""

    model_config = ConfigDict(extra="allow")

    id: Key
    kind: Literal["gpu", "cpu", "ram", "host"]
    name: str
    method: Literal["counter", "integrated", "modelled", "estimated"]
    gain_std_ratio: Annotated[float, Field(ge=0)]
    power_limit_w: float | None = None
    notes: str | None = None
    reserved_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0
    baseline_w: Annotated[float, Field(ge=0)] | None = None
    baseline_note: str | None = None
    update_s: Annotated[float, Field(gt=0)] | None = None
    has_model: bool = False
    booking_rules: int = 1


class Start(_Record):
    """The meter was opened."""

    type: Literal["start"]
    attempt_id: UUID
    devices: list[Any] = []
    components: list[Component]
    shares_overlaps: bool = False


class ReadingRecord(_Record):
    """Cumulative energies of one component."""

    type: Literal["reading"]
    component: Key
    counter_j: float | None = None
    integrated_j: float | None = None
    power_w: float | None = None
    flags: list[str] = []
    own_busy_s: Annotated[float, Field(ge=0)] | None = None
    all_busy_s: Annotated[float, Field(ge=0)] | None = None


class StageStart(_Record):
    """A stage begins."""

    type: Literal["stage_start"]
    key: Key
    index: Annotated[int, Field(ge=0, le=INT32_MAX)]
    parent_key: Key | None = None
    recipe_index: Annotated[int, Field(ge=0, le=INT32_MAX)] | None = None
    kind: Name
    name: Name


class StageEnd(_Record):
    """A stage ends."""

    type: Literal["stage_end"]
    key: Key
    status: Literal["succeeded", "failed", "cancelled", "interrupted", "lost", "reused"]
    flags: list[Name] = []


class Progress(_Record):
    """Progress of the attempt."""

    type: Literal["progress"]
    key: Key | None = None
    kind: str | None = None
    name: str | None = None
    done: float | None = None
    total: float | None = None
    unit: str | None = None
    message: str | None = None
    power_w: float | None = None
    power_unknown: dict[str, str] | None = None
    energy_kwh: float | None = None
    eta_s: float | None = None


class MetricRecord(_Record):
    """One value of a metric."""

    type: Literal["metric"]
    key: Key | None = None
    name: Name
    value: float | None
    unit: Name | None = None
    split: Name | None = None
    step: Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)] | None = None
    quality: bool = False
    of_class: str | None = None
    reason: str | None = None


class Flops(_Record):
    """FLOPs of one stage."""

    type: Literal["flops"]
    key: Key
    dense: float | None = None
    effective: float | None = None
    low_bit: float | None = None
    method: str | None = None
    uncounted: list[str] = []


class Log(_Record):
    """A line of output."""

    type: Literal["log"]
    stream: Annotated[str, Field(max_length=40)]  # stdout, stderr, pricetag
    text: str


class ArtifactRecord(_Record):
    """A file produced by the job."""

    type: Literal["artifact"]
    key: Key | None = None
    name: Name
    path: Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_short_path)]
    size_bytes: Annotated[int, Field(ge=0, le=INT64_MAX)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    card: Json | None = None


class InputFileRecord(BaseModel):
    """A data or model file that the attempt read."""

    role: Annotated[str, Field(max_length=200)]
    path: Annotated[str, Field(max_length=1000)]
    size_bytes: Annotated[int, Field(ge=0, le=INT64_MAX)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    reason: Annotated[str, Field(max_length=1000)] | None = None


MOST_STATEMENTS = 50
"""Maximum number of members of what a scheduler states."""


class SchedulerRecord(BaseModel):
    """What a scheduler stated of the job on this node, as far as figures depend on it."""

    restart: Annotated[int, Field(ge=0, le=INT32_MAX)]
    node: Annotated[str, Field(max_length=200)]
    nodes: Annotated[int, Field(ge=1, le=INT32_MAX)]
    is_whole_node: bool | None = None
    unseen_gpus: Annotated[int, Field(ge=0, le=INT32_MAX)] = 0
    other_jobs: Annotated[list[str], Field(max_length=1000)] | None = None


def _of_scheduler(stated: Json) -> Json:
    """Checks the statements of a scheduler, all of which are kept."""
    if len(stated) > MOST_STATEMENTS:
        raise ValueError(f"has more than {MOST_STATEMENTS} members")
    SchedulerRecord.model_validate(stated)
    return stated


class EnvironmentRecord(_Record):
    """The attempt's software environment."""

    type: Literal["environment"]
    packages: dict[str, str] | None = None
    python: str | None = None
    platform: str | None = None
    git_commit: str | None = None
    seeds: Json | None = None
    variables: dict[str, str] | None = None
    code: Json | None = None
    inputs: Annotated[list[InputFileRecord], Field(max_length=1000)] | None = None
    scheduler: Annotated[Json, AfterValidator(_of_scheduler)] | None = None


class SecondOpinionRecord(_Record):
    """Figures of another tool."""

    type: Literal["second_opinion"]
    tool: str
    version: str | None = None
    duration_s: float | None = None
    cpu_kwh: float | None = None
    gpu_kwh: float | None = None
    ram_kwh: float | None = None
    energy_kwh: float | None = None
    reason: str | None = None


class RejectedEvent(_Record):
    """An event of the job that the supervisor rejected.

    In the last one of a flood, ``further`` is the number of later ones, which were only counted.
    """

    type: Literal["rejected"]
    reason: str
    event: str
    further: Annotated[int, Field(ge=0, le=INT32_MAX)] = 0


class Reason(BaseModel):
    """Reason why an attempt did not succeed."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    field: str | None = None


class End(_Record):
    """The attempt has ended."""

    type: Literal["end"]
    status: Literal["succeeded", "failed", "cancelled", "interrupted", "lost"]
    reason: Reason | None = None
    unread_j: dict[Key, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = None


Record = (
    Start
    | ReadingRecord
    | StageStart
    | StageEnd
    | Progress
    | MetricRecord
    | Flops
    | Log
    | ArtifactRecord
    | EnvironmentRecord
    | SecondOpinionRecord
    | RejectedEvent
    | End
)

_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="type")])


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that cannot be applied, with the reason why."""

    seq: int
    why: str
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Damaged:
    """A line of a journal that is not a record.

    Attributes:
        why: The reason.
        text: The line.
    """

    why: str
    text: str


def parse(raw: object, *, seq_if_missing: int) -> Record | Rejected:
    """Parses one record.

    Args:
        raw: The record as received.
        seq_if_missing: Sequence number for a record without one.
    """
    seq = seq_of(raw)
    place = seq_if_missing if seq is None else seq
    if isinstance(raw, Damaged):
        return Rejected(place, raw.why, storable_text(raw.text[:MAX_SHOWN]))
    if not isinstance(raw, Mapping):
        return Rejected(place, "it is not an object", shown(raw))
    try:
        return _RECORD.validate_python(storable({**raw, "seq": place}, max_depth=MAX_DEPTH))
    except ValidationError as error:
        kind = one_line(str(raw.get("type")), 40)
        return Rejected(place, f"{kind}: {_explain(error)}", shown(raw))
    except RecursionError:
        return Rejected(place, "it is nested too deeply")


def shown(raw: object) -> str:
    """The beginning of a record, as text that can be stored."""
    return storable_text(f"{raw!r:.{MAX_SHOWN}}")


def seq_of(raw: object) -> int | None:
    """The sequence number of a record; None if missing or invalid."""
    seq = raw.get("seq") if isinstance(raw, Mapping) else None
    usable = isinstance(seq, int) and not isinstance(seq, bool) and 0 <= seq <= INT32_MAX
    return seq if usable else None


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:]) or 'type'}: {problem['msg']}"
        for problem in problems
    )


def in_order(
    raws: Iterable[object], *, after_seq: int
) -> tuple[list[Record | Rejected], list[Rejected]]:
    """The new records of a batch, each once, by sequence number.

    Args:
        raws: The batch, which may contain records that were applied before.
        after_seq: Sequence number of the last applied record.

    Returns:
        The new records, and a note for each gap in their numbering, with the first missing
        ``seq``: the missing records will never arrive.
    """
    new_records: dict[int, Record | Rejected] = {}
    last = after_seq
    for raw in raws:
        seq = seq_of(raw)
        last = last + 1 if seq is None else seq
        if last > after_seq and last not in new_records:
            new_records[last] = parse(raw, seq_if_missing=last)
    ordered = [new_records[seq] for seq in sorted(new_records)]
    gaps: list[Rejected] = []
    expected = after_seq + 1
    for record in ordered:
        if record.seq > expected:
            gaps.append(Rejected(expected, f"records {expected} to {record.seq - 1} never arrived"))
        expected = record.seq + 1
    return ordered, gaps
