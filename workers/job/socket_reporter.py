"""The child's reporter, which sends everything over the event pipe."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pricetag.events import EventChannel
from workers.job.reporter import Reporter, StageHandle

PROGRESS_INTERVAL_S = 0.2
HASH_CHUNK_BYTES = 1 << 20
_FIGURES = ("value", "dense", "effective", "low_bit")
_OPTIONAL = ("of_class", "reason")  # sent only if they have a value


class SocketReporter(Reporter):
    """Reports over an event channel.

    Args:
        channel: The pipe to the supervisor.
        artifacts_root: Folder that reported artifact paths are relative to.
    """

    def __init__(self, channel: EventChannel, artifacts_root: Path) -> None:
        self._channel = channel
        self._artifacts_root = artifacts_root
        self._last_progress_s = -math.inf

    def _event(self, type_: str, **fields: Any) -> None:
        self._channel.send(
            type_,
            **{
                name: _finite(value) if name in _FIGURES else value
                for name, value in fields.items()
                if value is not None or name not in _OPTIONAL
            },
        )

    @contextmanager
    def stage(self, kind: str, name: str, recipe_index: int | None = None) -> Iterator[StageHandle]:
        opened = self._channel.edge("stage_start", kind=kind, name=name, recipe_index=recipe_index)
        handle = StageHandle(key=str(opened["key"]))
        self._last_progress_s = -math.inf
        try:
            yield handle
        except BaseException as error:
            handle.left_by(error)
            raise
        finally:
            self._channel.edge("stage_end", key=handle.key, status=handle.status)

    def progress(self, done: float, total: float, unit: str, message: str | None = None) -> None:
        now_s = time.monotonic()
        if now_s - self._last_progress_s >= PROGRESS_INTERVAL_S or done >= total:
            self._last_progress_s = now_s
            super().progress(done, total, unit, message)

    def artifact(
        self, name: str, path: Path, card: Mapping[str, Any] | None, stage_key: str | None = None
    ) -> None:
        described = {
            "name": name,
            "path": str(path.resolve().relative_to(self._artifacts_root.resolve())),
            "size_bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "card": None if card is None else dict(card),
        }
        self._channel.send("artifact", **described, **({"key": stage_key} if stage_key else {}))

    def stop_requested(self) -> str | None:
        return self._channel.stop_reason


def _finite(value: float | None) -> float | None:
    """The value, or None if it is NaN or infinite."""
    return value if value is not None and math.isfinite(value) else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
