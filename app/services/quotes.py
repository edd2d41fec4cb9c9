"""Quotes: the arithmetic of a price tag without a run."""

from __future__ import annotations

from dataclasses import asdict

from app.schemas.common import FieldProblem
from app.schemas.quotes import QuoteCreate, QuoteRead
from app.services.errors import InvalidError
from pricetag.accounting.estimate import InvalidFactor, estimate


class InvalidQuoteError(InvalidError):
    """A figure that no work can have."""

    code = "invalid-quote"

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message, field=field)
        self.errors = [FieldProblem(field=field, message=message)]


def quote(wanted: QuoteCreate) -> QuoteRead:
    """Energy, emissions and cost of devices that draw a power for some hours.

    Raises:
        InvalidQuoteError: If a figure is impossible, such as prices the wrong way round.

    Source:
        Strubell et al. 2019, section 2.
    """
    try:
        result = estimate(
            wanted.devices,
            wanted.device_power_w,
            wanted.hours,
            wanted.pue,
            wanted.grid_g_per_kwh,
            wanted.price_low,
            wanted.price_high,
            price_devices=wanted.price_devices,
            currency=wanted.currency,
        )
    except InvalidFactor as error:
        field = error.field.removesuffix("_per_device_hour")
        raise InvalidQuoteError(field, str(error)) from error
    return QuoteRead.model_validate(asdict(result))
