"""The lab's price book: rows are added, one by one or by the file, and never changed."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from app.db import Session
from app.repositories import devices, prices
from app.repositories.writers import one_at_a_time
from app.schemas.common import FieldProblem
from app.schemas.prices import (
    PriceCreate,
    PriceEntered,
    PriceImport,
    PricePage,
    PriceRead,
    PricesImported,
)
from app.services import audit
from app.services.errors import ConflictError, InvalidError
from app.services.factors.book_prices import INTERNAL, REPLACES, holds_until, replaced_ids
from app.services.factors.entry import next_page, position
from app.services.factors.kinds import EARLIEST_YEAR, LATEST_YEAR
from app.services.factors.price_files import read_prices
from app.services.principals import Principal
from models import Price
from pricetag.catalog import is_word_of

TO = "enter prices"
READ_LATER = ("replaced", "holds_until", "planned")  # these change with time
MOST_NAMES = 5
CENT_OF_CENT = Decimal("0.000001")


class InvalidPriceError(InvalidError):
    """A price that cannot be what it claims to be."""

    code = "invalid-price"

    def __init__(self, where: str, field: str, message: str, hint: str | None = None) -> None:
        place = f"{where}, {field}" if where else field
        self.errors = [FieldProblem(field=place, message=message, hint=hint)]
        super().__init__(f"{place}: {message}", field=place)


class OverlappingPriceError(ConflictError):
    """Two prices of one id would hold at the same time."""

    code = "overlapping-price"


async def add(session: Session, wanted: PriceCreate, by: Principal) -> PriceEntered:
    """Enters one price.

    Raises:
        RoleRequiredError: If the token is no admin's.
        InvalidPriceError: If it cannot be what it claims to be.
        OverlappingPriceError: If another of its id holds at the same time.
    """
    by.require("admin", TO)
    (read,) = await _enter(session, [("", wanted)], by, action="created")
    return read


async def import_file(session: Session, file: PriceImport, by: Principal) -> PricesImported:
    """Enters all prices of a file, or none.

    Raises:
        RoleRequiredError: If the token is no admin's.
        MalformedFileError: If a cell cannot be read; it names line and column.
        InvalidPriceError: If a price cannot be what it claims to be.
        OverlappingPriceError: If two of one id hold at the same time.
    """
    by.require("admin", TO)
    rows = read_prices(file)
    return PricesImported(items=await _enter(session, rows, by, action="imported"))


async def list_page(
    session: Session, *, accelerator: str | None, cursor: str | None, limit: int
) -> PricePage:
    """A page of the book, the newest first; prices that were corrected are in it too.

    Args:
        session: Read alone.
        accelerator: As the rows have it, in any case.
        cursor: Where the page before ended.
        limit: Most rows.

    Raises:
        CursorError: If the cursor is not of this list.
    """
    before = position(cursor, "prices")
    rows = await prices.page(session, accelerator=accelerator, before=before, limit=limit + 1)
    items = _reads(rows[:limit], await prices.of_price_ids(session, {r.price_id for r in rows}))
    last = items[-1] if len(rows) > limit else None
    return PricePage(items=items, next_cursor=next_page("prices", last))


async def _enter(
    session: Session, rows: Sequence[tuple[str, PriceCreate]], by: Principal, *, action: str
) -> list[PriceEntered]:
    await one_at_a_time(session, "prices")  # two could each overlap the other
    now = datetime.now(UTC)
    made = [(where, _row(where, wanted, by, now)) for where, wanted in rows]
    known: dict[str, list[Price]] = defaultdict(list)
    for row in await prices.of_price_ids(session, {row.price_id for _, row in made}):
        known[row.price_id].append(row)
    places = {row.id: where for where, row in made if where}
    for where, row in made:
        _check_place(where, row, known[row.price_id], places)
        known[row.price_id].append(row)
    await prices.add_all(session, [row for _, row in made])
    reads = _reads([row for _, row in made], [row for rows in known.values() for row in rows])
    for read in reads:
        after = read.model_dump(exclude={"id", "created_at", *READ_LATER})
        await audit.record(
            session, by, action=action, object_kind="price", object_id=read.id, after=after
        )
    names = await devices.names(session)
    return [PriceEntered(**read.model_dump(), warnings=_warnings(read, names)) for read in reads]


def _warnings(read: PriceRead, names: Collection[str]) -> list[str]:
    """Owned hardware is priced by the device-hour of what workers have reserved."""
    if read.kind != INTERNAL or any(is_word_of(read.accelerator, name) for name in names):
        return []
    shown = ", ".join(sorted(names)[:MOST_NAMES])
    told = f"there are: {shown}" if shown else "no node has shown any yet"
    return [
        f"accelerator: no accelerator of a node bears {read.accelerator!r} in its product name, so "
        f"{read.price_id} applies to nothing until one does ({told}); processors and memory have "
        "no price of their own"
    ]


def _row(where: str, wanted: PriceCreate, by: Principal, now: datetime) -> Price:
    for name, moment in (("valid_from", wanted.valid_from), ("valid_to", wanted.valid_to)):
        if moment is not None and not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            span = f"a time from {EARLIEST_YEAR} to {LATEST_YEAR}"
            raise InvalidPriceError(where, name, f"lies in the year {moment.year}", span)
    if wanted.valid_to is not None and wanted.valid_to <= wanted.valid_from:
        raise InvalidPriceError(where, "valid_to", "is not after valid_from", "a later time")
    details: dict[str, str] = {}
    if wanted.replaces is not None:
        details[REPLACES] = str(wanted.replaces)
    if wanted.ownership is not None:
        told = wanted.ownership.model_dump()
        details |= {name: format(value, "f") for name, value in told.items()}
    return Price(
        id=uuid.uuid4(),
        created_at=now,
        price_id=wanted.price_id,
        provider=wanted.provider,
        region=wanted.region,
        accelerator=wanted.accelerator,
        unit=wanted.unit,
        amount=_amount(where, wanted),
        currency=wanted.currency,
        kind=wanted.kind,
        source=wanted.source,
        source_url=wanted.source_url,
        licence=wanted.licence,
        details=details or None,
        valid_from=wanted.valid_from,
        valid_to=wanted.valid_to,
        entered_by=by.user_id,
    )


def _amount(where: str, wanted: PriceCreate) -> Decimal:
    """The amount as told, or by capex / (lifetime x utilisation), to a millionth."""
    if wanted.ownership is None:
        if wanted.amount is None:
            hint = "an amount, or ownership for a price of kind internal"
            raise InvalidPriceError(where, "amount", "is missing", hint)
        return wanted.amount
    if wanted.kind != INTERNAL:
        raise InvalidPriceError(where, "ownership", f"is not known for {wanted.kind} prices")
    if wanted.amount is not None:
        raise InvalidPriceError(where, "amount", "follows from the ownership", "leave one out")
    owned = wanted.ownership
    amount = (owned.capex / (owned.lifetime_h * owned.utilisation_ratio)).quantize(CENT_OF_CENT)
    if amount > 10**9:
        raise InvalidPriceError(where, "ownership", f"makes {amount} an hour", "at most 1e9")
    return amount


def _check_place(
    where: str, row: Price, known: Sequence[Price], places: Mapping[uuid.UUID, str]
) -> None:
    """Refuses a row that would hold at the same time as another of its id.

    Args:
        where: It stands in its file.
        row: That is about to be entered.
        known: Rows of its id, those of the file before it among them.
        places: Where in the file the rows of the file stand: they have no id to be named by,
            since all of it is refused.
    """
    gone = replaced_ids(known)
    replaces = (row.details or {}).get(REPLACES)
    if replaces is not None:
        if replaces not in {str(other.id) for other in known}:
            raise InvalidPriceError(where, "replaces", f"is no price of {row.price_id!r}")
        if uuid.UUID(replaces) in gone:
            raise InvalidPriceError(where, "replaces", "was replaced already", "the row that did")
    for other in known:
        if other.id in gone or str(other.id) == replaces or not overlap(row, other):
            continue
        place = f"{where}: " if where else ""
        line = places.get(other.id)
        told = f"{line} of the file" if line else f"id {other.id}"
        raise OverlappingPriceError(
            f"{place}{row.price_id!r} from {row.valid_from.isoformat()} overlaps its price of "
            f"{format(other.amount, 'f')} {other.currency} from {other.valid_from.isoformat()} "
            f"({told}); begin later, end earlier, or "
            f"{'leave one of them out' if line else 'replace that one'}.",
            field=f"{where}, valid_from" if where else "valid_from",
        )


def overlap(one: Price, other: Price) -> bool:
    """Whether two prices of one id would hold at the same time.

    One without an end holds until the next one begins, so it only clashes with one that begins
    when it does.
    """
    first, second = sorted((one, other), key=lambda row: row.valid_from)
    if first.valid_from == second.valid_from:
        return True
    return first.valid_to is not None and second.valid_from < first.valid_to


def _reads(rows: Iterable[Price], known: Sequence[Price]) -> list[PriceRead]:
    """Rows as they stand among all that are known of their ids."""
    gone = replaced_ids(known)
    left = [row for row in known if row.id not in gone]
    now = datetime.now(UTC)
    return [_read(row, left, now) for row in rows]


def _read(row: Price, left: Sequence[Price], now: datetime) -> PriceRead:
    stands = row in left
    return PriceRead(
        id=row.id,
        price_id=row.price_id,
        provider=row.provider,
        region=row.region,
        accelerator=row.accelerator,
        unit=row.unit,
        amount=format(row.amount, "f"),
        currency=row.currency,
        kind=row.kind,
        source=row.source,
        source_url=row.source_url,
        licence=row.licence,
        details=row.details,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        created_at=row.created_at,
        replaced=not stands,
        holds_until=holds_until(row, left) if stands else None,
        planned=stands and row.valid_from > now,
    )
