"""The job that the child runs, and the errors by which it reports a failure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

COMMANDS_NOT_ALLOWED = (
    "this worker does not run commands; its administrator can start it with --allow-commands, or "
    "add its pool to PRICETAG_ALLOW_COMMANDS_POOLS"
)


class JobError(Exception):
    """The job failed through its own fault, so that another attempt would fail as well.

    ``code`` is stable; ``field`` names the part of the run description to correct.
    """

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field

    def as_dict(self) -> dict[str, str]:
        """The reason in the form of the journal and the run's status."""
        reason = {"code": self.code, "message": self.message}
        return reason if self.field is None else {**reason, "field": self.field}


class Interrupted(Exception):  # noqa: N818 - not an error: the worker requested it
    """The work stopped where it can be resumed, because the supervisor requested it."""

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
    lease_s: float | None = None  # silence of the supervisor after which others may start the run
    program_user: str | None = None  # user of a command's program; None: that of this process
    program_variables: dict[str, str] = field(default_factory=dict)  # for a command's program only
    hashes: Path | None = None  # file that remembers hashes of data and model files

    def to_dict(self) -> dict[str, Any]:
        """The job as plain data."""
        fields = asdict(self)
        fields["data_roots"] = [str(root) for root in self.data_roots]
        hashes = None if self.hashes is None else str(self.hashes)
        places = {"work_dir": str(self.work_dir), "artifacts_dir": str(self.artifacts_dir)}
        return {**fields, **places, "hashes": hashes}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Job:
        """Read the result of ``to_dict``."""
        return cls(
            **{
                **fields,
                "data_roots": [Path(root) for root in fields["data_roots"]],
                "work_dir": Path(fields["work_dir"]),
                "artifacts_dir": Path(fields["artifacts_dir"]),
                "hashes": None if fields.get("hashes") is None else Path(fields["hashes"]),
            }
        )

    def to_json(self) -> str:
        """The job as one JSON document."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read the result of ``to_json``."""
        return cls.from_dict(json.loads(text))
