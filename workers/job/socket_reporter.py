"""The child's reporter: every word goes over the event pipe."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pricetag.events import EventChannel
from workers.job.reporter import StageHandle

PROGRESS_INTERVAL_S = 0.2
HASH_CHUNK_BYTES = 1 << 20


class SocketReporter:
    """Implements ``workers.job.reporter.Reporter`` over an event channel.

    Args:
        channel: The pipe to the supervisor.
        artifacts_dir: Folder that artifact paths are told relative to.
    """

    def __init__(self, channel: EventChannel, artifacts_root: Path) -> None:
        self._channel = channel
        self._artifacts_root = artifacts_root
        self._last_progress_s = -math.inf

    @contextmanager
    def stage(self, kind: str, name: str, recipe_index: int | None = None) -> Iterator[StageHandle]:
        answer = self._channel.edge("stage_start", kind=kind, name=name, recipe_index=recipe_index)
        handle = StageHandle(key=str(answer["key"]))
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
            self._channel.send("progress", done=done, total=total, unit=unit, message=message)

    def metric(
        self,
        name: str,
        value: float | None,
        unit: str | None = None,
        split: str | None = None,
        step: int | None = None,
        quality: bool = False,
        of_class: str | None = None,
        reason: str | None = None,
    ) -> None:
        known = _finite(value)
        about = {"of_class": of_class, "reason": reason}
        self._channel.send(
            "metric",
            name=name,
            value=known,
            unit=unit,
            split=split,
            step=step,
            quality=quality,
            **{name: text for name, text in about.items() if text is not None},
        )

    def flops(
        self,
        dense: float | None,
        effective: float | None,
        low_bit: float | None,
        method: str,
        uncounted: list[str] | None = None,
    ) -> None:
        self._channel.send(
            "flops",
            dense=_finite(dense),
            effective=_finite(effective),
            low_bit=_finite(low_bit),
            method=method,
            uncounted=uncounted or [],
        )

    def log(self, text: str, stream: str = "pricetag") -> None:
        self._channel.send("log", text=text, stream=stream)

    def artifact(
        self, name: str, path: Path, card: Mapping[str, Any] | None, stage_key: str | None = None
    ) -> None:
        told = {
            "name": name,
            "path": str(path.resolve().relative_to(self._artifacts_root.resolve())),
            "size_bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "card": None if card is None else dict(card),
        }
        self._channel.send("artifact", **told, **({"key": stage_key} if stage_key else {}))

    def environment(
        self,
        packages: Mapping[str, str],
        python: str,
        platform: str,
        git_commit: str | None,
        seeds: Mapping[str, int],
        code: Mapping[str, Any] | None = None,
    ) -> None:
        self._channel.send(
            "environment",
            packages=dict(packages),
            python=python,
            platform=platform,
            git_commit=git_commit,
            seeds=dict(seeds),
            **({} if code is None else {"code": dict(code)}),
        )

    def stop_requested(self) -> str | None:
        return self._channel.stop_reason


def _finite(value: float | None) -> float | None:
    """A figure, or None where it is unknown: not a number inside the work."""
    return value if value is not None and math.isfinite(value) else None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
