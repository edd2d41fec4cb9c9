"""Energy of a part of an attempt, by the same arithmetic as the price tag's stages."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from weakref import WeakKeyDictionary

from app.db import Session
from app.repositories.attempts import attempts as attempt_rows
from app.repositories.readings import readings as reading_rows
from app.schemas.windows import WindowRead
from app.services.billing import issuing
from app.services.billing.inputs import attempt_input
from app.services.energy.power import ReadingsDamagedError, select_attempts
from app.services.errors import ConflictError, InvalidError, PricetagError
from models import Attempt, PriceTag
from models.packed.codec import DamagedReadingsError
from models.packed.columns import Columns
from models.packed.ledger import ledger_of
from pricetag.accounting.bill.inputs import Factor, Factors, Measurement, PriceTagInputs
from pricetag.accounting.document.build import build_price_tag
from pricetag.accounting.document.records import PriceTag as PriceTagDocument
from pricetag.accounting.document.records import Provenance
from pricetag.accounting.readings.component import Component

NO_FACTOR = Factor(1.0, "1", 0.0, "counter", "IT energy alone: no factor of the site")

AT_ONCE = 2
"""Windows computed at once in a process: each reads the whole attempt, up to days of readings."""

WAIT_S = 2.0
"""How long a request waits for a place, in s."""

_PLACES: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class InvalidWindowError(InvalidError):
    """The window is empty or outside the attempt."""

    code = "invalid-window"


class AttemptOpenError(ConflictError):
    """The attempt is not on the price tag yet."""

    code = "attempt-open"


class WindowsBusyError(PricetagError):
    """Too many windows are being computed."""

    code = "windows-busy"
    status = 503


@asynccontextmanager
async def _place() -> AsyncIterator[None]:
    """One of the places for computing, which is waited for briefly.

    Raises:
        WindowsBusyError: If none became free.
    """
    places = _PLACES.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    try:
        async with asyncio.timeout(WAIT_S):
            await places.acquire()
    except TimeoutError as error:
        raise WindowsBusyError("Too many windows are being computed; try again.") from error
    try:
        yield
    finally:
        places.release()


async def energy_between(
    session: Session, run_id: uuid.UUID, *, attempt: int, from_s: float, to_s: float
) -> WindowRead:
    """The energy that was charged between two times of an attempt.

    Args:
        session: Database session, only read.
        run_id: An existing run.
        attempt: Number of the attempt.
        from_s: Start of the window, in s since the attempt's meter opened.
        to_s: Its end.

    Raises:
        AttemptNotFoundError: If the run has no such attempt.
        AttemptOpenError: If the attempt has not ended.
        InvalidWindowError: If the window is empty or not within the attempt.
        PriceTagNotFoundError: If the run has no price tag.
        ReadingsDamagedError: If the packed readings cannot be read.
        WindowsBusyError: If too many windows are being computed.
    """
    row = select_attempts(await attempt_rows.of_run(session, run_id), attempt)[0]
    if row.ended_at is None or row.duration_s is None:
        raise AttemptOpenError(
            f"Attempt {attempt} has not ended: the energy of a window is available once its price"
            " tag is issued.",
            field="attempt",
        )
    _require_within(from_s, to_s, row.duration_s)
    tag = await issuing.get_price_tag(session, run_id)
    async with _place():
        try:
            readings = [
                await reading_rows.columns(session, row.id, component["id"])
                for component in row.components
            ]
        except DamagedReadingsError as error:
            raise ReadingsDamagedError(f"{error}.") from error
        # Days of readings take seconds, which must not block the event loop.
        document = await asyncio.to_thread(_price, tag, row, readings, from_s, to_s)
    return WindowRead.model_validate(
        {
            "run_id": run_id,
            "attempt": attempt,
            "from_s": from_s,
            "to_s": to_s,
            "price_tag_version": tag.version,
            "it_energy_kwh": document.energy.it_energy_kwh,
            "power_w": document.energy.power_w,
            "coverage_ratio": document.energy.coverage_ratio,
            "components": list(document.energy.components),
        }
    )


def _require_within(from_s: float, to_s: float, duration_s: float) -> None:
    if not 0 <= from_s < to_s:
        raise InvalidWindowError(
            f"from_s ({from_s:g}) must be at least 0 and before to_s ({to_s:g}).", field="from_s"
        )
    if from_s >= duration_s:
        raise InvalidWindowError(
            f"from_s ({from_s:g}) is after the attempt's end ({duration_s:g} s).", field="from_s"
        )


def _price(
    tag: PriceTag, attempt: Attempt, readings: list[Columns], from_s: float, to_s: float
) -> PriceTagDocument:
    """A price tag of the window alone, with the meters' calibrations of the newest version."""
    provenance = Provenance.from_dict(tag.content["provenance"], "provenance")
    end_s = min(to_s, attempt.duration_s or 0.0)
    components = [Component.from_dict(component) for component in attempt.components]
    measurements = tuple(
        Measurement(component.id, ledger_of(component, columns).window(from_s, end_s))
        for component, columns in zip(components, readings, strict=True)
    )
    full_attempt = attempt_input(attempt, measurements, ())
    is_last = end_s >= (attempt.duration_s or 0.0)
    inputs = PriceTagInputs(
        run_id=str(tag.run_id),
        name="",
        version=tag.version,
        attempts=(
            replace(
                full_attempt,
                duration_s=end_s - from_s,
                second_opinion=None,
                unread_j=full_attempt.unread_j if is_last else {},
            ),
        ),
        factors=Factors(NO_FACTOR, None, calibrations=provenance.factors.calibrations),
        accounting_version=tag.accounting_version,
        seed=tag.content["provenance"]["interval_seed"],
    )
    return build_price_tag(inputs)
