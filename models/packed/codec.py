"""Readings as bytes, restored bit by bit: columns of differences, shuffled and deflated.

Counters count whole mJ or uJ, and clocks tick in fractions that a double has exactly, so that a
column is stored as integers if all its values are multiples of a step, and as the bit patterns of
its doubles otherwise. Of these the first or second differences are stored, the first byte of all
of them, then the second, and so on, which leaves long runs of zeros.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.packed.columns import FLOATS, Columns, FloatColumn

VERSION = 1

SCALES: tuple[float, ...] = (1.0, 1e3, 1e6)
"""Steps of integers: whole units, thousandths, millionths."""

MAX_INTEGER = 2.0**53
MAX_ORDER = 2

_HEAD = struct.Struct("<BIII")  # version, readings, bytes of the flags, bytes of the columns
_COLUMN = struct.Struct("<BBB")  # form, order of the differences, whether values are missing
_BITS = len(SCALES)
_ABSENT = 255

Ints = NDArray[np.int64]


class DamagedReadingsError(ValueError):
    """Stored readings do not come back as they were written."""


def sha256(columns: Columns) -> bytes:
    """The hash of readings, whatever their stored form."""
    digest = hashlib.sha256(struct.pack("<I", len(columns)))
    digest.update(columns.seq.astype("<i4").tobytes())
    for column in columns.floats:
        values = np.where(column.known, column.values, 0.0)
        digest.update(np.packbits(column.known).tobytes())
        digest.update(values.astype("<f8").tobytes())
    compact = columns.compact()
    digest.update(json.dumps(compact.flag_sets).encode())
    digest.update(compact.flag_index.astype("<u4").tobytes())
    return digest.digest()


def encode(columns: Columns) -> bytes:
    """Readings as they are stored."""
    columns = columns.compact()
    flags = json.dumps(columns.flag_sets).encode()
    parts = [_integers(columns.seq.astype(np.int64))]
    if len(columns.flag_sets) > 1:
        parts.append(_integers(columns.flag_index.astype(np.int64)))
    parts += [_floats(column) for column in columns.floats]
    body = b"".join(parts)
    head = _HEAD.pack(VERSION, len(columns), len(flags), len(body))
    return head + zlib.compress(flags + body, 6)


def decode(stored: bytes, expected_sha256: bytes) -> Columns:
    """The readings that were stored.

    Raises:
        DamagedReadingsError: If they are not those with the hash.
    """
    try:
        version, count, flags_bytes, body_bytes = _HEAD.unpack_from(stored)
        if version != VERSION:
            raise DamagedReadingsError(
                f"they are stored in form {version}, this version reads form {VERSION}"
            )
        raw = zlib.decompress(memoryview(stored)[_HEAD.size :])
        if len(raw) != flags_bytes + body_bytes:
            raise DamagedReadingsError("their end is missing")
        flag_sets = tuple(json.loads(raw[:flags_bytes]))
        columns = _Reader(raw[flags_bytes:], count).columns(flag_sets)
    except (struct.error, zlib.error, ValueError, IndexError) as error:
        if isinstance(error, DamagedReadingsError):
            raise
        raise DamagedReadingsError(f"their bytes are damaged ({error})") from error
    if (digest := sha256(columns)) != expected_sha256:
        raise DamagedReadingsError(
            f"packed with SHA-256 {expected_sha256.hex()}, stored ones have {digest.hex()}"
        )
    return columns


def _floats(column: FloatColumn) -> bytes:
    if not column.known.any():
        return _COLUMN.pack(_ABSENT, 0, 0)
    has_missing = not column.known.all()
    values = np.ascontiguousarray(column.values[column.known] if has_missing else column.values)
    mask = np.packbits(column.known).tobytes() if has_missing else b""
    form, integers = _as_integers(values)
    order, differences = _shortest(integers)
    return _COLUMN.pack(form, order, has_missing) + mask + _shuffled(differences)


def _integers(values: Ints) -> bytes:
    order, differences = _shortest(values)
    return _COLUMN.pack(0, order, 0) + _shuffled(differences)


def _as_integers(values: NDArray[np.float64]) -> tuple[int, Ints]:
    """The form of a column and its integers, from which the values come back bit by bit."""
    bits = values.view(np.int64)
    for form, scale in enumerate(SCALES):
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = np.rint(values * scale)
        if not bool((np.abs(scaled) < MAX_INTEGER).all()):  # of NaN and infinity, too
            continue
        integers = scaled.astype(np.int64)
        if bool(((integers / scale).view(np.int64) == bits).all()):  # not of -0.0
            return form, integers
    return _BITS, bits


def _shortest(integers: Ints) -> tuple[int, Ints]:
    """The order of differences that are shortest, and these; they wrap around."""
    best, order, cost = integers, 0, _length(integers)
    differences = integers
    for further in range(1, MAX_ORDER + 1):
        differences = np.diff(differences, prepend=np.int64(0))
        if (length := _length(differences)) < cost:
            best, order, cost = differences, further, length
    return order, best


def _length(integers: Ints) -> float:
    return float(np.log2(np.abs(integers.astype(np.float64)) + 1.0).sum())


def _shuffled(integers: Ints) -> bytes:
    zigzag = (integers << 1) ^ (integers >> 63)
    return zigzag.astype("<i8").view(np.uint8).reshape(-1, 8).T.tobytes()


class _Reader:
    """Reads the columns one after another."""

    def __init__(self, body: bytes, count: int) -> None:
        self._body = body
        self._count = count
        self._at = 0

    def columns(self, flag_sets: tuple[str, ...]) -> Columns:
        seq = self._next_integers()
        if len(flag_sets) > 1:
            index = self._next_integers().astype(np.uint32)
        else:
            index = np.zeros(self._count, dtype=np.uint32)
        floats = tuple(self._next_floats() for _ in FLOATS)
        if self._at != len(self._body) or index.max(initial=0) > max(len(flag_sets) - 1, 0):
            raise DamagedReadingsError("their columns do not fit together")
        return Columns(seq.astype(np.int32), floats, flag_sets, index)

    def _next_integers(self) -> Ints:
        _, order, _ = self._head()
        return self._restored(self._count, order)

    def _next_floats(self) -> FloatColumn:
        form, order, has_missing = self._head()
        if form == _ABSENT:
            return FloatColumn(np.zeros(self._count), np.zeros(self._count, dtype=bool))
        is_known = np.ones(self._count, dtype=bool)
        if has_missing:
            packed = np.frombuffer(self._take((self._count + 7) // 8), dtype=np.uint8)
            is_known = np.unpackbits(packed, count=self._count).astype(bool)
        integers = self._restored(int(is_known.sum()), order)
        values = integers.view(np.float64) if form == _BITS else integers / SCALES[form]
        if not has_missing:
            return FloatColumn(values, is_known)
        filled = np.zeros(self._count)
        filled[is_known] = values
        return FloatColumn(filled, is_known)

    def _head(self) -> Iterator[int]:
        return iter(_COLUMN.unpack(self._take(_COLUMN.size)))

    def _restored(self, count: int, order: int) -> Ints:
        shuffled = np.frombuffer(self._take(8 * count), dtype=np.uint8).reshape(8, count)
        zigzag = np.ascontiguousarray(shuffled.T).view("<i8").reshape(count).astype(np.int64)
        integers = (zigzag >> 1) & np.int64(2**63 - 1)
        integers ^= -(zigzag & 1)
        for _ in range(order):
            integers = np.cumsum(integers, dtype=np.int64)
        return integers

    def _take(self, size: int) -> bytes:
        part = self._body[self._at : self._at + size]
        if len(part) != size:
            raise DamagedReadingsError("their end is missing")
        self._at += size
        return part
