"""Under which conditions a run was carried out: machine, software, data, date."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from pricetag.accounting.document.records import PriceTag

PACKAGES = ("pricetag", "torch", "transformers")
UNKNOWN = "unknown"
SHOWN = {
    "processor": "processor",
    "node": "machine",
    "threads": "threads",
    "python": "Python",
    "torch": "torch",
    "transformers": "transformers",
    "pricetag": "pricetag",
}
"""Conditions that should be the same for all runs, with their names on the page."""


def conditions_of(tag: PriceTag) -> dict[str, str]:
    """The conditions of a run, from the provenance of its price tag."""
    provenance = tag.provenance
    processors = sorted({d.name for d in tag.hardware.devices if d.kind == "cpu"})
    return {
        "processor": ", ".join(processors) or UNKNOWN,
        "node": ", ".join(sorted(provenance.nodes)) or UNKNOWN,
        "threads": str((provenance.variables or {}).get("OMP_NUM_THREADS", UNKNOWN)),
        "python": provenance.python or UNKNOWN,
        **{name: provenance.packages.get(name, UNKNOWN) for name in PACKAGES},
        "commit": provenance.git_commit or UNKNOWN,
        "date": min((attempt.started_at for attempt in tag.attempts), default=UNKNOWN),
        "sentences": _sentences(tag),
    }


def _sentences(tag: PriceTag) -> str:
    """A hash of the contents of the validation split, shortened; every run that scores reads it."""
    files = sorted(
        str(item.sha256)
        for item in tag.provenance.inputs or ()
        if item.role.startswith("data.validation")
    )
    return hashlib.sha256(repr(files).encode()).hexdigest()[:16] if files else UNKNOWN


def conditions_here(threads: int) -> dict[str, str]:
    """The conditions of this process."""
    return {
        "processor": ", ".join(sorted(set(processors()))) or platform.processor() or UNKNOWN,
        "node": platform.node() or UNKNOWN,
        "threads": str(threads),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "date": datetime.now(UTC).isoformat(),
    }


def processors() -> list[str]:
    """Product name of each processor that the system lists."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]


def differing(all_conditions: Iterable[Mapping[str, str]]) -> dict[str, list[str]]:
    """Conditions in which runs differ, by name, with their values."""
    listed = list(all_conditions)
    values = {
        name: sorted({each.get(name, UNKNOWN) for each in listed}) for name in SHOWN if listed
    }
    return {name: each for name, each in values.items() if len(each) > 1}
