"""Architectures are counted once for all tests of training."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.training import counted_once


@pytest.fixture(autouse=True, scope="session")
def _operations_are_counted_once() -> Iterator[None]:
    with counted_once():
        yield
