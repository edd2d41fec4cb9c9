"""Distinguishes exceptions due to a database outage from programming errors."""

from __future__ import annotations

import psycopg
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

OUTAGES: tuple[type[Exception], ...] = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    psycopg.OperationalError,
    psycopg.InterfaceError,
)

SCHEMA_FAULTS: tuple[type[Exception], ...] = (ProgrammingError,)
"""Raised for a table or column that is missing, before the database is migrated."""
