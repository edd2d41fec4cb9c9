"""The events that a job may send over its pipe, with the bounds of each field.

Unknown fields are dropped, in particular the time, which only the supervisor sets.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)

from pricetag.one_line import one_line
from pricetag.reported import MAX_STEP

MAX_DEPTH = 50
"""Maximum nesting depth, for example of an artifact's card."""

MAX_PATH_BYTES = 2000
"""Maximum length of an artifact's path: the database's index accepts up to 2.7 kB."""

MAX_MESSAGE = 20_000


class EventError(ValueError):
    """An invalid event, with the reason."""


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    return value


def _short_path(path: str) -> str:
    if len(path.encode("utf-8", "surrogatepass")) > MAX_PATH_BYTES:
        raise ValueError(f"must have at most {MAX_PATH_BYTES} bytes")
    return path


Name = Annotated[StrictStr, AfterValidator(one_line)]
Key = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Count = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]
Message = Annotated[StrictStr, AfterValidator(lambda text: text[:MAX_MESSAGE])]
Index = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]
Step = Annotated[StrictInt, Field(ge=-MAX_STEP, le=MAX_STEP)]


class Event(BaseModel):
    """One message of a job."""

    model_config = ConfigDict(extra="ignore")

    n: Annotated[StrictInt, Field(ge=0)] = 0

    def fields(self) -> dict[str, Any]:
        """The fields for the journal."""
        return self.model_dump(exclude={"type", "n", "key"})


class Hello(Event):
    """Greeting of the job's own process, which is notified of lease renewals."""

    type: Literal["hello"]


class Heartbeat(Event):
    """A sign of life."""

    type: Literal["heartbeat"]


class StageStart(Event):
    """A stage begins; older clients send no ``parent``."""

    type: Literal["stage_start"]
    kind: Name = "stage"
    name: Name
    recipe_index: Index | None = None
    parent: Key | None = None


class StageEnd(Event):
    """A stage ends; without a key, the stage that its connection opened last."""

    type: Literal["stage_end"]
    key: Key | None = None
    status: Literal["succeeded", "failed", "cancelled", "interrupted", "reused"]


class Progress(Event):
    """Progress of a stage."""

    type: Literal["progress"]
    key: Key | None = None
    done: Number
    total: Number | None = None
    unit: Name | None = None
    message: Name | None = None


class Metric(Event):
    """One figure."""

    type: Literal["metric"]
    key: Key | None = None
    name: Name
    value: Number | None
    unit: Name | None = None
    split: Name | None = None
    step: Step | None = None
    quality: StrictBool = False
    of_class: Name | None = None
    reason: Name | None = None


class Flops(Event):
    """FLOPs of one stage."""

    type: Literal["flops"]
    key: Key | None = None
    dense: Count | None = None
    effective: Count | None = None
    low_bit: Count | None = None
    method: Name | None = None
    uncounted: Annotated[list[Name], Field(max_length=1000)] = []


class Log(Event):
    """A line of output; the log limits its length."""

    type: Literal["log"]
    text: StrictStr
    stream: Annotated[StrictStr, Field(max_length=40)] = "pricetag"


class Artifact(Event):
    """A file produced by the job."""

    type: Literal["artifact"]
    key: Key | None = None
    name: Name
    path: Annotated[StrictStr, Field(min_length=1, max_length=1000), AfterValidator(_short_path)]
    size_bytes: Annotated[StrictInt, Field(ge=0, le=2**63 - 1)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    card: dict[str, Any] | None = None


class InputFile(BaseModel):
    """A data or model file that the job read."""

    model_config = ConfigDict(extra="ignore")

    role: Name
    path: Annotated[StrictStr, Field(max_length=1000)]
    size_bytes: Annotated[StrictInt, Field(ge=0, le=2**63 - 1)] | None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None
    reason: Annotated[StrictStr, Field(max_length=1000)] | None


class Environment(Event):
    """The job's environment."""

    type: Literal["environment"]
    packages: Annotated[dict[str, StrictStr], Field(max_length=10_000)] | None = None
    python: Name | None = None
    platform: Name | None = None
    git_commit: Name | None = None
    seeds: Annotated[dict[str, Any], Field(max_length=1000)] | None = None
    code: Annotated[dict[str, Any], Field(max_length=1000)] | None = None
    inputs: Annotated[list[InputFile], Field(max_length=1000)] | None = None


class Error(Event):
    """Why the job failed."""

    type: Literal["error"]
    code: Name
    message: Message
    field: Name | None = None


class Finished(Event):
    """The job reports that it has ended."""

    type: Literal["finished"]
    status: Name


AnyEvent = (
    Hello
    | Heartbeat
    | StageStart
    | StageEnd
    | Progress
    | Metric
    | Flops
    | Log
    | Artifact
    | Environment
    | Error
    | Finished
)

_EVENT: TypeAdapter[AnyEvent] = TypeAdapter(Annotated[AnyEvent, Field(discriminator="type")])


def decode(line: bytes) -> dict[str, Any]:
    """Decode one line into a JSON object.

    Raises:
        EventError: If it is not an object, contains NaN or infinity, or is nested too deeply.
    """
    try:
        message = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise EventError(f"not JSON: {str(error) or 'nested too deeply':.200}") from error
    if not isinstance(message, dict):
        raise EventError(f"must be a JSON object, not {type(message).__name__}")
    if _depth(message) > MAX_DEPTH:
        raise EventError(f"nested more than {MAX_DEPTH} levels deep")
    return message


def parse(message: Mapping[str, Any]) -> AnyEvent:
    """Parse an event and check the bounds of its fields.

    Raises:
        EventError: If its type is unknown or a field is out of bounds.
    """
    try:
        return _EVENT.validate_python(message)
    except ValidationError as error:
        raise EventError(_explain(error)) from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _depth(value: object) -> int:
    """Levels of nesting, computed without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        item, depth = waiting.pop()
        deepest = max(deepest, depth)
        if isinstance(item, dict):
            waiting += [(inner, depth + 1) for inner in item.values()]
        elif isinstance(item, list):
            waiting += [(inner, depth + 1) for inner in item]
    return deepest


def _explain(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False, include_context=False)
    parts = (
        f"{'.'.join(str(part) for part in detail['loc'][1:]) or 'type'}: {detail['msg']}"
        for detail in details
    )
    return "; ".join(parts)[:500]
