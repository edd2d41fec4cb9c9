"""What several unit tests read and none changes."""

from __future__ import annotations

import pytest
from fastapi import FastAPI


@pytest.fixture(scope="session")
def unserved() -> FastAPI:
    """The application with its routes and its OpenAPI document, without a server or database."""
    from app.main import create_app  # seconds, of which most unit tests need none

    return create_app()
