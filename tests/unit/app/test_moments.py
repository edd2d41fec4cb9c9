"""Times in requests are times that the database and this service can read back."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from app.schemas.common import Moment

MOMENTS: TypeAdapter[Moment] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59-14:00", "9999-12-31T23:30-01:00", "0001-01-01T00:00:00+14:00"]
)
def test_a_time_beyond_the_calendar_in_utc_is_rejected(text: str) -> None:
    with pytest.raises(ValidationError, match="years 1 to 9999 in UTC"):
        MOMENTS.validate_python(text)


@pytest.mark.parametrize(
    "text", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00Z"]
)
def test_the_first_and_last_times_of_the_calendar_are_accepted(text: str) -> None:
    assert MOMENTS.validate_python(text).tzinfo is not None
