"""What the child is asked to do, and how it says that it could not."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

COMMANDS_NOT_ALLOWED = (
    "this worker does not run commands; its administrator may start it with --allow-commands, or "
    "name its pool in PRICETAG_ALLOW_COMMANDS_POOLS"
)


class JobError(Exception):
    """The job's own fault, final: a repeated attempt would end the same way.

    ``code`` is stable, ``field`` names the part of the run description to mend.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def as_dict(self) -> dict[str, str]:
        """The reason as the journal and the run's status hold it."""
        reason = {"code": self.code, "message": self.message}
        return reason if self.field is None else {**reason, "field": self.field}


class Interrupted(Exception):  # noqa: N818 - no error: the worker asked for it
    """The work stopped where it can be resumed, because the supervisor asked for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Job:
    """One attempt at a run, as the supervisor hands it to the child."""

    run_id: str
    attempt_number: int
    recipe: dict[str, Any]
    data_roots: list[Path]
    work_dir: Path  # kept between the attempts of the run
    artifacts_dir: Path  # of this attempt
    device: Literal["cpu", "cuda"] = "cpu"
    gpus: int = 0
    allow_commands: bool = False
    allow_hub: bool = False
    upstream: dict[str, Any] | None = None  # the published model that the recipe names
    lease_s: float | None = None  # silence of the supervisor after which others may begin the run
    program_user: str | None = None  # whom a command's program runs as; None: as this process
    program_variables: dict[str, str] = field(default_factory=dict)  # of a command's program alone

    def to_dict(self) -> dict[str, Any]:
        """The job as plain data."""
        fields = asdict(self)
        fields["data_roots"] = [str(root) for root in self.data_roots]
        return {**fields, "work_dir": str(self.work_dir), "artifacts_dir": str(self.artifacts_dir)}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Job:
        """Read what ``to_dict`` gave."""
        return cls(
            **{
                **fields,
                "data_roots": [Path(root) for root in fields["data_roots"]],
                "work_dir": Path(fields["work_dir"]),
                "artifacts_dir": Path(fields["artifacts_dir"]),
            }
        )

    def to_json(self) -> str:
        """The job as one JSON document."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what ``to_json`` wrote."""
        return cls.from_dict(json.loads(text))
