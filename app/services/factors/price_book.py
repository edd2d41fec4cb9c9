"""The lab's price book: rows are added one by one or from a file, and never change."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from app.db import Session
from app.repositories.factors import prices
from app.repositories.factors.writers import one_at_a_time
from app.repositories.nodes import devices
from app.schemas.audit import AuditAction
from app.schemas.common import FieldProblem
from app.schemas.prices import (
    PriceCreate,
    PriceEntered,
    PriceImport,
    PricePage,
    PriceRead,
    PricesImported,
)
from app.services import cursors
from app.services.errors import ConflictError, InvalidError, NotFoundError
from app.services.factors.book_prices import INTERNAL, REPLACES, holds_until, replaced_ids
from app.services.factors.kinds import EARLIEST_YEAR, LATEST_YEAR
from app.services.factors.price_files import read_prices
from app.services.people import audit
from app.services.principals import Principal
from app.services.similarity import did_you_mean, similar
from models import Price
from pricetag.catalog import accelerators, is_word_of

TO = "enter prices"
READ_LATER = ("replaced", "holds_until", "planned")  # these change over time
MOST_NAMES = 5
CENT_OF_CENT = Decimal("0.000001")


class InvalidPriceError(InvalidError):
    """The price has an invalid field."""

    code = "invalid-price"

    def __init__(self, where: str, field: str, message: str, hint: str | None = None) -> None:
        place = f"{where}, {field}" if where else field
        self.errors = [FieldProblem(field=place, message=message, hint=hint)]
        super().__init__(f"{place}: {message}", field=place)


class OverlappingPriceError(ConflictError):
    """Two prices with the same id would apply at the same time."""

    code = "overlapping-price"


class AcceleratorNotFoundError(NotFoundError):
    """Neither the price book nor the catalog nor a node has an accelerator with this name."""

    code = "accelerator-not-found"


async def add(session: Session, price: PriceCreate, by: Principal) -> PriceEntered:
    """Enters one price.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        InvalidPriceError: If a field is invalid.
        OverlappingPriceError: If another price with its id applies at the same time.
    """
    by.require("admin", TO)
    (read,) = await _enter(session, [("", price)], by, action="created")
    return read


async def import_file(session: Session, file: PriceImport, by: Principal) -> PricesImported:
    """Enters all prices of a file, or none.

    Raises:
        RoleRequiredError: If the caller is not an admin.
        MalformedFileError: If a cell cannot be read; the message names line and column.
        InvalidPriceError: If a field of a price is invalid.
        OverlappingPriceError: If two prices with the same id apply at the same time.
    """
    by.require("admin", TO)
    rows = read_prices(file)
    return PricesImported(items=await _enter(session, rows, by, action="imported"))


async def list_page(
    session: Session, *, accelerator: str | None, cursor: str | None, limit: int
) -> PricePage:
    """A page of the price book, newest first, including corrected prices.

    Args:
        session: Database session, only read.
        accelerator: Only prices of this accelerator, ignoring case.
        cursor: End of the previous page.
        limit: Maximum number of rows.

    Raises:
        CursorError: If the cursor does not belong to this list.
        AcceleratorNotFoundError: If no price is for this accelerator, and neither the catalog
            nor a node has it.
    """
    before = cursors.position(cursor, "prices")
    rows = await prices.page(session, accelerator=accelerator, before=before, limit=limit + 1)
    if accelerator is not None and cursor is None and not rows:
        await _require_accelerator(session, accelerator)
    shown, following = cursors.page(rows, limit, lambda row: cursors.place("prices", row))
    items = _reads(shown, await prices.of_price_ids(session, {r.price_id for r in rows}))
    return PricePage(items=items, next_cursor=following)


async def _require_accelerator(session: Session, name: str) -> None:
    ids = {row.id for row in accelerators()}
    names = {*(row.name for row in accelerators()), *await devices.names(session)}
    if name.casefold() in ids or any(is_word_of(name, word) for word in names):
        return
    priced = await prices.accelerators(session)
    raise AcceleratorNotFoundError(
        f"Accelerator '{name}' not found: neither the price book, the catalog nor a node has it"
        + did_you_mean(similar(name, [*priced, *sorted(ids), *sorted(names)])),
        field="accelerator",
    )


async def _enter(
    session: Session,
    rows: Sequence[tuple[str, PriceCreate]],
    by: Principal,
    *,
    action: AuditAction,
) -> list[PriceEntered]:
    await one_at_a_time(session, "prices")  # two concurrent entries could overlap
    now = datetime.now(UTC)
    new_rows = [(where, _row(where, price, by, now)) for where, price in rows]
    by_price_id: dict[str, list[Price]] = defaultdict(list)
    for row in await prices.of_price_ids(session, {row.price_id for _, row in new_rows}):
        by_price_id[row.price_id].append(row)
    places = {row.id: where for where, row in new_rows if where}
    for where, row in new_rows:
        _check_place(where, row, by_price_id[row.price_id], places)
        by_price_id[row.price_id].append(row)
    await prices.add_all(session, [row for _, row in new_rows])
    reads = _reads(
        [row for _, row in new_rows], [row for rows in by_price_id.values() for row in rows]
    )
    for read in reads:
        after = read.model_dump(exclude={"id", "created_at", *READ_LATER})
        await audit.record(
            session, by, action=action, object_kind="price", object_id=read.id, after=after
        )
    names = await devices.names(session)
    return [PriceEntered(**read.model_dump(), warnings=_warnings(read, names)) for read in reads]


def _warnings(read: PriceRead, names: Collection[str]) -> list[str]:
    """Warns about a price of owned hardware that no node has."""
    if read.kind != INTERNAL or any(is_word_of(read.accelerator, name) for name in names):
        return []
    shown = ", ".join(sorted(names)[:MOST_NAMES])
    hint = f"known accelerators: {shown}" if shown else "no node has reported one yet"
    return [
        f"accelerator: no node has an accelerator with {read.accelerator!r} in its product name, "
        f"so {read.price_id} applies to nothing until one does ({hint}); CPUs and memory have no "
        "price of their own"
    ]


def _row(where: str, price: PriceCreate, by: Principal, now: datetime) -> Price:
    for name, moment in (("valid_from", price.valid_from), ("valid_to", price.valid_to)):
        if moment is not None and not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
            span = f"a time from {EARLIEST_YEAR} to {LATEST_YEAR}"
            raise InvalidPriceError(where, name, f"is in the year {moment.year}", span)
    if price.valid_to is not None and price.valid_to <= price.valid_from:
        raise InvalidPriceError(where, "valid_to", "is not after valid_from", "a later time")
    details: dict[str, str] = {}
    if price.replaces is not None:
        details[REPLACES] = str(price.replaces)
    if price.ownership is not None:
        ownership = price.ownership.model_dump()
        details |= {name: format(value, "f") for name, value in ownership.items()}
    return Price(
        id=uuid.uuid4(),
        created_at=now,
        price_id=price.price_id,
        provider=price.provider,
        region=price.region,
        accelerator=price.accelerator,
        unit=price.unit,
        amount=_amount(where, price),
        currency=price.currency,
        kind=price.kind,
        source=price.source,
        source_url=price.source_url,
        licence=price.licence,
        details=details or None,
        valid_from=price.valid_from,
        valid_to=price.valid_to,
        entered_by=by.user_id,
    )


def _amount(where: str, price: PriceCreate) -> Decimal:
    """The stated amount, or capex / (lifetime x utilization) to a millionth."""
    if price.ownership is None:
        if price.amount is None:
            hint = "an amount, or ownership for a price of kind internal"
            raise InvalidPriceError(where, "amount", "is missing", hint)
        return price.amount
    if price.kind != INTERNAL:
        raise InvalidPriceError(where, "ownership", f"is not supported for {price.kind} prices")
    if price.amount is not None:
        raise InvalidPriceError(
            where, "amount", "follows from the ownership", "use only one of them"
        )
    owned = price.ownership
    amount = (owned.capex / (owned.lifetime_h * owned.utilisation_ratio)).quantize(CENT_OF_CENT)
    if amount > 10**9:
        raise InvalidPriceError(where, "ownership", f"yields {amount} per hour", "at most 1e9")
    return amount


def _check_place(
    where: str, row: Price, rows: Sequence[Price], places: Mapping[uuid.UUID, str]
) -> None:
    """Rejects a row that would apply at the same time as another row with its id.

    Args:
        where: Position of the row in its file.
        row: The new row.
        rows: Rows with the same id, including earlier rows of the file.
        places: Positions of the file's rows: those have no id yet to refer to, because the
            whole file is rejected.
    """
    replaced = replaced_ids(rows)
    replaces = (row.details or {}).get(REPLACES)
    if replaces is not None:
        if replaces not in {str(existing.id) for existing in rows}:
            raise InvalidPriceError(where, "replaces", f"is not a price of {row.price_id!r}")
        if uuid.UUID(replaces) in replaced:
            raise InvalidPriceError(
                where, "replaces", "was already replaced", "the row that replaced it"
            )
    for existing in rows:
        if existing.id in replaced or str(existing.id) == replaces or not overlap(row, existing):
            continue
        place = f"{where}: " if where else ""
        line = places.get(existing.id)
        reference = f"{line} of the file" if line else f"id {existing.id}"
        raise OverlappingPriceError(
            f"{place}{row.price_id!r} from {row.valid_from.isoformat()} overlaps the price of "
            f"{format(existing.amount, 'f')} {existing.currency} from "
            f"{existing.valid_from.isoformat()} ({reference}); begin later, end earlier, or "
            f"{'drop one of the two' if line else 'replace that price'}.",
            field=f"{where}, valid_from" if where else "valid_from",
        )


def overlap(first_price: Price, second_price: Price) -> bool:
    """Whether two prices with the same id would apply at the same time.

    A price without an end applies until the next one begins, so it only overlaps with a price
    that begins at the same time.
    """
    first, second = sorted((first_price, second_price), key=lambda row: row.valid_from)
    if first.valid_from == second.valid_from:
        return True
    return first.valid_to is not None and second.valid_from < first.valid_to


def _reads(rows: Iterable[Price], all_rows: Sequence[Price]) -> list[PriceRead]:
    """Rows with their present status among all rows with their ids."""
    replaced = replaced_ids(all_rows)
    in_book = [row for row in all_rows if row.id not in replaced]
    now = datetime.now(UTC)
    return [_read(row, in_book, now) for row in rows]


def _read(row: Price, in_book: Sequence[Price], now: datetime) -> PriceRead:
    stands = row in in_book
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
        holds_until=holds_until(row, in_book) if stands else None,
        planned=stands and row.valid_from > now,
    )
