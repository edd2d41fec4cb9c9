"""Applies records of which one may be impossible to store, and sets that one aside."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from app.services.attempts.ingestion import PoisonedRecordsError

logger = logging.getLogger(__name__)

OF_THE_JOB = frozenset(
    {"progress", "metric", "flops", "log", "artifact", "environment", "rejected"}
)
"""Optional record types: neither energy nor the end depends on them."""

KEPT_TEXT = 500

Apply = Callable[[list[Any]], Awaitable[object]]
"""Applies some records: all of them, or none."""


async def apply_apart(
    apply: Apply, records: Sequence[Any], applied: Callable[[Any], None] = lambda last: None
) -> None:
    """Applies records in order; one that cannot be stored is found by halving and set aside.

    Args:
        apply: Applies some of them at once.
        records: The records.
        applied: Called with the last record of each part that was applied.

    Raises:
        PoisonedRecordsError: If the energy or the end depends on such a record.
    """
    try:
        await apply(list(records))
    except PoisonedRecordsError as error:
        if len(records) > 1:
            middle = len(records) // 2
            await apply_apart(apply, records[:middle], applied)
            await apply_apart(apply, records[middle:], applied)
            return
        (record,) = records
        if not isinstance(record, Mapping) or record.get("type") not in OF_THE_JOB:
            raise
        await apply([_set_aside(record, error)])
    applied(records[-1])


def _set_aside(record: Mapping[str, Any], error: PoisonedRecordsError) -> dict[str, Any]:
    """Replacement of a record that cannot be stored."""
    logger.error("journal record %s cannot be stored: %s", record["seq"], error)
    stamps = {name: record[name] for name in ("seq", "t_s", "at")}
    reason = f"{record['type']}: it could not be stored: {error}"
    return {**stamps, "type": "rejected", "reason": reason, "event": f"{record!r:.{KEPT_TEXT}}"}
